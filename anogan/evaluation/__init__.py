"""Evaluation: how well a detector separates anomalies, and how its results are written."""
