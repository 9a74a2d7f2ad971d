"""Stores with their metadata in PostgreSQL, as the suites need them."""

from __future__ import annotations

import re
from pathlib import Path

from starfish_storage.interface import Storage
from starfish_storage.opening import open_storage
from starfish_storage.testing.store import DirectoryStore
from starfish_storage.uri import file_uri_of_path, without_password

_VERSIONED = re.compile(r"(.*)\.[0-9a-f]{20}\.json", re.DOTALL)


class PostgresDirectoryStore(DirectoryStore):
    """A store in PostgreSQL with its data in a directory, where each version of a key is a file of its own.

    Args:
        directory: an existing directory for the data.
        uri: where the metadata lies, with the password.
    """

    def __init__(self, directory: Path, uri: str) -> None:
        super().__init__(directory)
        self._uri = uri

    @property
    def uri(self) -> str:
        """See `StoreUnderTest.uri`; what is shown has no password."""
        return without_password(self._uri)

    def open(self) -> Storage:
        """See `StoreUnderTest.open`."""
        return open_storage(self._uri, file_uri_of_path(str(self.data_root)))

    def raw_read(self, key: str) -> bytes | None:
        """See `StoreUnderTest.raw_read`."""
        found = self.files_of(key)
        assert len(found) < 2, f"{key!r} has several versions: {found}"
        return found[0].read_bytes() if found else None

    def raw_write(self, key: str, payload: bytes) -> None:
        """See `StoreUnderTest.raw_write`."""
        for path in self.files_of(key):
            path.write_bytes(payload)
        if not self.files_of(key):
            super().raw_write(key, payload)

    def raw_delete(self, key: str) -> None:
        """See `StoreUnderTest.raw_delete`."""
        for path in self.files_of(key):
            path.unlink()

    def raw_keys(self) -> set[str]:
        """See `StoreUnderTest.raw_keys`."""
        return {logical(key) for key in super().raw_keys()}

    def files_of(self, key: str) -> list[Path]:
        """Return the files of all versions of a key."""
        return [self.data_root / found for found in super().raw_keys() if logical(found) == key]


def logical(key: str) -> str:
    """Return the key of which another one is a version."""
    match = _VERSIONED.fullmatch(key) if key.startswith("data/") else None
    return key if match is None else f"{match[1]}.json"
