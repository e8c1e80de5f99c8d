"""Where the console's events come from: a journal replayed, the folder of a run, a node's API."""
