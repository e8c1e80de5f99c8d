"""Alembic's steps from one schema to the next, each in one transaction."""
