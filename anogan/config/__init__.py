"""What can be told to anogan: every setting is declared once, here, with its source. Nothing here imports torch."""
