"""Screen 2: champion, challenger, versions."""
