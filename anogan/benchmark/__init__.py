"""Detectors and baselines side by side on data sets with labels."""
