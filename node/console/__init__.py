"""The console: what a node or a run does, on a terminal, by a process of its own."""
