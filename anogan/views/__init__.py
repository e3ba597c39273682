"""Ways of looking at a sample, one file each, and the rules that make one score of several (fusion.py)."""
