"""The update watch: what peers do is evidence, evidence is reputation, reputation is a verdict. Pure."""
