"""Image files in, pictures and verdicts out."""
