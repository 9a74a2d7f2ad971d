"""Imports what a run may need later: in the middle of it, the function may hold every file descriptor there is."""

from __future__ import annotations

import importlib

_LATER = ("ctypes", "tenacity")  # syncing files in bulk; waiting between attempts, and for a store


def preload() -> None:
    """Import it. It takes too long for those who merely read a store."""
    for name in _LATER:
        importlib.import_module(name)
