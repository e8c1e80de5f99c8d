"""Screen 3: what the node believes of its peers."""
