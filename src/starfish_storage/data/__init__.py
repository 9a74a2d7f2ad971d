"""Data handlers: where the JSON of records and request configurations lies."""
