"""The layout of a store: settled when it is opened for writing."""

from __future__ import annotations

from starfish_storage.interface import AskedLayout
from starfish_storage.metadata.layout import LAYOUT, layout_of_existing, layout_of_new
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.sqlite.driver import Connection


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
        connection.execute(queries["save_setting"], (LAYOUT, layout_of_new(asked)))
        return
    layout_of_existing(path, found, asked)
