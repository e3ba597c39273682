"""Pages of HTML from results."""
