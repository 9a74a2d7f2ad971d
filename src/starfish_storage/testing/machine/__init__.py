"""A storage against a plain dict model, in random histories."""
