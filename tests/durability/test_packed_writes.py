"""Packed writes: their steps, and what is left where one of them fails, is refused, or is cut short by a kill."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from durability import processes, workload
from durability.faults import FaultyStorage, Steps, fail
from starfish_storage import (
    LocalStorage,
    ParentNotFoundError,
    Record,
    StorageFullError,
    StorageIOError,
    StoreOpenError,
    maintenance,
)
from starfish_storage.data import pack_owning
from starfish_storage.keys import record_key
from starfish_storage.metadata.sqlite.connection import Durability

PACKS = "store/data/packs"
BAD = Record(record_uid="bad", job_id="no such job", master_job_id=workload.MASTER)


async def prepared(root: Path, durability: Durability = "power") -> FaultyStorage:
    storage = FaultyStorage(root, Steps(), durability, "packed")
    await storage.setup()
    await workload.prepare(storage)
    return storage


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[FaultyStorage]:
    storage = await prepared(tmp_path / "store")
    await save(storage, "r1", 1)
    yield storage
    storage.steps.before = lambda _number, _step: None
    await storage.close()


async def save(storage: FaultyStorage | LocalStorage, uid: str, version: int) -> str:
    return await storage.save_record(workload.record(uid, version), workload.payload(uid, version))


async def version_of(storage: FaultyStorage | LocalStorage, uid: str) -> int:
    """Return the version of a record, which its row and its data must agree on."""
    found = await storage.get_record_metadata(uid)
    assert found is not None
    assert found.output_ref is not None
    data = await storage.get_record_data(found.output_ref)
    assert data == workload.payload(uid, data["version"])
    assert found.error_message == f"v{data['version']}"
    return data["version"]


async def reopened(root: Path, *uids: str) -> list[int]:
    """Return the versions of records after opening the store once more, which is whole and goes on."""
    async with LocalStorage(root, layout="packed") as storage:
        versions = [await version_of(storage, uid) for uid in uids]
        await workload.check_whole(storage, root)
        await workload.goes_on(storage)
        return versions


def rows(root: Path, text: str) -> list[Any]:
    with closing(apsw.Connection(str(root / "metadata.db"))) as connection:
        return list(connection.execute(text))


def committed(root: Path) -> dict[str, int]:
    return dict(rows(root, "SELECT pack, size FROM packs"))


def taken(storage: FaultyStorage, since: int) -> list[str]:
    return [step.split()[0] for step in storage.steps.taken[since:] if not step.startswith(("page", "syncfs"))]


@pytest.mark.parametrize(
    ("durability", "steps"), [("power", ["append", "sync"]), ("process", ["append"])], ids=["power", "process"]
)
async def test_a_group_is_one_write_and_one_sync(tmp_path: Path, durability: Durability, steps: list[str]) -> None:
    """Of the log, which holds the range too: nothing is renamed, and nothing of a record has a file."""
    storage = await prepared(tmp_path / "store", durability)
    await save(storage, "r1", 1)  # which makes the pack
    before = len(storage.steps.taken)
    await save(storage, "r2", 1)
    assert taken(storage, before) == steps
    before = len(storage.steps.taken)
    await asyncio.gather(*(save(storage, f"g{n}", 1) for n in range(100)))
    groups = taken(storage, before).count("append")
    assert groups <= 10  # of a hundred calls; on a busy machine they do not all come at once
    assert taken(storage, before) == steps * groups
    assert [path.name for path in (tmp_path / "store/data").iterdir()] == ["packs"]
    await storage.close()


async def test_a_file_is_removed_once_what_follows_it_in_a_pack_is_safe(tmp_path: Path) -> None:
    """Also where a power cut may take what was saved last: it would take what was there before as well."""
    root = tmp_path / "store"
    async with LocalStorage(root, layout="files") as files:
        await workload.prepare(files)
        await save(files, "r1", 1)
    workload.let_pack(root)
    storage = FaultyStorage(root, Steps(), "process", None)
    await storage.setup()
    await save(storage, "r2", 1)  # which makes the pack
    before = len(storage.steps.taken)
    await save(storage, "r3", 1)  # replaces nothing
    assert taken(storage, before) == ["append"]
    await save(storage, "r1", 2)
    assert taken(storage, before) == ["append", "append", "sync", "remove"]
    await storage.close()
    assert await reopened(root, "r1", "r2") == [2, 1]


async def test_a_pack_is_synced_before_the_journal_is_emptied(storage: FaultyStorage, tmp_path: Path) -> None:
    await storage.close()
    await storage.setup()
    start = committed(tmp_path / "store")["000001"]
    references = [await save(storage, uid, 1) for uid in ("r2", "r3")]
    length = committed(tmp_path / "store")["000001"] - start
    journal = "SELECT key, length(payload) FROM data_journal"
    journaled = rows(tmp_path / "store", journal)
    assert sum(size for _, size in journaled) == length
    assert journaled[0][0].startswith(f"data/packs/000001.jsonl:{start}+")
    at_syncs: list[Any] = []

    def before(_number: int, step: str) -> None:
        if step.startswith(("fsync", "syncfs")):
            at_syncs.append(rows(tmp_path / "store", journal))

    storage.steps.before = before
    await storage.close()
    assert at_syncs[0] == journaled
    assert rows(tmp_path / "store", journal) == []
    assert [Path(reference).name for reference in references] == ["r2.json", "r3.json"]


STEPS = ["append", "page metadata.db-wal", "sync metadata.db-wal"]


@pytest.mark.parametrize(
    ("step", "number", "family"),
    [
        *((step, errno.EIO, StorageIOError) for step in STEPS),
        *((step, errno.ENOSPC, StorageFullError) for step in STEPS[:2]),
    ],
)
async def test_a_write_that_fails_leaves_the_pack_as_it_was(
    storage: FaultyStorage, tmp_path: Path, step: str, number: int, family: type[StorageIOError]
) -> None:
    """What it appended is cut off, and the next one begins where it did."""
    size = (tmp_path / PACKS / "000001.jsonl").stat().st_size
    storage.steps.before = fail(step, number)
    with pytest.raises(family) as raised:
        await save(storage, "r1", 2)
    assert str(tmp_path) in raised.value.path
    assert await version_of(storage, "r1") == 1
    assert (tmp_path / PACKS / "000001.jsonl").stat().st_size == size
    crashed = tmp_path / "crashed"
    shutil.copytree(tmp_path / "store", crashed, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    assert await reopened(crashed, "r1") == [1]
    await save(storage, "r1", 3)
    assert rows(tmp_path / "store", "SELECT pack, start FROM packed_data") == [("000001", size)]
    await storage.close()
    assert await reopened(tmp_path / "store", "r1") == [3]


async def test_what_cannot_be_cut_off_is_written_over(storage: FaultyStorage, tmp_path: Path) -> None:
    def before(_number: int, step: str) -> None:
        if step.startswith(("sync metadata.db-wal", "truncate")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    size = committed(tmp_path / "store")["000001"]
    storage.steps.before = before
    with pytest.raises(StorageIOError):
        await save(storage, "r2", 4)
    assert (tmp_path / PACKS / "000001.jsonl").stat().st_size > size
    storage.steps.before = lambda _number, _step: None
    await storage.close()  # it may have refused to write more
    await storage.setup()
    await save(storage, "r3", 1)
    assert rows(tmp_path / "store", f"SELECT start FROM packed_data WHERE key = '{record_key('r3')}'") == [(size,)]
    await storage.close()
    assert await reopened(tmp_path / "store", "r1", "r3") == [1, 1]


async def test_a_call_that_is_refused_leaves_no_trace_in_packs(storage: FaultyStorage, tmp_path: Path) -> None:
    """Neither in the journal nor in the size of the pack: the next one gets its place, and none is ever lost."""
    await storage.close()
    await storage.setup()
    sizes = committed(tmp_path / "store")
    for _ in range(2):
        with pytest.raises(ParentNotFoundError):
            await storage.save_record(BAD, {"bad": True})
        assert rows(tmp_path / "store", "SELECT 1 FROM data_journal") == []
    assert committed(tmp_path / "store") == sizes
    await save(storage, "r2", 1)
    await storage.close()
    assert [path.name for path in (tmp_path / PACKS).iterdir()] == ["000001.jsonl"]
    assert await reopened(tmp_path / "store", "r1", "r2") == [1, 1]


async def test_of_a_group_one_bad_call_fails_alone(storage: FaultyStorage, tmp_path: Path) -> None:
    outcomes = await asyncio.gather(
        save(storage, "g1", 1),
        storage.save_record(BAD, {"bad": True}),
        storage.save_records([(workload.record("good", 1), {"good": True}), (BAD, {"bad": True})]),
        save(storage, "g2", 1),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [str, ParentNotFoundError, ParentNotFoundError, str]
    assert await storage.get_record_metadata("good") is None
    await storage.close()
    assert await reopened(tmp_path / "store", "r1", "g1", "g2") == [1, 1, 1]


async def test_a_group_too_large_for_the_disk_is_saved_as_far_as_it_fits(storage: FaultyStorage) -> None:
    """Appending it fails, or its transaction does."""
    for number, step in enumerate(("append", "page metadata.db-wal")):
        storage.steps.before = fail(step, errno.ENOSPC)
        calls = (save(storage, f"g{number}-{n}", 1) for n in range(5))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 11}


async def test_a_pack_that_cannot_be_synced_on_closing_is_written_anew(storage: FaultyStorage, tmp_path: Path) -> None:
    """A failed fsync is not repeated into a success: the next opening writes the ranges once more, from the journal."""
    await storage.close()
    await storage.setup()
    await save(storage, "r2", 1)
    storage.steps.before = fail("fsync")
    await storage.close()
    assert rows(tmp_path / "store", "SELECT count(*) FROM data_journal") == [(1,)]
    storage.steps.taken.clear()
    await storage.setup()
    assert storage.steps.count("append") == 1
    assert "fsync" in storage.steps.taken[storage.steps.taken.index("append") :]
    await storage.close()
    assert rows(tmp_path / "store", "SELECT 1 FROM data_journal") == []
    assert await reopened(tmp_path / "store", "r2") == [1]


async def test_a_full_pack_is_followed_by_another(
    storage: FaultyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_owning, "LARGEST_PACK", 4000)
    for number in range(20):
        await save(storage, f"r{number}", number % 5)
    sizes = committed(tmp_path / "store")
    assert len(sizes) > 2
    assert max(sizes.values()) <= 4000
    await storage.close()
    assert committed(tmp_path / "store") == sizes
    assert await reopened(tmp_path / "store", *(f"r{n}" for n in range(20))) == [n % 5 for n in range(20)]


async def test_an_open_reader_sees_what_is_packed_meanwhile(storage: FaultyStorage, tmp_path: Path) -> None:
    async with LocalStorage(tmp_path / "store", read_only=True) as reader:
        for version in (2, 3):
            await save(storage, "r1", version)
            assert await version_of(reader, "r1") == version


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_a_store_keeps_its_layout(tmp_path: Path, layout: Any) -> None:
    other: Any = {"files": "packed", "packed": "files"}[layout]
    async with LocalStorage(tmp_path, layout=layout):
        pass
    remedy = {"files": "run 'starfish-storage unpack'", "packed": "run 'starfish-storage pack'"}[other]
    with pytest.raises(StoreOpenError, match=rf"'{layout}', not '{other}'.* {remedy}") as raised:
        await LocalStorage(tmp_path, layout=other).setup()
    assert str(tmp_path) in str(raised.value)
    async with LocalStorage(tmp_path) as storage:
        await workload.prepare(storage)
        await save(storage, "r1", 1)
    assert bool(list(tmp_path.glob("data/packs/*"))) == (layout == "packed")


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from durability import workload
from durability.faults import FaultyStorage, Steps
def before(number, step):
    if step.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
async def main():
    steps = Steps()
    storage = FaultyStorage(Path(sys.argv[1]), steps)
    await storage.setup()
    await storage.save_record(workload.record("own", 1), workload.payload("own", 1))
    steps.before = before
    await storage.save_record(workload.record("r1", 2), workload.payload("r1", 2))
    await storage.close()
asyncio.run(main())
"""
APPENDED = """
import asyncio, sys
from pathlib import Path
from durability import workload
from starfish_storage.files.atomic import FileOperations
real = FileOperations.write_at
def write_at(self, descriptor, content, start):
    real(self, descriptor, content, start)
    print("appended", flush=True)
    sys.stdin.readline()
async def main():
    async with workload.opened(Path(sys.argv[1]), "packed") as storage:
        FileOperations.write_at = write_at
        for version in (1, 2):
            await storage.save_record(workload.record("slow", version), workload.payload("slow", version))
asyncio.run(main())
"""


async def test_a_writer_that_stands_still_before_its_commit_keeps_its_pack(tmp_path: Path) -> None:
    """Meanwhile others write, overwrite, delete and collect; what it appended is there when it goes on."""
    root = tmp_path / "store"
    async with LocalStorage(root, layout="packed") as storage:
        await workload.prepare(storage)
        with processes.start(["-c", APPENDED, str(root)]) as slow:
            assert slow.stdin is not None
            assert slow.stdout is not None
            for version in (1, 2):
                assert slow.stdout.readline() == "appended\n"
                await workload.prepare(storage, f"side{version}", f"side-job{version}")
                await save(storage, "r1", version)
                async with LocalStorage(root) as third:
                    for number in range(6):
                        await save(third, "r2", number)
                        side = workload.record(f"s{number}", 1, f"side{version}", f"side-job{version}")
                        await third.save_record(side, workload.payload(f"s{number}", 1))
                    await third.delete_master_job(f"side{version}")
                collected = await asyncio.to_thread(maintenance.collect, root.as_uri(), grace=timedelta(0))
                assert collected.packs_rewritten, "there were dead ranges to be collected"
                slow.stdin.write("\n")
                slow.stdin.flush()
            assert slow.wait(30) == 0
        assert [await version_of(storage, uid) for uid in ("slow", "r1", "r2")] == [2, 2, 5]
    assert await reopened(root, "slow", "r1", "r2") == [2, 2, 5]
    report = maintenance.verify(root.as_uri())
    assert report.is_sound, str(report)


MOMENTS = {"page metadata.db-wal": 1, "sync metadata.db-wal": 2, "fsync": 2}
"""Between appending and the commit, in the commit, and in the checkpoint; and which version of r1 there is then."""


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_neighbour_goes_on_where_a_writer_was_killed(tmp_path: Path, moment: str) -> None:
    """It has a pack of its own, and takes over that of the dead one, whose tail it cuts off."""
    root = tmp_path / "store"
    async with LocalStorage(root, layout="packed") as storage:
        await workload.prepare(storage)
        await save(storage, "r1", 1)
        status, _, errors = await asyncio.to_thread(processes.run, ["-c", KILLED, str(root), moment])
        assert status == -signal.SIGKILL, errors
        assert len(list((tmp_path / PACKS).iterdir())) == 2
        await save(storage, "r2", 1)
        seen = await version_of(storage, "r1")
        assert seen in {1, MOMENTS[moment]}
        third = LocalStorage(root)
        await third.setup()
        await save(third, "r3", 1)
        assert len(list((tmp_path / PACKS).iterdir())) == 2, "the pack of the dead one is not gone on with"
        await third.close()
    assert await reopened(root, "own", "r1", "r2", "r3") == [1, seen, 1, 1]


async def test_what_was_refused_leaves_no_hole_where_a_power_cut_took_the_pack(
    storage: FaultyStorage, tmp_path: Path
) -> None:
    """What lay there between others of its group is no record, but whoever reads the pack finds lines of JSON."""
    await storage.close()
    await storage.setup()
    await asyncio.gather(
        save(storage, "g1", 1), storage.save_record(BAD, {"bad": True}), save(storage, "g2", 1), return_exceptions=True
    )
    crashed = tmp_path / "crashed"
    shutil.copytree(tmp_path / "store", crashed, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    await storage.close()
    (pack,) = crashed.glob("data/packs/*")
    os.truncate(pack, rows(crashed, f"SELECT start FROM packed_data WHERE key = '{record_key('g1')}'")[0][0])
    assert await reopened(crashed, "r1", "g1", "g2") == [1, 1, 1]
