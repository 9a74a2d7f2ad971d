"""A run to look at: recorded answers of real models, killed half way and resumed."""
