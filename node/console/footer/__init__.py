"""The line below every screen: the keys that work here."""
