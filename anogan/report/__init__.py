"""HTML pages made from results."""
