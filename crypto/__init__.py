"""Identities, and the mathematics of keeping an update to oneself. Pure: no clock, no network, no files."""
