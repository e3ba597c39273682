"""A model's life on disk: its directory, its bundle, its training, its scores."""
