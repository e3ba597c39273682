"""Image data sets and arrays: samples of one size."""
