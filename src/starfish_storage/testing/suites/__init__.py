"""The contracts as classes of tests, to subclass."""
