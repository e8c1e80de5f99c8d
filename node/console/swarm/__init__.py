"""Screen 6: the graph, as this node sees it."""
