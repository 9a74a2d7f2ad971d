"""The order in which a backup is made: what must be safe before what, and what counts where two things say it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
import pytest

from maintenance import stores
from maintenance.test_backup import copy, root, same, save
from migrations.stores import unpack
from starfish_storage import (
    ForeignStoreError,
    GenerationMasterJob,
    LocalStorage,
    Project,
    StorageBusyError,
    StorageIOError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.codec import encode
from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance import restore, verify
from starfish_storage.metadata.sqlite.snapshot import Snapshot, finish
from unit.store_on_disk import bytes_of, rows_of

__all__ = ["root"]


async def test_files_are_safe_before_the_database_that_refers_to_them(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    sync_all, replace = FileOperations.sync_all, FileOperations.replace_file

    def synced(self: FileOperations, place: int, files: Iterable[tuple[int, str]], directories: Iterable[int]) -> None:
        files = list(files)
        taken.extend(name for _, name in files)
        sync_all(self, place, files, directories)

    def replaced(self: FileOperations, source: str, target: str) -> None:
        taken.append("replace")
        replace(self, source, target)

    monkeypatch.setattr(FileOperations, "sync_all", synced)
    monkeypatch.setattr(FileOperations, "replace_file", replaced)
    copy(root, tmp_path / "b")
    before = taken[: taken.index("replace")]
    assert {f"r{number:04}.json" for number in range(stores.RECORDS)} | {"m1.request.json"} <= set(before)


def test_the_journal_is_emptied_once_its_files_are_safe(tmp_path: Path) -> None:
    asyncio.run(stores.make(tmp_path, 4))
    key = str(stores.file_of(tmp_path, 1).relative_to(tmp_path))
    stores.journal(tmp_path, key, b"{}\n")
    steps: list[tuple[Any, ...]] = []

    def entries() -> int:
        connection = apsw.Connection(str(tmp_path / "metadata.db"))
        count = connection.execute("SELECT count(*) FROM data_journal").fetchone()
        connection.close()
        assert count is not None
        return count[0]

    finish(
        str(tmp_path),
        lambda key, payload: steps.append(("put", key, payload)),
        lambda keys: steps.append(("sync", keys, entries())),
    )
    assert steps == [("put", key, b"{}\n"), ("sync", [key], 1)]
    assert entries() == 0


async def test_the_log_of_an_earlier_backup_is_not_taken_for_the_new_ones(root: Path, tmp_path: Path) -> None:
    """As a process leaves it that had the backup open, and was killed."""
    copy(root, tmp_path / "b")
    async with LocalStorage(f"file://{tmp_path}/b") as storage:
        await storage.delete_master_job("M2")
        log = (tmp_path / "b/metadata.db-wal").read_bytes()
        database = (tmp_path / "b/metadata.db").read_bytes()
    (tmp_path / "b/metadata.db").write_bytes(database)
    (tmp_path / "b/metadata.db-wal").write_bytes(log)
    await save(root, 1, {"changed": True})
    copy(root, tmp_path / "b")
    assert not (tmp_path / "b/metadata.db-wal").exists()
    assert verify(f"file://{tmp_path}/b").findings == ()
    assert await same(root, tmp_path / "b")


async def test_what_the_journal_has_goes_before_a_file_that_is_older(root: Path, tmp_path: Path) -> None:
    """Of a writer that was killed between its commit and its file, which the backup has with another time."""
    copy(root, tmp_path / "b")
    path, old, new = stores.file_of(root, 5), stores.file_of(root, 5).read_bytes(), dict[str, object](new="version")
    await save(root, 5, new)
    path.write_bytes(old)
    stores.journal(root, str(path.relative_to(root)), encode(new, "data"))
    (root / "writer.lock").write_bytes(b"\1")
    copy(root, tmp_path / "b")
    assert verify(f"file://{tmp_path}/b").findings == ()
    assert stores.file_of(tmp_path / "b", 5).read_bytes() == encode(new, "data")


async def test_a_job_that_is_deleted_after_the_snapshot_is_in_no_backup_without_its_configuration(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        reference = storage.generate_request_config_path("m3")
        await storage.save_request_config(reference, {"model": "m3"})
        await storage.log_master_job_start(
            GenerationMasterJob(
                master_job_id="m3",
                project_id="p",
                request_config_ref=reference,
                output_schema={},
                storage_uri=".",
                target_record_count=0,
            )
        )
    take, passes = Snapshot.take, 0

    async def delete() -> None:
        async with LocalStorage(f"file://{root}") as storage:
            await storage.delete_master_job("m3")

    def taken(self: Snapshot, inspection: Any) -> None:
        nonlocal passes
        passes += 1
        take(self, inspection)
        if passes == 1:
            asyncio.run(delete())

    monkeypatch.setattr(Snapshot, "take", taken)
    report = await asyncio.to_thread(copy, root, tmp_path / "b")
    assert report.passes == 2
    assert verify(f"file://{tmp_path}/b").findings == ()


async def test_a_backup_of_an_earlier_release_is_brought_up_to_date(root: Path, tmp_path: Path) -> None:
    unpack("v1", tmp_path / "b")
    (tmp_path / "b/backup.json").write_text("{}")
    copy(root, tmp_path / "b")
    assert verify(f"file://{tmp_path}/b").findings == ()
    assert await same(root, tmp_path / "b")


async def test_a_backup_that_fails_leaves_nothing_of_its_own(root: Path, tmp_path: Path) -> None:
    """And what a killed writer of the store left stays noted."""
    copy(root, tmp_path / "b")
    stores.flip_bit(stores.file_of(root, 9))
    (root / "writer.lock").write_bytes(b"\1")
    before = bytes_of(tmp_path / "b").keys()
    with pytest.raises(StoreDamagedError):
        copy(root, tmp_path / "b")
    assert bytes_of(tmp_path / "b").keys() == before
    assert (root / "writer.lock").read_bytes() == b"\1"


async def test_what_tells_a_backup_is_safe_before_anything_is_copied(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the destination of a backup that was cut off would be refused."""
    synced: list[list[str]] = []

    def sync_all(_: FileOperations, _place: int, files: Iterable[tuple[int, str]], _directories: object) -> None:
        synced.append([name for _, name in files])

    monkeypatch.setattr(FileOperations, "sync_all", sync_all)
    copy(root, tmp_path / "b")
    assert synced[0] == ["backup.json"]


async def test_an_open_backup_is_not_restored(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    async with LocalStorage(f"file://{tmp_path}/b"):
        with pytest.raises(StorageBusyError, match="open in another process"):
            restore(tmp_path / "b", f"file://{tmp_path}/r")


async def test_a_backup_with_a_damaged_index_is_not_restored(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    stores.empty_index(tmp_path / "b", "records_by_job")
    with pytest.raises(StoreDamagedError, match="use another backup"):
        restore(tmp_path / "b", f"file://{tmp_path}/r")


async def test_a_store_is_not_restored_into_its_backup(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    with pytest.raises(StoreOpenError, match="must be restored neither in its backup"):
        restore(tmp_path / "b", f"file://{tmp_path}/b/r")
    assert not (tmp_path / "b/r").exists()


async def test_a_restored_store_is_safe_before_it_is_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(root, tmp_path / "b")
    taken: list[str] = []
    sync_all, replace = FileOperations.sync_all, FileOperations.replace_file

    def synced(self: FileOperations, place: int, files: Iterable[tuple[int, str]], directories: Iterable[int]) -> None:
        files = list(files)
        taken.extend(name for _, name in files)
        sync_all(self, place, files, directories)

    def replaced(self: FileOperations, source: str, target: str) -> None:
        taken.append("replace")
        replace(self, source, target)

    monkeypatch.setattr(FileOperations, "sync_all", synced)
    monkeypatch.setattr(FileOperations, "replace_file", replaced)
    restore(tmp_path / "b", f"file://{tmp_path}/r")
    assert {f"r{number:04}.json" for number in range(stores.RECORDS)} <= set(taken[: taken.index("replace")])
    assert (tmp_path / "r/rows.jsonl").read_bytes() == (root / "rows.jsonl").read_bytes()


async def test_what_only_the_log_of_a_backup_has_is_restored(root: Path, tmp_path: Path) -> None:
    """As of a backup that a killed process had open."""
    copy(root, tmp_path / "b")
    async with LocalStorage(f"file://{tmp_path}/b") as storage:
        await storage.save_project(Project(project_id="late", name="late"))
        database, log = ((tmp_path / f"b/metadata.db{suffix}").read_bytes() for suffix in ("", "-wal"))
    (tmp_path / "b/metadata.db").write_bytes(database)
    (tmp_path / "b/metadata.db-wal").write_bytes(log)
    restore(tmp_path / "b", f"file://{tmp_path}/r")
    async with LocalStorage(f"file://{tmp_path}/r") as storage:
        assert await storage.get_project("late") is not None


async def test_a_restored_store_knows_that_its_data_lies_elsewhere(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    restore(tmp_path / "b", f"file://{tmp_path}/r", data_uri=f"file://{tmp_path}/data")
    assert ("data_elsewhere", "yes") in rows_of(tmp_path / "r")["settings"]


def test_a_backup_of_an_earlier_release_is_not_restored(tmp_path: Path) -> None:
    unpack("v1", tmp_path / "b")
    with pytest.raises(StoreVersionError, match="open it once"):
        restore(tmp_path / "b", f"file://{tmp_path}/r")
    assert list((tmp_path / "r").iterdir()) == []


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(StoreOpenError, match=r"no metadata\.db; name the directory of a backup"):
        restore(tmp_path / "b", f"file://{tmp_path}/r")
    assert not (tmp_path / "r").exists()
    (tmp_path / "b/metadata.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ForeignStoreError):
        restore(tmp_path / "b", f"file://{tmp_path}/r")
    assert list((tmp_path / "r").iterdir()) == []


async def test_what_a_killed_run_left_goes_and_a_lost_configuration_stays(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    session = tmp_path / "b/staging" / ("0" * 32)
    session.mkdir()
    (session / "0").write_bytes(b"{")
    (root / "configs/m1.request.json").unlink()
    copy(root, tmp_path / "b")
    assert not session.exists()
    assert (tmp_path / "b/configs/m1.request.json").exists()


async def test_a_backup_whose_database_is_a_link_is_not_restored(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    (tmp_path / "b/metadata.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "b/metadata.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StorageIOError):
        restore(tmp_path / "b", f"file://{tmp_path}/r")
