"""Views of a sample, one file each, and the rules that combine their distances into one score (fusion.py)."""
