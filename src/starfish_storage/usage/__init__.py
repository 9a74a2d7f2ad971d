"""What a call of a model used, read from what it reports, and what that costs."""
