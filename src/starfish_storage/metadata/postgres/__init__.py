"""Metadata in PostgreSQL. Nothing here is imported before a URI asks for it."""
