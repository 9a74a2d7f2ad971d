"""Stores with their metadata in PostgreSQL, as the suites need them."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

from conformance.object_stores import ObjectDataStore
from servers.postgres import PostgresServer
from starfish_storage.interface import Storage
from starfish_storage.opening import open_storage
from starfish_storage.testing.store import DirectoryStore, StoreUnderTest
from starfish_storage.uri import file_uri_of_path, without_password

_VERSIONED = re.compile(r"(data/.*)\.[0-9a-f]{20}\.json", re.DOTALL)


class Schema:
    """A schema of its own in a database, which is made by the store and can be renamed.

    Args:
        server: where it is.
        name: what it is called; without one, as no other.
    """

    def __init__(self, server: PostgresServer, name: str | None = None) -> None:
        self._server = server
        self.name = name or _new_name()

    @property
    def uri(self) -> str:
        """Its URI, with the password."""
        return self._server.uri(schema=self.name)

    def rename(self) -> None:
        """Move what is in it to a name that it never had."""
        before, self.name = self.name, _new_name()
        self._server.execute(f'ALTER SCHEMA "{before}" RENAME TO "{self.name}"')

    def execute(self, text: str) -> list[list[Any]]:
        """Execute statements in it, unless it has not been made yet."""
        there = f"SELECT 1 FROM pg_tables WHERE schemaname = '{self.name}' AND tablename = 'settings'"
        if not self._server.execute(there):
            return []
        return self._server.execute(f'SET search_path = "{self.name}"; {text}')

    def settle_layout(self, layout: str) -> None:
        """Give a store that was emptied a layout."""
        self.execute(f"INSERT INTO settings VALUES ('layout', '{layout}')")

    def drop(self) -> None:
        """Drop it, whoever uses it."""
        self._server.start()
        self._server.terminate_connections()
        self._server.execute(f'DROP SCHEMA IF EXISTS "{self.name}" CASCADE')


class VersionedData(StoreUnderTest):
    """Goes before a class of stores whose data it looks at, as if every key had but the version that is there."""

    def raw_read(self, key: str) -> bytes | None:
        """See `StoreUnderTest.raw_read`."""
        return self._data.raw_read(only(self.versions_of(key), key))

    def raw_write(self, key: str, payload: bytes) -> None:
        """See `StoreUnderTest.raw_write`."""
        self._data.raw_write(only(self.versions_of(key), key), payload)

    def raw_delete(self, key: str) -> None:
        """See `StoreUnderTest.raw_delete`."""
        self._data.raw_delete(only(self.versions_of(key), key))

    def raw_keys(self) -> set[str]:
        """See `StoreUnderTest.raw_keys`."""
        return {logical(key) for key in self._data.raw_keys()}

    def versions_of(self, key: str) -> list[str]:
        """Return the keys of all versions of a key."""
        return [found for found in self._data.raw_keys() if logical(found) == key]

    @property
    def _data(self) -> Any:
        return super()


class PostgresDirectoryStore(VersionedData, DirectoryStore):
    """A store in PostgreSQL with its data in a directory.

    Args:
        directory: an existing directory for the data.
        schema: where the metadata lies.
    """

    def __init__(self, directory: Path, schema: Schema) -> None:
        super().__init__(directory)
        self._schema = schema

    @property
    def uri(self) -> str:
        """See `StoreUnderTest.uri`; what is shown has no password."""
        return without_password(self._schema.uri)

    @property
    def places(self) -> tuple[str, str | None]:
        """The URIs as they are opened: that of the rows with its password."""
        return self._schema.uri, file_uri_of_path(str(self.data_root))

    def open(self) -> Storage:
        """See `StoreUnderTest.open`."""
        return open_storage(*self.places, layout="files")

    def move(self) -> None:
        """See `StoreUnderTest.move`."""
        super().move()
        self._schema.rename()


class PostgresObjectStore(VersionedData, ObjectDataStore):
    """A store in PostgreSQL with its data in an object store.

    Args:
        data_uri: a prefix below which there is nothing.
        schema: where the metadata lies.
    """

    def __init__(self, data_uri: str, schema: Schema) -> None:
        super().__init__(data_uri)
        self._schema = schema

    @property
    def uri(self) -> str:
        """See `StoreUnderTest.uri`; what is shown has no password."""
        return without_password(self._schema.uri)

    @property
    def places(self) -> tuple[str, str | None]:
        """The URIs as they are opened: that of the rows with its password."""
        return self._schema.uri, self.data_uri

    def open(self) -> Storage:
        """See `StoreUnderTest.open`."""
        return open_storage(*self.places, layout="files")

    def move_rows(self) -> None:
        """See `ObjectDataStore.move_rows`."""
        self._schema.rename()


def only(versions: list[str], key: str) -> str:
    """Return the one version there is; the key itself, if there is none."""
    assert len(versions) < 2, f"{key!r} has several versions: {versions}"
    return versions[0] if versions else key


def logical(key: str) -> str:
    """Return the key of which another one is a version."""
    match = _VERSIONED.fullmatch(key)
    return key if match is None else f"{match[1]}.json"


def _new_name() -> str:
    return f"test_{secrets.token_hex(6)}"
