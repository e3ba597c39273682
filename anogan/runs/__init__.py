"""The life of a model on disk: run directory, bundle, training, scoring."""
