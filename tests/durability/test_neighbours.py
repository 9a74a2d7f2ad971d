"""What one writer leaves behind while others have the store open: they finish it before anything else."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from pathlib import Path

import apsw
import pytest

from durability import processes, workload
from durability.faults import FaultyStorage, Steps
from durability.test_processes import KILLED_BEFORE_RENAME
from migrations.stores import unpack
from starfish_storage import LocalStorage, StorageBusyError, StorageError, StorageIOError, StoreOpenError
from starfish_storage.metadata.sqlite import locks
from starfish_storage.metadata.sqlite.locks import SessionLock, WriterLock


async def save(storage: FaultyStorage | LocalStorage, uid: str, version: int) -> str:
    return await storage.save_record(workload.record(uid, version), workload.payload(uid, version))


async def check(root: Path, reference: str, version: int) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        assert await storage.get_record_data(reference) == workload.payload("r1", version)
        await workload.check_whole(storage, root)


@pytest.mark.parametrize("writes", [True, False])
async def test_what_a_killed_writer_committed_outlives_its_neighbours(tmp_path: Path, writes: bool) -> None:
    """The neighbour empties the journal on closing: by then the file must be in place, whether it wrote or not."""
    async with LocalStorage(f"file://{tmp_path}") as storage:
        await workload.prepare(storage)
        reference = await save(storage, "r1", 1)
        status, _, errors = processes.run(["-c", KILLED_BEFORE_RENAME, str(tmp_path)])
        assert status == -9, errors
        if writes:
            await save(storage, "r2", 1)
    await check(tmp_path, reference, 2)


@pytest.mark.parametrize("failure", ["a defect", "a broken disk"])
async def test_what_a_writer_could_not_finish_is_finished_by_its_neighbour(tmp_path: Path, failure: str) -> None:
    """A defect between commit and renaming, or a file that cannot be put in place with a row that stays."""
    storage = FaultyStorage(tmp_path / "store", Steps())
    await storage.setup()
    await workload.prepare(storage)
    reference = await save(storage, "r1", 1)
    neighbour = LocalStorage(f"file://{tmp_path}/store")
    await neighbour.setup()

    def before(_number: int, step: str) -> None:
        if step.startswith("rename"):
            if failure == "a defect":
                raise RuntimeError("injected")
            storage.steps.before = broken
            broken(0, "sync metadata")

    def broken(_number: int, step: str) -> None:
        if step.startswith(("page", "sync metadata")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    storage.steps.before = before
    with pytest.raises(StorageError):
        await save(storage, "r1", 2)
    storage.steps.before = lambda _number, _step: None
    await neighbour.close()
    await storage.close()
    await check(tmp_path / "store", reference, 2)


async def test_what_is_committed_while_the_journal_is_being_synced_stays_in_it(tmp_path: Path) -> None:
    storage = FaultyStorage(tmp_path / "store", Steps())
    await storage.setup()
    await workload.prepare(storage)
    syncing, go_on, again = (threading.Event() for _ in range(3))
    journaled: list[str] = []

    def before(_number: int, step: str) -> None:
        if not step.startswith("syncfs"):
            return
        if not syncing.is_set():
            syncing.set()
            go_on.wait(20)
        elif not again.is_set():
            connection = apsw.Connection(str(tmp_path / "store/metadata.db"))
            journaled.extend(row[0] for row in connection.execute("SELECT key FROM data_journal"))
            connection.close()
            again.set()

    storage.steps.before = before
    await save(storage, "r1", 1)
    assert await asyncio.to_thread(syncing.wait, 20)
    await save(storage, "r2", 1)
    go_on.set()
    assert await asyncio.to_thread(again.wait, 20)
    assert [Path(key).stem for key in journaled] == ["r2"]
    await storage.close()


async def test_an_old_store_is_not_migrated_under_the_hands_of_an_older_release(tmp_path: Path) -> None:
    storage = unpack("v1", tmp_path / "store")
    other = SessionLock(str(tmp_path / "store"))
    assert other.hold()
    with pytest.raises(StoreOpenError, match="an older release has it open"):
        await storage.setup()
    other.close()
    await storage.setup()
    await storage.close()


def test_waiting_for_the_lock_ends(tmp_path: Path) -> None:
    holder, other = WriterLock(str(tmp_path), 0), WriterLock(str(tmp_path), 0)
    holder.acquire()
    with pytest.raises(StorageBusyError, match=r"writer\.lock"):
        other.acquire()
    holder.release()
    assert other.acquire()
    other.release()
    for lock in (holder, other):
        lock.close()


STOPPED_WITHIN_A_COMMIT = """
import os, signal, sys
from starfish_storage.metadata.sqlite.locks import WriterLock
lock = WriterLock(sys.argv[1], 0)
lock.acquire()
print("has it", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not tell whose a lock is")
def test_who_waits_for_a_stopped_process_is_told_which_it_is(tmp_path: Path) -> None:
    other = WriterLock(str(tmp_path), 0)
    with processes.start(["-c", STOPPED_WITHIN_A_COMMIT, str(tmp_path)]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.waitpid(process.pid, os.WUNTRACED)  # until it is stopped
        with pytest.raises(
            StorageBusyError, match=rf"locked by process {process.pid}, which is stopped, for 0 s.*Let it"
        ):
            other.acquire()
        process.kill()
        process.wait()
    assert not other.acquire()  # what it has left is put in place first
    other.release()
    other.close()


def test_a_lock_that_cannot_be_marked_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    holder, other = WriterLock(str(tmp_path), 0), WriterLock(str(tmp_path), 0)
    with monkeypatch.context() as patched:
        patched.setattr(locks.os, "pwrite", failing)
        with pytest.raises(StorageIOError):
            holder.acquire()
    other.acquire()
    other.release()
    for lock in (holder, other):
        lock.close()


async def test_closing_leaves_no_log(tmp_path: Path) -> None:
    async with LocalStorage(f"file://{tmp_path}") as storage:
        await workload.prepare(storage)
        assert await storage.list_projects()
        assert (tmp_path / "metadata.db-wal").exists()
    assert not (tmp_path / "metadata.db-wal").exists()
