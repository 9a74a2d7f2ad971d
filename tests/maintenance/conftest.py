"""Stores on real servers, filled; and a clock that is a week ahead."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from maintenance import stores
from maintenance.remote_stores import RemoteStore
from servers.fixtures import BUCKET
from servers.postgres import PostgresServer
from servers.s3 import S3Server
from starfish_storage.metadata.postgres.inspection import PostgresInspection
from starfish_storage.metadata.sqlite.inspection import SQLiteRowInspection

KINDS = ("postgres, files", "postgres, s3", "sqlite, s3")


@pytest.fixture
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], RemoteStore]]:
    """Make a store of a kind that does not exist yet; afterwards its rows are dropped."""
    made: list[RemoteStore] = []

    def make(kind: str) -> RemoteStore:
        rows, _, data = kind.partition(", ")
        name = f"test_{secrets.token_hex(6)}"
        directory, data_uri, look_again = tmp_path / f"{name} data", "", lambda: None
        if data == "s3":
            prefix = request.getfixturevalue("s3_uri")
            s3: S3Server = request.getfixturevalue("s3_server")
            directory, data_uri, look_again = s3.root / BUCKET / prefix.rpartition("/")[2] / name, "", s3.look_again
            data_uri = f"{prefix}/{name}"
        uri, server = (tmp_path / name).as_uri(), None
        if rows == "postgres":
            running: PostgresServer = request.getfixturevalue("postgres_server")
            running.start()
            uri, server = running.uri(schema=name), running
        made.append(RemoteStore(uri, data_uri or directory.as_uri(), directory, server, look_again))
        return made[-1]

    yield make
    for store in made:
        if store.server is not None:
            store.server.execute(f'DROP SCHEMA IF EXISTS "{store.uri.rpartition("=")[2]}" CASCADE')


@pytest.fixture(params=KINDS)
async def remote(request: pytest.FixtureRequest, make_store: Callable[[str], RemoteStore]) -> RemoteStore:
    """A filled store of each kind."""
    return await filled(make_store(request.param))


@pytest.fixture(params=[kind for kind in KINDS if kind.startswith("postgres")])
async def on_postgres(request: pytest.FixtureRequest, make_store: Callable[[str], RemoteStore]) -> RemoteStore:
    """A filled store of each kind with its rows in PostgreSQL."""
    return await filled(make_store(request.param))


async def filled(store: RemoteStore) -> RemoteStore:
    await stores.fill(store.open())
    return store


@pytest.fixture
def week_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, eight days have passed since everything was made."""
    ahead = int(timedelta(days=8).total_seconds() * 1e9)
    for inspection in (PostgresInspection, SQLiteRowInspection):
        now = inspection.now
        monkeypatch.setattr(inspection, "now", lambda self, now=now: now(self) + ahead)
