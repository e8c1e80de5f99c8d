"""Screen 4: its parts and their settings."""
