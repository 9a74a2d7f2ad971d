"""Which kind of store a URI names, and opening one whose rows or data lie on other machines."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from starfish_storage.data.inventory import Inventory
from starfish_storage.data.object_inventory import ObjectInventory
from starfish_storage.errors import InvalidUriError, StoreOpenError
from starfish_storage.interface import DataHandler
from starfish_storage.interface.inspection import DataInventory, RowInspection
from starfish_storage.metadata.sqlite.inspection import SQLiteRowInspection
from starfish_storage.storage.data_place import data_handler
from starfish_storage.uri import POSTGRES_SCHEMES, as_uri, is_object_uri, path_of_file_uri, without_password

_PATIENCE = 60.0  # seconds that a server is waited for


PathOrUri = str | os.PathLike[str]
"""Where a store or its data lies: a path or a URI, as `open_storage` takes them."""


class RemoteStore(NamedTuple):
    """A store with its rows in PostgreSQL, or its data in an object store.

    Attributes:
        rows: its rows.
        data: its data.
        inventory: what lies in the place of its data.
    """

    rows: RowInspection
    data: DataHandler
    inventory: DataInventory


def places(storage_uri: PathOrUri, data_uri: PathOrUri | None) -> tuple[str, str | None]:
    """Return as URIs where a store and its data lie, which are given as paths or URIs.

    Raises:
        InvalidUriError: one cannot be used.
    """
    return as_uri(storage_uri), None if data_uri is None else as_uri(data_uri)


def is_remote(storage_uri: str, data_uri: str | None) -> bool:
    """Return whether rows or data lie on other machines, by the URIs alone."""
    return str(storage_uri).startswith(POSTGRES_SCHEMES) or is_object_uri(data_uri)


@contextmanager
def remote_store(storage_uri: str, data_uri: str | None, *, read_only: bool = False) -> Generator[RemoteStore]:
    """Open a store in order to check it. Nothing is made or migrated.

    Raises:
        InvalidUriError: a URI cannot be used.
        StorageError: there is no store, it is of another version or program, or a server does not answer.
    """
    if data_uri is None:
        raise InvalidUriError(without_password(storage_uri), "say with data_uri (--data-uri) where its data lies")
    data = data_handler(data_uri)
    inventory = ObjectInventory(data_uri) if is_object_uri(data_uri) else Inventory(path_of_file_uri(data_uri))
    rows = _rows(storage_uri, read_only=read_only)
    try:
        yield RemoteStore(rows, data, inventory)
    finally:
        inventory.close()
        data.close()
        rows.close()


def _rows(storage_uri: str, *, read_only: bool) -> RowInspection:
    if not str(storage_uri).startswith(POSTGRES_SCHEMES):
        return SQLiteRowInspection(path_of_file_uri(storage_uri), read_only=read_only)
    from starfish_storage.metadata.postgres.address import PostgresAddress  # the driver is an extra
    from starfish_storage.metadata.postgres.inspection import PostgresInspection

    return PostgresInspection(PostgresAddress.of_uri(storage_uri), _PATIENCE)


def directories(storage_uri: PathOrUri, data_uri: PathOrUri | None, command: str) -> tuple[str, str]:
    """Return the directories of a store and of its data, for a command that works on files.

    Raises:
        InvalidUriError: a URI cannot be used.
        StoreOpenError: the store is on other machines; the error says what does it there.
    """
    uri, data_at = places(storage_uri, data_uri)
    if is_remote(uri, data_at):
        _refuse(without_password(uri), command)
    return path_of_file_uri(uri), path_of_file_uri(data_at or uri)


def _refuse(place: str, command: str) -> NoReturn:
    raise StoreOpenError(place, f"'{command}' is for stores in directories. {_INSTEAD[command]}")


_COPY = (
    "copy the database first (pg_dump, or your provider's snapshots), then the objects (replication, versioning, or "
    "a copy of the bucket): data is never changed, so the later copy has all that the earlier one refers to"
)
_INSTEAD = {
    "repair": (
        "Restore the database from its own backups (point-in-time recovery), and lost objects from a version or a "
        "replica of the bucket; 'verify' names them"
    ),
    "upgrade": "Run 'starfish-storage migrate' for others",
    "backup": f"Here, {_COPY}",
    "restore": (
        "Restore the database with its own tools (pg_restore, point-in-time recovery) and put the objects back, then "
        "run 'verify'"
    ),
}
