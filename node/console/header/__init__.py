"""The line above every screen, and the tabs."""
