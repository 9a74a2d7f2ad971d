"""Durable generation: a function over many inputs, every outcome stored."""
