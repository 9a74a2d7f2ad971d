"""Small packs of object stores are put together while others read and write; what is left over is collected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from conformance.packed_remote_stores import PackedPostgresObjectStore, PackedSQLiteObjectStore
from conformance.postgres_stores import Schema
from servers.emptied_schemas import EmptiedSchemas
from servers.postgres import PostgresServer
from starfish_storage import Storage, open_storage
from starfish_storage.data.object_store import ObjectStoreDataHandler
from starfish_storage.errors import ParentNotFoundError
from starfish_storage.generation import generate
from starfish_storage.keys import pack_key
from starfish_storage.maintenance import collect, verify
from starfish_storage.maintenance.packing import pack
from starfish_storage.metadata.postgres import repacking
from starfish_storage.storage.pack_merging import merge_packs
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run

PackedStore = PackedSQLiteObjectStore | PackedPostgresObjectStore


@pytest.fixture(params=["sqlite", "postgres"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, s3_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PackedStore]:
    if request.param == "sqlite":
        yield PackedSQLiteObjectStore(tmp_path, s3_uri)
        return
    monkeypatch.setattr(repacking, "_YOUNG_SECONDS", -60.0)  # as if an hour had passed
    server: PostgresServer = request.getfixturevalue("postgres_server")
    schemas: EmptiedSchemas = request.getfixturevalue("emptied_schemas")
    schema = Schema(server, schemas.take())
    yield PackedPostgresObjectStore(s3_uri, schema)
    schemas.give_back(schema.name)


async def save(storage: Storage, *uids: str, text: str = "first") -> None:
    """Save records one after the other: each has a pack of its own."""
    for uid in uids:
        await storage.save_record(a_record(uid), {"uid": uid, "text": text})


async def texts(storage: Storage) -> dict[str, str]:
    """Return what each record says, read by scanning, and see that it can be read by its reference, too."""
    found = {
        str(one.record_uid): await storage.get_record_data(str(one.output_ref))
        async for batch in storage.scan_records(MASTER_JOB)
        for one in batch
    }
    scanned = [one async for batch in storage.scan_records(MASTER_JOB) for one in batch]
    assert all(one.error is None for one in scanned), scanned
    return {uid: data["text"] for uid, data in found.items()}


async def test_small_packs_are_put_together_while_others_write(store: PackedStore) -> None:
    uids = [f"r{number}" for number in range(12)]
    async with store.open() as storage, store.open() as other:
        await save_run(storage)
        await save(storage, *uids)
        before = store.pack_names()
        assert len(before) == len(uids)
        repacking_of_other: Any = cast("Any", other).metadata.repacking
        move = repacking_of_other.move

        async def write_meanwhile(*arguments: Any) -> int:
            await save(storage, "r3", text="second")  # by another process, after it was read
            await save(storage, "new")
            return await move(*arguments)

        seen: list[tuple[int, int]] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(repacking_of_other, "move", write_meanwhile)
            report = await merge_packs(other, MASTER_JOB, progress=lambda done, total: seen.append((done, total)))
        assert (report.records, report.packs, report.is_whole) == (11, 12, True)
        assert seen[-1][0] == seen[-1][1]
        for reader in (storage, other):
            assert await texts(reader) == {**dict.fromkeys(uids, "first"), "r3": "second", "new": "first"}
        assert not before & store.pack_names()
        assert (await merge_packs(other, MASTER_JOB)).packs == 3  # the large one is still small, and two were new
        assert len(store.pack_names()) == 1
        assert (await merge_packs(other)).packs == 0
    report = verify(*store.places, grace=timedelta(0))
    assert report.is_sound, str(report)
    assert report.packs == 1


async def test_the_end_of_a_run_puts_its_packs_together(store: PackedStore) -> None:
    async def answer(number: int) -> dict[str, int]:
        return {"number": number}

    async with store.open() as storage:
        inputs = [{"number": number} for number in range(25)]
        run = await generate(storage, answer, inputs, project="p", max_concurrency=1, progress="quiet")
        assert run.status == "completed"
        assert len(store.pack_names()) == 1
        found = [one async for batch in storage.scan_records(run.master_job_id) for one in batch]
        assert len(found) == 25
        assert all(one.error is None for one in found)
        few = await generate(storage, answer, inputs[:5], project="p", max_concurrency=1, progress="quiet")
        assert few.status == "completed"
        assert len(store.pack_names()) == 6  # does not pay
        report = await merge_packs(storage, most_bytes=1)
        assert (report.packs, report.is_whole) == (0, False)


async def test_what_is_young_is_left_for_collect(store: PackedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of it may be about to be committed: with rows in PostgreSQL, a group that is put is several for commit."""
    monkeypatch.setattr(repacking, "_YOUNG_SECONDS", 3600.0)
    async with store.open() as storage:
        await save_run(storage)
        await save(storage, "r1", "r2")
        packs = store.pack_names()
        report = await merge_packs(storage)
        if isinstance(store, PackedPostgresObjectStore):
            assert (report.packs, report.young) == (0, 2)
            assert packs < store.pack_names()
        assert await texts(storage) == {"r1": "first", "r2": "first"}


async def test_a_dry_run_reads_and_puts_nothing_together(store: PackedStore) -> None:
    """Commands open for reading alone where data lies in a bucket; what the layout is must be known there, too."""
    async with store.open() as storage:
        await save_run(storage)
        await save(storage, "r1", "r2")
    packs = store.pack_names()
    async with open_storage(*store.places, read_only=True) as reading:
        planned = await pack(reading, dry_run=True)
    assert (planned.layout, planned.records, planned.merged_packs) == ("packed", 0, 0)
    assert store.pack_names() == packs


async def test_a_refused_write_leaves_nothing_or_one_object_for_collect(
    store: PackedStore, week_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store.open() as storage:
        await save_run(storage)
        await save(storage, "r1")
        kept = store.pack_names()
        with pytest.raises(ParentNotFoundError):
            await storage.save_record(a_record("r2", job_id="none"), {"uid": "r2"})
        assert store.pack_names() == kept  # nobody else's data lay in it
        monkeypatch.setattr(ObjectStoreDataHandler, "take_back", lambda *_: None)
        with pytest.raises(ParentNotFoundError):
            await storage.save_record(a_record("r2", job_id="none"), {"uid": "r2"})
    (left,) = store.pack_names() - kept
    assert unreferenced(store) == [pack_key(left)]
    assert collect(*store.places, dry_run=True).removed == [pack_key(left)]
    assert collect(*store.places).removed == [pack_key(left)]
    assert store.pack_names() == kept
    assert unreferenced(store) == []


async def test_a_pack_outlives_what_is_replaced_and_deleted_in_it(store: PackedStore) -> None:
    async with store.open() as storage:
        await save_run(storage)
        await save_run(storage, "other", "other-job", "other-project")
        theirs, *_ = await asyncio.gather(  # together: one pack
            storage.save_record(a_record("r1", "other-job", "other"), {"text": "kept"}),
            save(storage, "r2"),
            save(storage, "r3"),
        )
        (pack,) = store.pack_names()
        await save(storage, "r2", text="second")
        await storage.delete_master_job(MASTER_JOB)
        assert await storage.get_record_data(theirs) == {"text": "kept"}
    async with store.open():
        pass  # what was left to be removed is removed now
    assert pack in store.pack_names()
    assert {place.pack for place in store.packed().values()} == {pack}
    if isinstance(store, PackedPostgresObjectStore):
        assert store.noted_removals() == []


async def test_what_collect_removed_is_no_longer_unused(store: PackedStore, week_later: None) -> None:
    async with store.open() as storage:
        await save_run(storage)
        await save(storage, "r1", text="first")
        assert (await storage.measure_size()).unused in (0, None)
        (pack,) = store.pack_names()
        await save(storage, "r1", text="second")
        unused = (await storage.measure_size()).unused
        assert unused is None or unused > 0
        assert f"data/packs/{pack}.jsonl" in collect(*store.places).removed
        assert (await storage.measure_size()).unused in (0, None)


async def test_packs_that_are_mostly_dead_are_written_anew(store: PackedStore, week_later: None) -> None:
    async with store.open() as storage:
        await save_run(storage)
        uids = [f"r{number}" for number in range(10)]
        await storage.save_records((a_record(uid), {"uid": uid, "text": "first"}) for uid in uids)
        (pack,) = store.pack_names()
        await save(storage, *uids[:2], text="second")
        assert collect(*store.places).packs_rewritten == 0  # not enough
        await save(storage, *uids[2:5], text="second")
        planned = collect(*store.places, dry_run=True)
        assert (planned.packs_rewritten, planned.bytes_freed > 0) == (1, True)
        assert collect(*store.places).packs_rewritten == 1
        assert pack not in store.pack_names()
        assert await texts(storage) == {**dict.fromkeys(uids[:5], "second"), **dict.fromkeys(uids[5:], "first")}
    report = verify(*store.places)
    assert report.is_sound, str(report)


async def test_damage_in_packs_is_found(store: PackedStore, week_later: None) -> None:
    async with store.open() as storage:
        await save_run(storage)
        await save(storage, "r1", "r2", "r3")
    places = store.packed()
    keys = {uid: next(key for key in places if f"/{uid}." in key) for uid in ("r1", "r2", "r3")}
    store.raw_write(places[keys["r1"]].key, b'{"uid":"other"}')
    store.raw_delete(keys["r2"])
    damage = {(one.kind, one.subject) for one in verify(*store.places).damage}
    assert damage >= {("data_damaged", keys["r1"]), ("data_missing", keys["r2"])}
    assert keys["r3"] not in {subject for _, subject in damage}
    assert unreferenced(store) == [pack_key(places[keys["r2"]].pack)]


def unreferenced(store: PackedStore) -> list[str]:
    return [one.subject for one in verify(*store.places).findings if one.kind == "data_unreferenced"]
