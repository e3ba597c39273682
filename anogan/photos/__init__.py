"""Photos: models trained on folders of good parts, watched folders, and the sorting of rejects."""
