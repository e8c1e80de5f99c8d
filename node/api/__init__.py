"""The node's API: what is seen of it, and what it can be told, over HTTP to whoever holds a token."""
