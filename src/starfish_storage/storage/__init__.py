"""Storages: a facade over one metadata handler and one data handler."""
