"""Screen 7: keys and settings."""
