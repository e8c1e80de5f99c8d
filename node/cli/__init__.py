"""The commands, one file a group. `node.cli.main` puts them together."""
