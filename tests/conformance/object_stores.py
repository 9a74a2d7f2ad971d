"""Stores whose data lies in an object store, for the suites; their raw access goes past the library."""

from __future__ import annotations

import secrets
import shutil
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import from_url

from starfish_storage import Storage, open_storage
from starfish_storage.testing.store import StoreUnderTest

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Bucket:
    """A bucket that obstore reaches, with what the environment says. All names are whole: prefix and key.

    Args:
        uri: of the bucket, ``s3://bucket``.
    """

    def __init__(self, uri: str) -> None:
        self._store: ObjectStore = from_url(uri)

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None

    def write(self, name: str, payload: bytes) -> None:
        obstore.put(self._store, name, payload, use_multipart=False)

    def delete(self, name: str) -> None:
        obstore.delete(self._store, [name])

    def names(self, prefix: str) -> set[str]:
        return {found["path"] for found in obstore.list(self._store, prefix).collect()}


class ObjectDataStore(StoreUnderTest):
    """A store with its data below a prefix of a bucket, and its rows somewhere else: a subclass says where.

    Args:
        data_uri: a prefix below which there is nothing.
    """

    def __init__(self, data_uri: str) -> None:
        scheme, _, place = data_uri.partition("://")
        bucket, _, self._prefix = place.partition("/")
        self._bucket_uri = f"{scheme}://{bucket}"
        self._bucket = Bucket(self._bucket_uri)

    @property
    def data_uri(self) -> str:
        """Where the data lies now."""
        return f"{self._bucket_uri}/{self._prefix}"

    @property
    def reference_prefix(self) -> str:
        return f"{self.data_uri}/"

    @property
    def places(self) -> tuple[str, str | None]:
        """The URIs of the store and of its data, as they are opened."""
        return self.uri, self.data_uri

    def open(self) -> Storage:
        return open_storage(*self.places, layout="files")

    def raw_read(self, key: str) -> bytes | None:
        return self._bucket.read(f"{self._prefix}/{key}")

    def raw_write(self, key: str, payload: bytes) -> None:
        self._bucket.write(f"{self._prefix}/{key}", payload)

    def raw_delete(self, key: str) -> None:
        self._bucket.delete(f"{self._prefix}/{key}")

    def raw_keys(self) -> set[str]:
        keys = {name.removeprefix(f"{self._prefix}/") for name in self._bucket.names(self._prefix)}
        return {key for key in keys if key != "store.json" and not key.startswith("owners/")}  # say whose data it is

    def remove_marks(self) -> None:
        """Remove what says whose data lies there."""
        for name in self._bucket.names(self._prefix):
            key = name.removeprefix(f"{self._prefix}/")
            if key == "store.json" or key.startswith("owners/"):
                self.raw_delete(key)

    def move(self) -> None:
        """Move the objects to another prefix, with a blank in it, and the rows to another place."""
        before, self._prefix = self._prefix, f"moved to/{secrets.token_hex(6)}"
        for name in self._bucket.names(before):
            self._bucket.write(self._prefix + name.removeprefix(before), self._bucket.read(name) or b"")
            self._bucket.delete(name)
        self.move_rows()

    @abstractmethod
    def move_rows(self) -> None:
        """Move what is not data to a place where it never was."""


class SQLiteObjectStore(ObjectDataStore):
    """The rows in a directory.

    Args:
        directory: an existing directory for the store and for all places it is moved to.
        data_uri: a prefix below which there is nothing.
    """

    def __init__(self, directory: Path, data_uri: str) -> None:
        super().__init__(data_uri)
        self._directory = directory
        self._moves = 0

    @property
    def root(self) -> Path:
        return self._directory / f"place {self._moves}"

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def move_rows(self) -> None:
        before = self.root
        self._moves += 1
        shutil.move(before, self.root)
