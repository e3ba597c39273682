"""Digits: image data sets and arrays, with samples of one size."""
