"""What change feeds tell: every change, whatever the engine does with the places of rows, and little beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servers.postgres import PostgresServer
from starfish_storage import Storage, open_storage
from starfish_storage.interface import ChangeFeed
from starfish_storage.storage.postgres import PostgresStorage
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run


async def told(feed: ChangeFeed, cursor: str | None) -> tuple[set[str], str]:
    """Return the records that a feed tells of from a cursor on, until nothing is left, and where that is."""
    uids: set[str] = set()
    while True:
        changed = await feed.list_changed(cursor)
        uids |= set(changed.stamps)
        cursor = changed.cursor
        if changed.is_last:
            return uids, cursor


async def save(storage: Storage, uids: list[str], word: str, **where: str) -> None:
    await storage.save_records((a_record(uid, **where), {"text": word}) for uid in uids)


def feed_of(storage: Any) -> ChangeFeed:
    return storage.metadata.changes


async def test_rows_in_places_that_became_free(
    postgres_uri: str, postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In PostgreSQL new rows go where deleted ones were; they are found, and what did not change is not told again."""
    monkeypatch.setattr("starfish_storage.metadata.postgres.change_feed._NEW_BLOCKS", 2)
    monkeypatch.setattr("starfish_storage.metadata.postgres.change_feed._BLOCKS", 2)
    async with PostgresStorage(postgres_uri, tmp_path.as_uri()) as storage:
        await save_run(storage)
        await save_run(storage, "master-2", "job-2")
        old, kept = [f"old{at:03}" for at in range(150)], [f"kept{at:03}" for at in range(150)]
        await save(storage, old, "first")
        await save(storage, kept, "second", job_id="job-2", master_job_id="master-2")
        uids, cursor = await told(feed_of(storage), None)
        assert uids == {*old, *kept}
        await storage.delete_master_job(MASTER_JOB)
        schema = postgres_uri.partition("schema=")[2]
        postgres_server.execute(f'VACUUM "{schema}".records')
        await save(storage, ["new"], "third", job_id="job-2", master_job_id="master-2")
        await save(storage, ["kept000"], "changed", job_id="job-2", master_job_id="master-2")
        uids, cursor = await told(feed_of(storage), cursor)
        assert {"new", "kept000"} <= uids
        assert len(uids) < 100, "the server returns what changed, and the last blocks"
        assert len((await told(feed_of(storage), cursor))[0]) < 100


@pytest.mark.parametrize("cursor", ["", "x", "[]", '{"source": "another"}'])
async def test_a_strange_cursor_begins_anew(tmp_path: Path, cursor: str) -> None:
    async with open_storage(tmp_path) as storage:
        await save_run(storage)
        await save(storage, ["one", "two"], "word")
        assert (await told(feed_of(storage), cursor))[0] == {"one", "two"}


async def test_numbers_of_rows_that_were_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In SQLite a new row may have the number of one that was there before; it is told all the same."""
    monkeypatch.setattr("starfish_storage.metadata.sqlite.change_feed._NEW_AT_ONCE", 3)
    monkeypatch.setattr("starfish_storage.metadata.sqlite.change_feed._LOOKED_AT_ONCE", 3)
    async with open_storage(tmp_path) as storage:
        await save_run(storage)
        await save_run(storage, "master-2", "job-2")
        await save(storage, [f"kept{at}" for at in range(10)], "word", job_id="job-2", master_job_id="master-2")
        await save(storage, [f"old{at}" for at in range(10)], "word")
        _, cursor = await told(feed_of(storage), None)
        await storage.delete_master_job(MASTER_JOB)
        await save(storage, [f"new{at}" for at in range(10)], "word", job_id="job-2", master_job_id="master-2")
        assert {f"new{at}" for at in range(10)} <= (await told(feed_of(storage), cursor))[0]


async def test_a_store_that_is_left_alone_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starfish_storage.metadata.sqlite.change_feed._SETTLED_SECONDS", -1.0)
    async with open_storage(tmp_path) as storage:
        await save_run(storage)
        await save(storage, ["one", "two"], "word")
        uids, cursor = await told(feed_of(storage), None)
        assert uids == {"one", "two"}
        assert (await told(feed_of(storage), cursor))[0] == set()
