"""One script per question; run from the repository's folder as `python -m experiments.NAME`."""
