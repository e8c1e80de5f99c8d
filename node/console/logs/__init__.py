"""Screen 5: every event as a line."""
