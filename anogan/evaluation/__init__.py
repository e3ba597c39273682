"""How well a detector separates, and what its results say."""
