"""Screen 1: the node at a glance."""
