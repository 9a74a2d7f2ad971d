"""Writes that fail: the call says so and why, the version before it stays, and the others of its group succeed."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from durability import workload
from durability.faults import FaultyStorage, Steps, fail
from starfish_storage import (
    InvalidStatusError,
    LocalStorage,
    ParentNotFoundError,
    Record,
    StorageError,
    StorageFullError,
    StorageIOError,
)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[FaultyStorage]:
    storage = FaultyStorage(tmp_path / "store", Steps())
    await storage.setup()
    await workload.prepare(storage)
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


STEPS = ["write", "page metadata.db-wal", "sync metadata.db-wal", "rename"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("number", "family"), [(errno.EIO, StorageIOError), (errno.ENOSPC, StorageFullError)])
async def test_a_failed_overwrite_leaves_the_version_before_it(
    storage: FaultyStorage, tmp_path: Path, step: str, number: int, family: type[StorageIOError]
) -> None:
    storage.steps.before = fail(step, number)
    with pytest.raises(family) as raised:
        await save(storage, "r1", 2)
    assert str(tmp_path) in raised.value.path
    assert await version_of(storage, "r1") == 1
    await save(storage, "r1", 3)
    assert await version_of(storage, "r1") == 3
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}/store") as reopened:
        assert await version_of(reopened, "r1") == 3
        await workload.check_whole(reopened, tmp_path / "store")


@pytest.mark.parametrize("step", STEPS)
async def test_a_failed_new_record_leaves_nothing(storage: FaultyStorage, tmp_path: Path, step: str) -> None:
    storage.steps.before = fail(step)
    with pytest.raises(StorageIOError):
        await save(storage, "r2", 1)
    assert await storage.get_record_metadata("r2") is None
    assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 1}
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}/store") as reopened:
        assert await reopened.get_record_metadata("r2") is None
        assert not list((tmp_path / "store").glob("data/*/r2*"))


@pytest.mark.parametrize("step", ["write", "rename"])
@pytest.mark.parametrize("at", [1, 2, 3])
async def test_a_failed_batch_leaves_every_version_before_it(storage: FaultyStorage, step: str, at: int) -> None:
    await save(storage, "r3", 1)
    await storage.close()
    await storage.setup()  # with an empty journal, which would stand in for a lost file
    storage.steps.before = fail(step, at=at)
    with pytest.raises(StorageIOError):
        await storage.save_records((workload.record(uid, 2), workload.payload(uid, 2)) for uid in ("r1", "r2", "r3"))
    storage.steps.before = lambda _number, _step: None
    assert [await version_of(storage, uid) for uid in ("r1", "r3")] == [1, 1]
    assert await storage.get_record_metadata("r2") is None
    assert not [step for step in os.listdir(storage.data.root + "/staging") if "r2" in step]  # type: ignore[attr-defined]


async def test_one_failed_write_of_a_group_fails_alone(storage: FaultyStorage) -> None:
    storage.steps.before = fail("write", errno.ENOSPC, at=3)
    outcomes = await asyncio.gather(*(save(storage, f"g{n}", 1) for n in range(10)), return_exceptions=True)
    failed = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
    assert failed == [2]
    assert isinstance(outcomes[2], StorageFullError)
    assert [await version_of(storage, f"g{n}") for n in range(10) if n != 2] == [1] * 9


async def test_of_two_writes_of_one_record_at_once_only_the_failed_one_is_taken_back(storage: FaultyStorage) -> None:
    storage.steps.before = fail("rename")
    first, second = await asyncio.gather(save(storage, "r1", 2), save(storage, "r1", 3), return_exceptions=True)
    assert isinstance(first, StorageIOError)
    assert isinstance(second, str)
    assert await version_of(storage, "r1") == 3


async def test_one_bad_row_of_a_group_fails_alone(storage: FaultyStorage) -> None:
    bad = Record(record_uid="bad", job_id="no such job", master_job_id=workload.MASTER)
    odd = workload.record("odd", 1)
    vars(odd)["status"] = "unheard-of"  # past the model's own validation
    outcomes = await asyncio.gather(
        save(storage, "g1", 1),
        storage.save_record(bad, {"bad": True}),
        storage.save_record(odd, {"odd": True}),
        storage.save_records([(workload.record("good", 1), {"good": True}), (bad, {"bad": True})]),
        save(storage, "g2", 1),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], ParentNotFoundError)
    assert isinstance(outcomes[2], InvalidStatusError)
    assert isinstance(outcomes[3], ParentNotFoundError)
    assert await storage.get_record_metadata("good") is None
    assert [await version_of(storage, uid) for uid in ("g1", "g2")] == [1, 1]
    assert await storage.get_record_metadata("bad") is None


async def test_a_long_batch_with_one_bad_row_leaves_nothing(storage: FaultyStorage) -> None:
    """The bad one comes in a later statement than the first rows, which have to be taken back."""
    pairs = [(workload.record(f"b{n}", 1), workload.payload(f"b{n}", 1)) for n in range(70)]
    bad = Record(record_uid="bad", job_id="no such job", master_job_id=workload.MASTER)
    with pytest.raises(ParentNotFoundError, match="no such job"):
        await storage.save_records([*pairs, (bad, {"bad": True})])
    assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 1}
    assert await storage.get_record_metadata("b0") is None


async def test_a_group_too_large_for_the_disk_is_saved_as_far_as_it_fits(storage: FaultyStorage) -> None:
    storage.steps.before = fail("page metadata.db-wal", errno.ENOSPC, at=2)
    outcomes = await asyncio.gather(*(save(storage, f"g{n}", 1) for n in range(5)), return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 6}


async def test_data_that_could_not_be_put_in_place_does_not_come_back(storage: FaultyStorage, tmp_path: Path) -> None:
    """Its row was taken back, and so must its journal entry be: a later opening would put it in place."""
    storage.steps.before = fail("rename")
    with pytest.raises(StorageIOError):
        await save(storage, "r1", 2)
    crashed = copy_as_after_a_kill(tmp_path / "store", tmp_path / "crashed")
    async with LocalStorage(f"file://{crashed}") as reopened:
        assert await version_of(reopened, "r1") == 1


async def test_a_failed_sync_of_the_log_is_never_taken_for_a_commit(storage: FaultyStorage, tmp_path: Path) -> None:
    """The pages of the failed commit are whole in the log; a crash right after must not bring them to life."""
    storage.steps.before = fail("sync metadata.db-wal")
    with pytest.raises(StorageIOError):
        await save(storage, "r1", 2)
    crashed = copy_as_after_a_kill(tmp_path / "store", tmp_path / "crashed")
    async with LocalStorage(f"file://{crashed}") as reopened:
        assert await version_of(reopened, "r1") == 1


async def test_files_that_cannot_be_synced_are_written_anew(storage: FaultyStorage, tmp_path: Path) -> None:
    """A failed fsync is not repeated into a success: the data goes to new files, from the journal."""
    storage.steps.before = fail("syncfs")
    await storage.close()
    renamed = storage.steps.count("rename r1.json")
    journal_left = FaultyStorage(tmp_path / "store", storage.steps)
    await journal_left.setup()
    assert storage.steps.count("rename r1.json") == renamed + 1
    assert storage.steps.first("syncfs", storage.steps.taken.index("rename r1.json")) > 0
    assert await version_of(journal_left, "r1") == 1
    await journal_left.close()


async def test_files_that_cannot_be_synced_in_the_background_are_written_anew(
    storage: FaultyStorage, tmp_path: Path
) -> None:
    """The checkpoint of an idle store fails: the journal is kept, and what it holds is written to new files."""
    failed = threading.Event()

    def before(_number: int, step: str) -> None:
        if step.startswith("syncfs") and not failed.is_set():
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    await save(storage, "r2", 1)
    storage.steps.before = before
    await save(storage, "r2", 2)
    renamed = storage.steps.count("rename r2.json")
    assert await asyncio.to_thread(failed.wait, 30), "an idle store is synced by itself"
    await storage.close()
    assert storage.steps.count("rename r2.json") == renamed + 1
    async with LocalStorage(f"file://{tmp_path}/store") as reopened:
        assert await version_of(reopened, "r2") == 2


async def test_a_disk_that_fails_for_good_stops_the_writer_and_not_the_readers(
    storage: FaultyStorage, tmp_path: Path
) -> None:
    storage.steps.before = fail_all_of("rename", "sync", "page", "write")
    for version in (2, 3):
        with pytest.raises(StorageError):
            await save(storage, "r1", version)
    assert await version_of(storage, "r1") == 1
    storage.steps.before = lambda _number, _step: None
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}/store") as reopened:
        assert await version_of(reopened, "r1") == 1
        await workload.goes_on(reopened)


async def test_a_rename_and_a_disk_that_fail_for_good_are_told_apart_from_success(
    storage: FaultyStorage, tmp_path: Path
) -> None:
    """The file cannot be put in place and the row cannot be taken back: every later write is refused, saying why."""
    broken = fail_all_of("page", "sync metadata")

    def before(number: int, step: str) -> None:
        if step.startswith("rename"):
            storage.steps.before = broken
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    storage.steps.before = before
    with pytest.raises(StorageIOError):
        await save(storage, "r1", 2)
    storage.steps.before = lambda _number, _step: None
    with pytest.raises(StorageError, match="nothing more is written"):
        await save(storage, "r2", 1)
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}/store") as reopened:
        assert await version_of(reopened, "r1") in (1, 2)
        await workload.goes_on(reopened)


async def test_a_database_that_turns_read_only_is_written_no_more(storage: FaultyStorage, tmp_path: Path) -> None:
    """SQLite opens a file that it cannot write for reading only, and stays so when the disk is well again."""

    def before(_number: int, step: str) -> None:
        if step.startswith("page"):
            raise apsw.ReadOnlyError("injected")

    storage.steps.before = before
    with pytest.raises(StorageIOError):
        await save(storage, "r1", 2)
    storage.steps.before = lambda _number, _step: None
    with pytest.raises(StorageError, match=r"for reading only.*nothing more is written"):
        await save(storage, "r1", 3)
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}/store") as reopened:
        assert await version_of(reopened, "r1") == 1


async def test_data_that_cannot_be_removed_is_removed_later(storage: FaultyStorage, tmp_path: Path) -> None:
    storage.steps.before = fail("remove")
    await storage.delete_master_job(workload.MASTER)
    assert await storage.get_master_job(workload.MASTER) is None
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}/store"):
        assert not list((tmp_path / "store").glob("data/*/*"))
        assert not list((tmp_path / "store").glob("configs/*"))


def fail_all_of(*prefixes: str) -> Callable[[int, str], None]:
    def before(_number: int, step: str) -> None:
        if step.startswith(prefixes):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return before


def copy_as_after_a_kill(root: Path, target: Path) -> Path:
    """Copy a live store as a kill would leave it: the log, but not the shared memory that says how far it counts."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    return target
