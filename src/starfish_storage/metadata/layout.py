"""Where a store puts new record data, into packs or into a file each: what both engines keep of it."""

from __future__ import annotations

from starfish_storage.errors import StoreOpenError
from starfish_storage.interface import AskedLayout, Layout

LAYOUT = "layout"
"""Name of the setting."""


def layout_of_new(asked: AskedLayout | None) -> Layout:
    """Return the layout of a store that is made."""
    return "packed" if asked in ("packed", "packed if new") else "files"


def layout_of_existing(shown: str, setting: object, asked: AskedLayout | None, remedy: str | None = None) -> Layout:
    """Return the layout of an existing store, by its setting; None: files.

    Args:
        shown: what the store is called in messages.
        setting: what it says of itself.
        asked: what the caller wants.
        remedy: how to change it; without it, by `pack` and `unpack`.

    Raises:
        StoreOpenError: that is not what is asked for.
    """
    found: Layout = "files" if setting in (None, "files") else "packed"  # or mixed: there may be files as well
    if asked not in (None, "packed if new", found):
        remedy = remedy or f"run 'starfish-storage {'pack' if asked == 'packed' else 'unpack'}'"
        reason = f"its layout is {found!r}, not {asked!r}; leave the layout out, or {remedy}"
        raise StoreOpenError(shown, reason)
    return found
