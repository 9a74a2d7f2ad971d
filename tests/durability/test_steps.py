"""The order and number of the steps that durability rests on: fails when one sync or rename is removed."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from durability import workload
from durability.faults import FaultyStorage, RecordedFiles, Steps, fail
from starfish_storage import StorageFullError, StorageIOError
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.files import atomic
from starfish_storage.files.atomic import FileOperations
from starfish_storage.metadata.sqlite.connection import Durability


@pytest.fixture
def steps() -> Steps:
    return Steps()


async def opened(root: Path, steps: Steps, durability: Durability = "power") -> FaultyStorage:
    storage = FaultyStorage(root, steps, durability)
    await storage.setup()
    await workload.prepare(storage)
    return storage


async def save(storage: FaultyStorage, uid: str, version: int = 1) -> list[str]:
    """Save a record and return the steps that were taken before the call returned."""
    before = len(storage.steps.taken)
    await storage.save_record(workload.record(uid, version), workload.payload(uid, version))
    return [step for step in storage.steps.taken[before:] if not step.startswith(("page", "mkdir", "syncfs"))]


async def test_a_power_safe_save_syncs_the_log_once_between_writing_and_renaming(tmp_path: Path, steps: Steps) -> None:
    storage = await opened(tmp_path / "store", steps)
    kinds = [step.split()[0] for step in await save(storage, "r1")]
    assert kinds == ["write", "sync", "rename"]
    await storage.close()


async def test_saving_for_the_process_syncs_nothing_for_new_data(tmp_path: Path, steps: Steps) -> None:
    storage = await opened(tmp_path / "store", steps, "process")
    assert [step.split()[0] for step in await save(storage, "r1")] == ["write", "rename"]
    await storage.close()


async def test_saving_for_the_process_syncs_the_log_before_it_replaces_data(tmp_path: Path, steps: Steps) -> None:
    storage = await opened(tmp_path / "store", steps, "process")
    await save(storage, "r1")
    assert [step.split()[0] for step in await save(storage, "r1", 2)] == ["write", "sync", "rename"]
    await storage.close()


async def test_rows_alone_are_synced_too(tmp_path: Path, steps: Steps) -> None:
    storage = await opened(tmp_path / "store", steps)
    before = steps.count("sync metadata.db-wal")
    await storage.log_record_metadata(workload.record("r1", 1))
    assert steps.count("sync metadata.db-wal") == before + 1
    await storage.close()


async def test_files_are_synced_before_the_journal_is_emptied(tmp_path: Path, steps: Steps) -> None:
    storage = await opened(tmp_path / "store", steps)
    for number in range(5):
        await save(storage, f"r{number}")
    await storage.close()
    synced = " ".join(step for step in steps.taken if step.startswith("syncfs"))
    assert all(f"r{number}.json" in synced for number in range(5))
    last_sync = max(index for index, step in enumerate(steps.taken) if step.startswith("syncfs"))
    assert any(step.startswith("page metadata.db") for step in steps.taken[last_sync:]), "the journal was not emptied"


async def test_a_new_store_syncs_its_directory(tmp_path: Path, steps: Steps) -> None:
    storage = FaultyStorage(tmp_path / "store", steps)
    await storage.setup()
    assert steps.first("fsync") > max(steps.first(f"mkdir {name}") for name in ("data", "configs", "staging"))
    await storage.close()


async def test_a_root_that_is_made_is_safely_entered_in_the_one_above(tmp_path: Path, steps: Steps) -> None:
    RecordedFiles(steps).make_root(str(tmp_path / "a" / "b" / "store"))
    assert (tmp_path / "a" / "b" / "store").is_dir()
    assert steps.taken == ["fsync"] * 3


@pytest.mark.parametrize("durability", ["power", "process"])
async def test_a_deletion_is_safe_before_a_file_is_removed(
    tmp_path: Path, steps: Steps, durability: Durability
) -> None:
    storage = await opened(tmp_path / "store", steps, durability)
    await save(storage, "r1")
    before = len(steps.taken)
    await storage.delete_master_job(workload.MASTER)
    assert steps.first("sync metadata.db-wal", before) < steps.first("remove r1.json", before)
    await storage.close()


async def test_many_callers_share_one_sync(tmp_path: Path, steps: Steps) -> None:
    storage = await opened(tmp_path / "store", steps)
    before = steps.count("sync metadata.db-wal")
    await asyncio.gather(
        *(storage.save_record(workload.record(f"r{n}", 1), workload.payload(f"r{n}", 1)) for n in range(100))
    )
    assert steps.count("sync metadata.db-wal") - before <= 3
    assert steps.count("rename r") - steps.count("rename rows.jsonl") == 100
    await storage.close()


def test_setting_up_syncs_the_directory_in_which_others_were_made(tmp_path: Path, steps: Steps) -> None:
    handler = FileSystemDataHandler(str(tmp_path), RecordedFiles(steps))
    handler.setup()
    assert steps.taken == ["mkdir data", "mkdir configs", "mkdir staging", "fsync"]
    handler.close()


def test_what_is_put_in_place_from_the_journal_is_synced(tmp_path: Path, steps: Steps) -> None:
    handler = FileSystemDataHandler(str(tmp_path), RecordedFiles(steps))
    handler.setup()
    handler.restore([("data/82/r1.json", b"{}\n"), ("data/82/r2.json", None)])
    kinds = [step.split()[0] for step in steps.taken if not step.startswith("mkdir")]
    assert kinds == ["fsync", "write", "rename", "remove", "syncfs"]
    handler.close()


def test_new_files_are_synced_together_and_of_those_that_fail_nothing_stays(tmp_path: Path, steps: Steps) -> None:
    handler = FileSystemDataHandler(str(tmp_path), RecordedFiles(steps))
    handler.setup()
    items = [(f"data/82/r{number}.json", b"{}\n") for number in range(3)]
    handler.put_new(items)
    kinds = [step.split()[0] for step in steps.taken if not step.startswith("mkdir")]
    assert kinds == ["fsync", *["write"] * 3, *["rename"] * 3, "syncfs"]
    handler.remove_all([key for key, _ in items])
    for step in ("write", "rename", "syncfs"):
        steps.before = fail(step, at=1 if step == "syncfs" else 3)
        with pytest.raises(StorageIOError):
            handler.put_new(items)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    handler.close()


def test_without_syncfs_every_file_and_directory_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    class Files(FileOperations):
        def sync(self, descriptor: int) -> None:
            synced.append(os.fstat(descriptor).st_ino)

    handler = FileSystemDataHandler(str(tmp_path), Files())
    handler.setup()
    handler.row_log.create([b"{}\n"])
    handler.put("data/82/r1.json", b"{}\n", None)
    synced.clear()
    monkeypatch.setattr(atomic, "_find_syncfs", lambda: None)
    handler.sync(["data/82/r1.json", "data/82/gone.json"])
    wanted = ("", "rows.jsonl", "data", "data/82", "data/82/r1.json")
    assert sorted(synced) == sorted((tmp_path / name).stat().st_ino for name in wanted)
    handler.close()


def test_a_sync_of_the_file_system_that_fails_is_told() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        FileOperations().sync_all(-1, (), ())


def test_of_a_file_that_cannot_be_written_whole_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    handler = FileSystemDataHandler(str(tmp_path))
    handler.setup()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", failing)
        with pytest.raises(StorageFullError):
            handler.write("data/82/r1.json", b"{}\n").stage()
    assert [path for path in (tmp_path / "staging").rglob("*") if path.is_file()] == []
    handler.close()


def test_a_file_that_replaces_another_is_safe_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, int]] = []
    rename = os.rename

    class Files(FileOperations):
        def sync(self, descriptor: int) -> None:
            taken.append(("sync", os.fstat(descriptor).st_ino))

    def renamed(source: str, target: str) -> None:
        taken.append(("rename", os.stat(source).st_ino))
        rename(source, target)

    (tmp_path / "a").mkdir()
    (tmp_path / "a/new").write_text("new")
    (tmp_path / "old").write_text("old")
    inode = (tmp_path / "a/new").stat().st_ino
    monkeypatch.setattr(os, "rename", renamed)
    Files().replace_file(str(tmp_path / "a/new"), str(tmp_path / "old"))
    assert taken[:2] == [("sync", inode), ("rename", inode)]
    assert {number for _, number in taken[2:]} == {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino}
