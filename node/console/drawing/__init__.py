"""What panels are drawn with: figures to styled text, nothing that knows of a terminal."""
