"""Whom and what to believe. Pure; the rooms `peers` and `devices` stand here."""
