"""The composition root: commands, the runtime loop, learning, the journal and the lab."""
