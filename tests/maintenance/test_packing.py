"""Changing the layout of a store in use: what every reference names stays, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from durability import workload
from maintenance import stores
from maintenance.conftest import filled
from maintenance.remote_stores import RemoteStore
from maintenance.test_versions import retried
from migrations import stores as frozen
from starfish_storage import (
    LocalStorage,
    MissingExtraError,
    Record,
    Storage,
    StoreDamagedError,
    StoreOpenError,
    open_storage,
)
from starfish_storage.export import export
from starfish_storage.interface import Layout
from starfish_storage.keys import record_key
from starfish_storage.maintenance import verify
from starfish_storage.maintenance.compressing import compress
from starfish_storage.maintenance.packing import pack, unpack
from starfish_storage.maintenance.packing_report import PackingReport

EARLY = "data/f4/early.json"
"""Data that was saved, and whose record was not yet."""

_OF_PLACES = {"packed_data", "packs", "data_journal", "settings", "sqlite_sequence"}


async def made(root: Path, layout: Layout = "files", seed: int = 1) -> None:
    """Make a store with records of any size, versions, borrowed data, and data that no record refers to yet."""
    chance = random.Random(seed)
    await stores.make(root, layout=layout)
    async with LocalStorage(root) as storage:
        await workload.prepare(storage)
        await retried(storage, workload.MASTER)
        for number in range(4):
            record = Record(record_uid=f"any size {number}", job_id="m1-a", master_job_id="m1", status="completed")
            size = chance.choice((0, 10, 100_000, 300_000))  # the last over a frame of a compressed pack
            await storage.save_record(record, {"é": "x" * size, "n": chance.random(), "of": [None, 2**70]})
        lent = await storage.get_record_metadata("r0001")
        assert lent is not None
        await storage.log_record_metadata(
            Record(
                record_uid="borrower", job_id="m1-b", master_job_id="m1", status="completed", output_ref=lent.output_ref
            )
        )
        await storage.save_record_data("early", "m1", "m1-a", {"no": "row yet"})


async def contents(storage: Storage) -> dict[str, object]:
    """Return what lies under every reference, and each version."""
    found: dict[str, object] = {}
    references = {EARLY}
    for job in await storage.list_master_jobs():
        async for record in storage.iter_records(job.master_job_id):
            references.add(record.output_ref or EARLY)
            for version in await storage.ledger.list_versions(record.record_uid):
                data = await storage.ledger.get_version_data(record.record_uid, version.number)
                found[f"version {record.record_uid} {version.number}"] = data
    for reference in references:
        found[reference] = b"".join([part async for part in storage.iter_record_data(reference)])
    return found


async def contents_of(root: Path) -> dict[str, object]:
    async with LocalStorage(root) as storage:
        return await contents(storage)


def rows(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row that does not say where data lies."""
    connection = apsw.Connection(str(root / "metadata.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        names = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in {*names} - _OF_PLACES}
    finally:
        connection.close()


def layout_of(root: Path) -> str:
    connection = apsw.Connection(str(root / "metadata.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return str(next(connection.execute("SELECT value FROM settings WHERE name = 'layout'"))[0])
    finally:
        connection.close()


def files(root: Path) -> list[str]:
    """Return the files of data, without packs."""
    return sorted(path.name for path in root.glob("data/*/*.json"))


def packs(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("data/packs/*"))


async def packed(root: Path, run: str | None = None, *, compressed: bool = False) -> PackingReport:
    async with LocalStorage(root) as storage:
        report = await pack(storage, run)
    if compressed:
        async with LocalStorage(root) as storage:
            await compress(storage, report)
    return report


async def unpacked(root: Path, run: str | None = None) -> PackingReport:
    async with LocalStorage(root) as storage:
        return await unpack(storage, run)


@pytest.mark.parametrize(("layout", "seed"), [("files", 1), ("packed", 2)])
async def test_there_and_back_everything_stays_as_it_was(tmp_path: Path, layout: Layout, seed: int) -> None:
    root = tmp_path / "store"
    await made(root, layout, seed)
    before, known = await contents_of(root), rows(root)
    assert (await unpacked(root)).left == []  # of one that is packed, the other way round first
    assert (packs(root), layout_of(root)) == ([], "files")
    many = len(files(root))
    assert many > stores.RECORDS
    for first in (True, False):
        report = await packed(root, compressed=True)
        assert report.left == []
        assert (report.records, report.packs) == ((many, 1) if first else (0, 0))
        assert (files(root), layout_of(root)) == ([], "packed")
        assert [name.partition(".")[2] for name in packs(root)] == ["jsonl.zst"]
        assert await contents_of(root) == before
        assert rows(root) == known
        assert (verify(root).damage, verify(root).records) == ([], 51)
    report = await unpacked(root)
    assert (report.records, report.removed_packs, report.left) == (many, 1, [])
    assert (len(files(root)), packs(root), layout_of(root)) == (many, [], "files")
    assert await contents_of(root) == before
    assert rows(root) == known
    assert verify(root).damage == []


async def test_only_a_run(tmp_path: Path) -> None:
    root = tmp_path / "store"
    await made(root)
    before, many = await contents_of(root), len(files(root))
    report = await packed(root, workload.MASTER)
    assert (report.records, len(files(root)), layout_of(root)) == (6, many - 6, "files")  # with two versions
    report = await packed(root, "m1", compressed=True)
    assert len(files(root)) == many - 6 - report.records
    assert report.records == 20 + 4 + 1  # the last is borrowed from another run
    assert "early.json" in files(root)
    assert report.packs == 1
    async with LocalStorage(root) as storage:  # what is written anew goes where new data goes
        record = Record(record_uid="r0000", job_id="m1-a", master_job_id="m1", status="completed")
        before[await storage.save_record(record, {"n": 2})] = b'{"n":2}\n'
        before["version r0000 1"] = {"n": 2}
        assert await contents(storage) == before
    assert "r0000.json" in files(root)
    assert (await unpacked(root, "m1")).records == 24
    assert (await unpacked(root, workload.MASTER)).removed_packs == 1
    assert len(files(root)) == many
    assert await contents_of(root) == before


async def test_everything_reads_compressed_packs_as_it_reads_files(tmp_path: Path) -> None:
    root = tmp_path / "store"
    await made(root)

    async def exported(name: str) -> bytes:
        async with LocalStorage(root) as storage:
            await export(storage, tmp_path / name, master_job_ids=["m1", "M2"])
            scanned = [one.payload async for page in storage.scan_records("m1") for one in page]
            assert all(scanned)
            with_data = [one.output_ref for one in await storage.get_records_for_master_job("m1")]
            assert None not in await storage.get_records_data([one for one in with_data if one])
        return (tmp_path / name).read_bytes()

    before = await exported("before.jsonl")
    await packed(root, compressed=True)
    assert await exported("after.jsonl") == before


async def test_what_is_damaged_or_missing_stays_and_is_said(tmp_path: Path) -> None:
    root = tmp_path / "store"
    await stores.make(root)
    stores.flip_bit(stores.file_of(root, 3))
    stores.file_of(root, 4).unlink()
    for _ in range(2):
        report = await packed(root)
        assert [(key[-10:], reason[:25]) for key, reason in report.left] == [
            ("r0003.json", "it is not what was saved ")
        ]
        assert (files(root), layout_of(root)) == (["r0003.json"], "mixed")
    report = await packed(root, "m1")
    assert [(key[-10:], reason) for key, reason in report.left] == [("r0004.json", "it is missing")]
    async with LocalStorage(root) as storage:
        with pytest.raises(StoreDamagedError):
            await storage.get_record_data(str(stores.file_of(root, 3)))
    pack_file = root / "data/packs/000001.jsonl"
    pack_file.write_bytes(pack_file.read_bytes().replace(b"record 7", b"record 9", 1))
    report = await unpacked(root)
    assert [(key[-10:], reason[:18]) for key, reason in report.left] == [("r0007.json", "it is not what was")]
    assert packs(root) == ["000001.jsonl"]
    assert len(files(root)) == stores.RECORDS - 2


async def test_of_a_store_of_starfish_what_it_says_stays(tmp_path: Path) -> None:
    root = tmp_path / "store"
    async with frozen.unpack("starfish-0.1.3", root) as storage:
        references = [
            one.output_ref or ""
            for job in await storage.list_master_jobs()
            for one in await storage.get_records_for_master_job(job.master_job_id)
        ]
        references = [one for one in references if one]
        before = await storage.get_records_data(references)
        assert len(before) > 10
        report = await pack(storage)
        assert report.left == []
    assert list(root.glob("data/*/*/*.json")) == []
    assert all(line.startswith(b"{") for line in (root / "data/packs/000001.jsonl").read_bytes().splitlines())
    assert verify(root).without_digest == 0
    for _ in range(2):
        async with LocalStorage(root) as storage:
            assert await storage.get_records_data(references) == before
            await unpack(storage)


async def test_others_read_and_write_meanwhile(tmp_path: Path) -> None:
    """A writer overwrites, adds and deletes, and a reader reads, while the layout changes to and fro."""
    root = tmp_path / "store"
    await stores.make(root, 120)
    written: dict[str, int] = {}
    over = asyncio.Event()

    async def write() -> None:
        chance = random.Random(3)
        async with LocalStorage(root, durability="process") as storage:
            while not over.is_set():
                uid, number = f"r{chance.randrange(150):04}", chance.randrange(10**6)
                record = Record(record_uid=uid, job_id="m1-a", master_job_id="m1", status="completed")
                if await storage.get_record_metadata(uid) in (None, record) or uid in written:
                    await storage.save_record(record, {"number": number})
                    written[uid] = number
                elif int(uid[1:]) % 2 == 0:
                    await storage.save_record_data(uid, "m1", "m1-a", {"number": number})
                    written[uid] = number

    async def read() -> None:
        async with LocalStorage(root, read_only=True) as storage:
            while not over.is_set():
                for master in ("m1", "M2"):
                    found = [one async for page in storage.scan_records(master) for one in page]
                    assert len(found) >= 60
                    assert [one.error for one in found if one.error is not None] == []

    async def change() -> None:
        try:
            async with LocalStorage(root) as storage:
                for _ in range(2):
                    assert (await pack(storage)).left == []
                    assert (await unpack(storage, "M2")).left == []
                    assert (await unpack(storage)).left == []
                assert (await pack(storage)).left == []
        finally:
            over.set()

    async with asyncio.TaskGroup() as group:
        for work in (write, read, change):
            group.create_task(work())
    assert len(written) > 3  # it was let in between
    async with LocalStorage(root) as storage:
        for uid, number in written.items():
            assert await storage.get_record_data(storage.data.to_reference(record_key(uid))) == {"number": number}
    assert verify(root).damage == []


async def test_data_in_an_object_store(make_store: Callable[[str], RemoteStore]) -> None:
    store = await filled(make_store("sqlite, s3"))

    async def texts(storage: Storage) -> list[object]:
        found = [one for job in ("m1", "M2") async for page in storage.scan_records(job) for one in page]
        return [(one.record_uid, one.payload) for one in found]

    async with store.open() as storage:
        before = await texts(storage)
        report = await pack(storage, "m1")
        assert (report.records, report.left) == (stores.RECORDS // 2, [])
        assert await texts(storage) == before
        with pytest.raises(StoreOpenError, match="only where data lies in a directory"):
            await compress(storage, report)
        assert (await pack(storage)).records == stores.RECORDS // 2
        assert await texts(storage) == before
    assert files(store.data.parent) == files(store.data) == []
    assert store.verify().damage == []
    async with open_storage(store.uri, store.data_uri) as storage:
        assert (await unpack(storage)).records == stores.RECORDS
        assert await texts(storage) == before
    assert store.verify().damage == []


async def test_a_store_of_files_in_postgresql_is_refused(tmp_path: Path) -> None:
    storage = open_storage("postgresql://me@localhost/nowhere", tmp_path, layout="files")  # before it is asked
    for change in (pack, unpack):
        with pytest.raises(StoreOpenError, match="are for stores whose rows are in SQLite"):
            await change(storage)


async def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    await stores.make(root)
    await packed(root, compressed=True)
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    async with LocalStorage(root) as storage:
        with pytest.raises(MissingExtraError, match=r"starfish-storage\[zstd\]"):
            await contents(storage)
        with pytest.raises(MissingExtraError, match="Compressed packs need"):
            _ = [page async for page in storage.scan_records("m1")]
        with pytest.raises(MissingExtraError, match="Compressed packs need"):
            await unpack(storage)
        record = Record(record_uid="new", job_id="m1-a", master_job_id="m1", status="completed")
        assert await storage.get_record_data(await storage.save_record(record, {"n": 1})) == {"n": 1}


async def test_a_pack_that_somebody_appends_to_is_compressed_once_it_is_nobodys(tmp_path: Path) -> None:
    root = tmp_path / "store"
    await stores.make(root, layout="packed")
    record = Record(record_uid="new", job_id="m1-a", master_job_id="m1", status="completed")
    async with LocalStorage(root) as writer, LocalStorage(root) as storage:
        await writer.save_record(record, {"n": 1})
        report = await pack(storage)
        await compress(storage, report)
        assert (report.packs, report.packs_in_use, packs(root)) == (0, 1, ["000001.jsonl"])
        reference = await writer.save_record(record, {"n": 2})
        await writer.close()
        await compress(storage, report)
        assert (report.packs, packs(root)) == (1, ["000001.jsonl.zst"])
        assert await storage.get_record_data(reference) == {"n": 2}
        await storage.save_record(record, {"n": 3})
    assert packs(root) == ["000001.jsonl.zst", "000002.jsonl"]
    assert verify(root).damage == []
