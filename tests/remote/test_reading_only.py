"""A store in PostgreSQL that is opened with ``read_only=True``: nothing is made, migrated, marked or written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from cli.calling import call
from durability import reading_stores, workload
from migrations.stores import on_disk
from remote.stores import SHORT, rows, schema_of
from servers.postgres import PostgresServer
from starfish_storage import StorageError, StoreOpenError, StoreVersionError, open_storage
from starfish_storage.keys import MARK_KEY
from starfish_storage.metadata.handler import SQLMetadataHandler
from starfish_storage.storage.postgres import PostgresStorage
from starfish_storage.uri import without_password


async def fill(uri: str, data: Path) -> dict[str, object]:
    async with open_storage(uri, data) as storage:
        await workload.prepare(storage)
        await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))
        return await reading_stores.look(storage)


async def test_everything_is_read_and_nothing_written(
    tmp_path: Path, postgres_uri: str, postgres_server: PostgresServer
) -> None:
    there = await fill(postgres_uri, tmp_path)
    (tmp_path / MARK_KEY).unlink()  # as before its first opening; only a writer leaves it
    before, settings = on_disk(tmp_path), rows(postgres_server, postgres_uri, "SELECT * FROM {}.settings ORDER BY 1")
    async with open_storage(postgres_uri, tmp_path, read_only=True) as storage:
        assert await reading_stores.look(storage) == there
        await reading_stores.check_refusals(storage, without_password(postgres_uri))
        assert await reading_stores.look(storage) == there
    assert on_disk(tmp_path) == before
    assert rows(postgres_server, postgres_uri, "SELECT * FROM {}.settings ORDER BY 1") == settings


async def test_the_server_would_refuse_a_write(tmp_path: Path, postgres_uri: str) -> None:
    await fill(postgres_uri, tmp_path)
    async with PostgresStorage(postgres_uri, tmp_path.as_uri(), read_only=True, patience=SHORT) as storage:
        database = cast(SQLMetadataHandler, storage.metadata)._database
        with pytest.raises(StorageError, match="takes no writes"):
            await database.all_at_once("DELETE FROM records RETURNING 1", ())


async def test_no_store_is_made_and_none_migrated(
    tmp_path: Path, postgres_uri: str, postgres_server: PostgresServer
) -> None:
    with pytest.raises(StoreOpenError, match="does not hold a store"):
        await open_storage(postgres_uri, tmp_path, read_only=True).setup()
    query = f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema_of(postgres_uri)}'"
    assert not postgres_server.execute(query)
    assert list(tmp_path.iterdir()) == []
    await fill(postgres_uri, tmp_path)
    rows(postgres_server, postgres_uri, "UPDATE {}.settings SET value = '0' WHERE name = 'schema_version'")
    with pytest.raises(StoreVersionError, match=r"its schema is 0, .* run 'starfish-storage migrate'"):
        await open_storage(postgres_uri, tmp_path, read_only=True).setup()
    version = rows(postgres_server, postgres_uri, "SELECT value FROM {}.settings WHERE name = 'schema_version'")
    assert version == [["0"]]


async def test_the_data_of_another_store_is_refused(tmp_path: Path, postgres_uri: str) -> None:
    await fill(postgres_uri, tmp_path / "data")
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreOpenError, match="is not there"):
        await open_storage(postgres_uri, tmp_path / "other", read_only=True).setup()
    assert list((tmp_path / "other").iterdir()) == []


def test_commands(tmp_path: Path, postgres_uri: str) -> None:
    asyncio.run(fill(postgres_uri, tmp_path))
    place = ("--store", postgres_uri, "--data-uri", str(tmp_path), "--read-only")
    assert "r1" in call("record", "r1", *place).out
    refused = call("cancel", workload.MASTER, *place)
    assert (refused.status, "--read-only was given" in refused.err) == (2, True)
