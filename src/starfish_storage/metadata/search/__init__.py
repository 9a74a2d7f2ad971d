"""The index of the text search: a SQLite database with FTS5 in the user's cache, whatever engine the store is on."""
