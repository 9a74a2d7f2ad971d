"""Which store a SQLite database is, if its data lies in an object store that other stores may use too."""

from __future__ import annotations

import os
from collections.abc import Callable

from starfish_storage.interface import DataHandler
from starfish_storage.keys import named_version
from starfish_storage.metadata.data_owner import PLACE, Owner, UsedPlace, claim_data, named_place, refuse_other_data
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.uri import file_uri_of_path

IDENTITY = "store_identity"

_SAMPLE = 20  # records: if the data of all of them is missing, this is not the place


def claim_remote_data(connection: Connection, path: str, data: DataHandler) -> Callable[[], None] | None:
    """Mark the place of a store's data as its own, unless it is a directory: who names another's means it.

    Returns what has the rows name the place, to be called in the transaction of the first of them; None if they do.

    Raises:
        StoreOpenError: the place holds the data of another store.
    """
    if data.parallel == 1:
        return None
    queries = sqlite_queries()
    if connection.execute(queries["get_setting"], (IDENTITY,)).fetchone() is None:
        connection.execute(queries["save_setting"], (IDENTITY, os.urandom(32).hex()))
    owner = owner_of(connection, path)
    claim_data(owner, data, sample_of(connection))

    def name_place() -> None:
        """Raise if it is another store's as well, or another process has named another place."""
        owner = owner_of(connection, path)
        if owner.place is None:
            connection.execute(queries["save_setting"], (PLACE, named_place(owner, data).setting))
        else:
            refuse_other_data(owner, data, ())

    return name_place if owner.place is None else None


def owner_of(connection: Connection, path: str) -> Owner:
    """Return the store, as the mark names it; without an identity, if it was never opened with remote data."""
    row = connection.execute(sqlite_queries()["get_setting"], (IDENTITY,)).fetchone()
    place = connection.execute(sqlite_queries()["get_setting"], (PLACE,)).fetchone()
    return Owner(
        only_value(row) or "", file_uri_of_path(os.path.dirname(path)), UsedPlace.of_setting(only_value(place))
    )


def sample_of(connection: Connection) -> list[str]:
    """Return where some data lies that there must be."""
    rows = connection.execute(sqlite_queries()["sample_data"], (_SAMPLE,)).fetchall()
    return [named_version(key, version) for key, version in rows]
