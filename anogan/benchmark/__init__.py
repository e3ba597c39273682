"""Comparison of detectors and baselines on labelled data sets."""
