"""Where a store puts new record data: into packs, or into a file each."""

from __future__ import annotations

from starfish_storage.errors import StoreOpenError
from starfish_storage.interface import AskedLayout, Layout
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.sqlite.driver import Connection

LAYOUT = "layout"


def settle_layout(connection: Connection, path: str, asked: AskedLayout | None) -> None:
    """Note the layout of a new store; refuse to open another one with a layout that it does not have.

    A store without a layout is new as long as there is no project in it: who made it may have been killed before.

    Args:
        connection: the writing connection.
        path: the database, for messages.
        asked: what the caller wants; None: what there is, and files in a new store.

    Raises:
        StoreOpenError: the store has the other layout.
    """
    queries = sqlite_queries()
    found = only_value(connection.execute(queries["get_setting"], (LAYOUT,)).fetchone())
    if found is None and connection.execute(queries["get_any_project"]).fetchone() is None:
        connection.execute(queries["save_setting"], (LAYOUT, "packed" if asked in ("packed", "packed if new") else "files"))
        return
    found = found or "files"
    there: Layout = "files" if found == "files" else "packed"
    if asked not in (None, "packed if new", there):
        remedy = "pack" if asked == "packed" else "unpack"
        reason = f"its layout is {there!r}, not {asked!r}; leave the layout out, or change it with '{remedy}'"
        raise StoreOpenError(path, reason)
