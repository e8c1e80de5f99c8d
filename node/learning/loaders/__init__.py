"""One file a source of data; `node.learning.data` holds the table. No torch."""
