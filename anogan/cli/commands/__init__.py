"""What each command does: a module with a function `run` for each, loaded when it is called."""
