"""The command line ``starfish-storage``: one file a command, imported when the command is called."""

from starfish_storage.cli.group import main

__all__ = ["main"]
