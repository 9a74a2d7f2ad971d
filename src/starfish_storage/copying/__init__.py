"""Copying whole projects and master jobs from one store to another, of any kind."""
