"""The pages of the viewer: each reads what it shows from the store, and renders it."""
