"""Stores with rows in PostgreSQL and data in a directory, and ways to damage them past the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maintenance import stores
from servers.postgres import PostgresServer
from starfish_storage import Storage, open_storage
from starfish_storage.maintenance import CollectReport, VerifyReport, collect, verify


@dataclass(frozen=True)
class RemoteStore:
    """A store, and the server that has its rows."""

    uri: str
    data: Path
    server: PostgresServer

    @property
    def data_uri(self) -> str:
        return self.data.as_uri()

    @property
    def schema(self) -> str:
        return self.uri.rpartition("=")[2]

    def open(self) -> Storage:
        return open_storage(self.uri, self.data_uri)

    def verify(self, **options: Any) -> VerifyReport:
        return verify(self.uri, self.data_uri, **options)

    def collect(self, **options: Any) -> CollectReport:
        return collect(self.uri, self.data_uri, **options)

    def sql(self, statements: str) -> list[list[str]]:
        """Run statements in the store's schema, with foreign keys and triggers switched off."""
        return self.server.execute(
            f'SET search_path = "{self.schema}"; SET session_replication_role = replica; {statements}'
        )

    def kinds(self, **options: Any) -> list[tuple[str, str]]:
        return sorted((finding.kind, finding.subject) for finding in self.verify(**options).findings)

    def object_of(self, uid: str) -> Path:
        """Return the file of the current version of a record's data."""
        ((key, version),) = self.sql(f"SELECT output_ref, data_version FROM records WHERE record_uid = '{uid}'")
        return self.data / f"{key.removesuffix('.json')}.{version}.json"

    def key_of(self, path: Path) -> str:
        return str(path.relative_to(self.data))

    def objects(self) -> list[Path]:
        return sorted([*self.data.glob("data/*/*"), *self.data.glob("configs/*")])

    def orphan(self, name: str = "ghost", version: str = "0123456789abcdef0123") -> Path:
        """Leave what a worker leaves that is killed between the putting of data and the commit of its row."""
        path = self.data / "data" / "7f" / f"{name}.{version}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'{"ghost":true}\n')
        return path


async def make(store: RemoteStore, records: int = stores.RECORDS) -> None:
    await stores.fill(store.open(), records)


def found(report: VerifyReport) -> Sequence[tuple[str, str]]:
    return sorted((finding.kind, finding.subject) for finding in report.findings)
