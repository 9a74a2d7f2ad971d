"""Conversations: read from the forms that people have, and written in the shapes that they train on."""
