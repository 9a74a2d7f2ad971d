"""Metadata handlers: where the rows lie, and the commit that joins rows and data."""
