"""Built-in data for demos and tests: a pump and circuit boards."""
