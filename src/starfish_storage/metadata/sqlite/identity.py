"""Which store a SQLite database is, if its data lies in an object store that other stores may use too."""

from __future__ import annotations

import os

from starfish_storage.interface import DataHandler
from starfish_storage.keys import named_version
from starfish_storage.metadata.data_owner import Owner, claim_data
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.uri import file_uri_of_path

IDENTITY = "store_identity"

_SAMPLE = 20  # records: if the data of all of them is missing, this is not the place


def claim_remote_data(connection: Connection, path: str, data: DataHandler) -> None:
    """Mark the place of a store's data as its own, unless it is a directory: who names another's means it.

    Raises:
        StoreOpenError: the place holds the data of another store.
    """
    if data.parallel == 1:
        return
    queries = sqlite_queries()
    if connection.execute(queries["get_setting"], (IDENTITY,)).fetchone() is None:
        connection.execute(queries["save_setting"], (IDENTITY, os.urandom(32).hex()))
    claim_data(owner_of(connection, path), data, sample_of(connection))


def owner_of(connection: Connection, path: str) -> Owner:
    """Return the store, as the mark names it; without an identity, if it was never opened with remote data."""
    row = connection.execute(sqlite_queries()["get_setting"], (IDENTITY,)).fetchone()
    return Owner(only_value(row) or "", file_uri_of_path(os.path.dirname(path)))


def sample_of(connection: Connection) -> list[str]:
    """Return where some data lies that there must be."""
    rows = connection.execute(sqlite_queries()["sample_data"], (_SAMPLE,)).fetchall()
    return [named_version(key, version) for key, version in rows]
