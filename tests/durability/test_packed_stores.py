"""Packed stores on disks that fill up or fail, killed, cut, and written by several at a time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from durability import processes, workload
from durability.faults import FaultyStorage, Steps, fail
from durability.file_systems import Mounted
from starfish_storage import (
    InvalidReferenceError,
    LocalStorage,
    ParentNotFoundError,
    Storage,
    StorageError,
    StorageFullError,
)
from starfish_storage.data import pack_owning
from starfish_storage.maintenance import verify


def padded(size: int) -> dict[str, str]:
    return {"text": "x" * size}


async def save(storage: Storage, uid: str, size: int) -> None:
    await storage.save_record(workload.record(uid, 1), padded(size))


async def sizes_of(storage: Storage) -> dict[str, int]:
    """Read everything."""
    found: dict[str, int] = {}
    async for record in storage.iter_records(workload.MASTER):
        assert record.output_ref is not None
        found[record.record_uid] = len((await storage.get_record_data(record.output_ref))["text"])
    return found


def packs_of(root: Path) -> list[Path]:
    return sorted((root / "data" / "packs").iterdir())


async def test_of_a_group_that_does_not_fit_the_disk_the_smaller_calls_succeed(disk: Mounted) -> None:
    root = disk.path / "store"
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        await save(storage, "first", 10)
        free = os.statvfs(disk.path).f_bavail * os.statvfs(disk.path).f_bsize
        (disk.path / "ballast").write_bytes(bytes(free - 1_000_000))
        sizes = {"a": 700_000, "b": 10, "c": 2_000_000, "d": 20_000, "e": 10}  # each takes twice its size: the journal
        outcomes = await asyncio.gather(
            *(save(storage, uid, size) for uid, size in sizes.items()), return_exceptions=True
        )
        refused = [uid for uid, outcome in zip(sizes, outcomes, strict=True) if outcome is not None]
        assert refused == ["a", "c"]
        assert all(isinstance(outcome, StorageFullError) for outcome in outcomes if outcome is not None)
        assert await sizes_of(storage) == {"first": 10, "b": 10, "d": 20_000, "e": 10}
        (pack,) = packs_of(root)
        assert pack.stat().st_size < 50_000
        (disk.path / "ballast").unlink()
        await save(storage, "a", 700_000)
    async with LocalStorage(root.as_uri()) as storage:
        assert await sizes_of(storage) == {"first": 10, "a": 700_000, "b": 10, "d": 20_000, "e": 10}


async def test_what_a_checkpoint_syncs_is_the_pack_and_the_row_log_and_not_the_whole_disk(tmp_path: Path) -> None:
    steps = Steps()
    storage = FaultyStorage(tmp_path / "store", steps, layout="packed")
    await storage.setup()
    await workload.prepare(storage)
    await storage.close()
    storage = FaultyStorage(tmp_path / "store", steps)
    await storage.setup()
    await save(storage, "r1", 10)
    await save(storage, "r2", 10)
    steps.taken.clear()
    await storage.close()
    # The row log, the pack, and the directories of the new pack; then the row log, which says that it was closed.
    assert [step for step in steps.taken if "sync" in step and "metadata" not in step] == ["fsync"] * 6
    assert steps.count("syncfs") == 0


async def test_a_pack_that_cannot_be_synced_is_written_anew(tmp_path: Path) -> None:
    """A failed fsync is not repeated into a success."""
    failed = threading.Event()
    steps = Steps()
    fail_it = fail("fsync", at=2)  # the first is of the row log

    def before(number: int, step: str) -> None:
        try:
            fail_it(number, step)
        except OSError:
            failed.set()
            raise

    storage = FaultyStorage(tmp_path / "store", steps, layout="packed")
    await storage.setup()
    await workload.prepare(storage)
    await save(storage, "r1", 10)
    steps.before = before
    await save(storage, "r2", 10)
    written = steps.count("append")
    assert await asyncio.to_thread(failed.wait, 30), "an idle store is synced by itself"
    await storage.close()
    assert steps.count("append") > written
    async with LocalStorage((tmp_path / "store").as_uri()) as reopened:
        assert await sizes_of(reopened) == {"r1": 10, "r2": 10}


def lose_the_end(packs: Path) -> None:
    (pack,) = packs.iterdir()
    os.truncate(pack, 30)


def lose_the_content(packs: Path) -> None:
    (pack,) = packs.iterdir()
    pack.write_bytes(bytes(pack.stat().st_size))


KILLED = """
import asyncio, os, signal, sys
from durability import test_packed_stores, workload
from starfish_storage import LocalStorage
async def main():
    storage = LocalStorage("file://" + sys.argv[1], layout="packed")
    await storage.setup()
    await workload.prepare(storage)
    for number in range(3):
        await test_packed_stores.save(storage, f"r{number}", 100)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_what_a_power_cut_took_from_a_pack_is_read_from_the_journal_and_put_back(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    status, _, errors = processes.run(["-c", KILLED, str(killed)])
    assert status == -signal.SIGKILL, errors
    found = {f"r{number}": 100 for number in range(3)}
    for number, lose in enumerate((lose_the_end, lose_the_content, shutil.rmtree)):
        root = tmp_path / f"store-{number}"
        shutil.copytree(killed, root)
        (pack,) = packs_of(root)
        before = pack.read_bytes()
        lose(pack.parent)
        async with LocalStorage(root.as_uri(), read_only=True) as storage:
            assert await sizes_of(storage) == found
        async with LocalStorage(root.as_uri()) as storage:
            assert pack.read_bytes() == before
            await save(storage, "r3", 100)
            assert await sizes_of(storage) == found | {"r3": 100}
        assert packs_of(root) == [pack]


SEVERAL = """
import asyncio, sys
from durability import test_packed_stores, workload
from starfish_storage import LocalStorage
async def main():
    async with LocalStorage("file://" + sys.argv[1]) as storage:
        for number in range(10):
            await test_packed_stores.save(storage, f"{sys.argv[2]}-{number}", 100)
        print("saved", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


async def test_each_process_has_a_pack_of_its_own_which_the_next_goes_on_with(tmp_path: Path) -> None:
    root = tmp_path / "store"
    expected = {f"a-{number}": 100 for number in range(10)} | {"b": 100, "c": 100}
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        await save(storage, "b", 100)
        with processes.start(["-c", SEVERAL, str(root), "a"]) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "saved\n"
            first, second = packs_of(root)
            before = first.read_bytes()
            writer.kill()
    async with LocalStorage(root.as_uri()) as storage:
        await save(storage, "c", 100)
        assert await sizes_of(storage) == expected
    assert packs_of(root) == [first, second]
    assert first.read_bytes() == before
    assert second.read_bytes().count(b"\n") == 11


async def test_nothing_is_written_through_links_that_were_planted(tmp_path: Path) -> None:
    root, outside = tmp_path / "store", tmp_path / "outside"
    outside.mkdir()
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        (root / "data" / "packs").symlink_to(outside)
        with pytest.raises(InvalidReferenceError, match="data/packs"):
            await save(storage, "r1", 10)
        assert list(outside.iterdir()) == []
        (root / "data" / "packs").unlink()
        (root / "data" / "packs").mkdir()
        (root / "data" / "packs" / "000001.jsonl").symlink_to(outside / "file")
        os.mkfifo(root / "data" / "packs" / "000002.jsonl")
        await save(storage, "r1", 10)
        assert await sizes_of(storage) == {"r1": 10}
        assert packs_of(root)[2:] == [root / "data" / "packs" / "000003.jsonl"]
    assert list(outside.iterdir()) == []


async def test_a_packed_store_on_a_disk_that_cannot_be_written_is_read(disk: Mounted) -> None:
    root = disk.path / "store"
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        await save(storage, "r1", 10)
    disk.remount("ro")
    async with LocalStorage(root.as_uri()) as storage:
        assert await sizes_of(storage) == {"r1": 10}
        with pytest.raises(StorageError):
            await save(storage, "r2", 10)


async def test_what_is_refused_is_cut_off_or_is_dead_and_never_committed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    unknown = workload.record("refused", 1, job="unknown")

    async def refuse(storage: Storage) -> None:
        with pytest.raises(ParentNotFoundError):
            await storage.save_record(unknown, padded(100))

    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        await refuse(storage)
        with pytest.raises(ParentNotFoundError):  # also of one that it names twice
            await storage.save_records([(unknown, padded(size)) for size in (10, 20, 30)])
        assert [pack.stat().st_size for pack in packs_of(root)] == [0]
    assert packs_of(root) == []
    async with LocalStorage(root.as_uri()) as storage:
        await asyncio.gather(save(storage, "r1", 10), refuse(storage), save(storage, "r2", 10), refuse(storage))
        (pack,) = packs_of(root)
        assert pack.read_bytes().endswith(b'{"text":"xxxxxxxxxx"}\n')
    async with LocalStorage(root.as_uri()) as storage:
        await save(storage, "r3", 10)
        assert await sizes_of(storage) == {"r1": 10, "r2": 10, "r3": 10}
        assert packs_of(root) == [pack]
    assert verify(root.as_uri()).findings == ()


async def test_of_a_batch_that_names_a_record_twice_the_last_is_kept(tmp_path: Path) -> None:
    """Also where it is the end of the pack, and another process goes on with that."""
    root = tmp_path / "store"
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        batch = [(workload.record(uid, 1), padded(size)) for uid, size in (("a", 10), ("b", 20), ("a", 30))]
        await storage.save_records(batch)
    async with LocalStorage(root.as_uri()) as storage:
        await save(storage, "c", 40)
        assert await sizes_of(storage) == {"a": 30, "b": 20, "c": 40}
    assert len(packs_of(root)) == 1


@pytest.mark.parametrize(
    ("largest", "size"), [(50_000, 1000), pytest.param(pack_owning.LARGEST_PACK, 1_000_000, marks=pytest.mark.slow)]
)
async def test_full_packs_are_followed_by_others_while_many_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, size: int
) -> None:
    monkeypatch.setattr(pack_owning, "LARGEST_PACK", largest)
    root = tmp_path / "store"
    uids = [f"r{number}" for number in range(160)]
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)

        async def writer(first: int) -> None:
            for uid in uids[first::4]:
                await save(storage, uid, size)

        await asyncio.gather(*(writer(first) for first in range(4)))
        assert await sizes_of(storage) == dict.fromkeys(uids, size)
    packs = [pack.stat().st_size for pack in packs_of(root)]
    assert all(largest - 4 * (size + 20) < pack <= largest for pack in packs[:-1])
    assert len(packs) == 160 * (size + 12) // largest + 1
    assert verify(root.as_uri()).findings == ()
