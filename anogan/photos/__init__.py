"""Photos of good parts: trained on folders, watched, sorted."""
