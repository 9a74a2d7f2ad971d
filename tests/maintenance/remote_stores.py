"""Stores whose rows or data lie on other machines, and ways to look at them and damage them past the library."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from conformance.object_stores import Bucket
from servers.postgres import PostgresServer
from starfish_storage import Storage, open_storage
from starfish_storage.maintenance import CollectReport, VerifyReport, collect, verify
from starfish_storage.uri import path_of_file_uri

OLD_VERSION = "0123456789abcdef0123"


@dataclass(frozen=True)
class RemoteStore:
    """A store; its objects are files in a directory: its own, or that of the server of its bucket.

    Attributes:
        uri: where its rows lie, with the password.
        data_uri: where its data lies.
        data: the directory of the files.
        server: the server that has its rows; None if SQLite has them.
        look_again: makes whoever serves the files see what was changed.
    """

    uri: str
    data_uri: str
    data: Path
    server: PostgresServer | None
    look_again: Callable[[], None]

    def open(self) -> Storage:
        return open_storage(self.uri, self.data_uri, layout="files")

    def verify(self, **options: Any) -> VerifyReport:
        self.look_again()
        return verify(self.uri, self.data_uri, **options)

    def collect(self, **options: Any) -> CollectReport:
        self.look_again()
        return collect(self.uri, self.data_uri, **options)

    def kinds(self, **options: Any) -> list[tuple[str, str]]:
        return sorted((finding.kind, finding.subject) for finding in self.verify(**options).findings)

    def sql(self, statements: str) -> list[list[Any]]:
        """Run statements; in PostgreSQL with foreign keys and triggers switched off, as in SQLite with the former."""
        if self.server is None:
            connection = apsw.Connection(f"{path_of_file_uri(self.uri)}/metadata.db")
            found = [list(row) for row in connection.execute(statements)]
            connection.close()
            return found
        schema = self.uri.rpartition("=")[2]
        return self.server.execute(
            f'SET search_path = "{schema}"; SET session_replication_role = replica; {statements}'
        )

    def file_of(self, uid: str) -> Path:
        """Return the file of the current version of a record's data."""
        if self.server is None:
            return self.data / self.sql(f"SELECT output_ref FROM records WHERE record_uid = '{uid}'")[0][0]
        ((key, version),) = self.sql(f"SELECT output_ref, data_version FROM records WHERE record_uid = '{uid}'")
        return self.data / f"{key.removesuffix('.json')}.{version}.json"

    def key_of(self, uid: str) -> str:
        """Return the key of a record's data."""
        return str(self.sql(f"SELECT output_ref FROM records WHERE record_uid = '{uid}'")[0][0])

    def objects(self) -> dict[str, bytes]:
        """Return all objects of data, by key."""
        found = (path for path in (*self.data.glob("data/*/*"), *self.data.glob("configs/*")) if path.is_file())
        return {str(path.relative_to(self.data)): path.read_bytes() for path in found}

    def orphan(self, name: str = "ghost") -> str:
        """Leave what a worker leaves that is killed between the putting of data and the commit of its row."""
        version = "" if self.server is None else f".{OLD_VERSION}"
        return self.put(f"data/7f/{name}{version}.json", b'{"ghost":true}\n')

    def put(self, key: str, content: bytes) -> str:
        path = self.data / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return key

    def remove(self, key: str) -> None:
        """Remove an object, through the server if it has one: rclone goes on telling of what it has just written."""
        scheme, _, place = self.data_uri.partition("://")
        bucket, _, prefix = place.partition("/")
        if scheme == "s3":
            Bucket(f"s3://{bucket}").delete(f"{prefix}/{key}")
        else:
            (self.data / key).unlink()

    def is_there(self, key: str) -> bool:
        return (self.data / key).exists()

    def age(self, key: str, seconds: float) -> None:
        """Make an object of a bucket older. (Of a file in a directory, it is the name that is young.)"""
        changed = (self.data / key).stat().st_mtime - seconds
        os.utime(self.data / key, (changed, changed))
