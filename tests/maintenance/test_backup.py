"""Backup and restore: consistent while others write, incremental, and never half a copy, killed wherever it is."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import stat
from pathlib import Path

import apsw
import pytest

from durability import processes, workload
from maintenance import stores
from starfish_storage import LocalStorage, StorageBusyError, StoreDamagedError, StoreOpenError
from starfish_storage.maintenance import verify
from starfish_storage.maintenance.backup import BackupReport, backup
from starfish_storage.maintenance.restore import restore
from unit.store_on_disk import bytes_of, data_of, rows_of


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    await stores.make(tmp_path / "store")
    return tmp_path / "store"


def copy(root: Path, destination: Path) -> BackupReport:
    return backup(f"file://{root}", destination)


def changes(report: BackupReport) -> tuple[int, int, int]:
    return report.copied, report.kept, report.removed


async def save(root: Path, number: int, data: dict[str, object]) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        record = await storage.get_record_metadata(f"r{number:04}")
        assert record is not None
        await storage.save_record(record, data)


async def same(one: Path, other: Path) -> bool:
    """Whether two stores hold the same; output references differ in where they lie."""
    found = [await stores.everything(root) for root in (one, other)]
    texts = [repr(everything).replace(str(root), "") for everything, root in zip(found, (one, other), strict=True)]
    return texts[0] == texts[1]


async def test_a_backup_is_a_whole_store(root: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = backup(f"file://{root}", tmp_path / "b", progress=lambda done, total: seen.append((done, total)))
    files = stores.RECORDS + 2
    assert (report.records, *changes(report), report.passes) == (stores.RECORDS, files, 0, 0, 1)
    assert report.bytes == sum(len(content) for content in data_of(root).values())
    assert seen[-1] == (files, files)
    assert data_of(tmp_path / "b") == data_of(root)
    assert rows_of(tmp_path / "b") == rows_of(root)
    assert (tmp_path / "b/rows.jsonl").read_bytes() == (root / "rows.jsonl").read_bytes()
    for path in (tmp_path / "b").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert verify(f"file://{tmp_path / 'b'}").findings == ()
    assert await same(root, tmp_path / "b")
    assert json.loads(json.dumps(report.to_json()))["records"] == stores.RECORDS
    assert f"{files} copied" in str(report)


async def test_repeated_it_copies_what_has_changed_and_nothing_else(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    files = stores.RECORDS + 2
    assert changes(copy(root, tmp_path / "b")) == (0, files, 0)
    await save(root, 3, {"new": "version"})
    report = copy(root, tmp_path / "b")
    assert changes(report) == (1, files - 1, 0)
    assert report.bytes == stores.file_of(root, 3).stat().st_size
    assert changes(copy(root, tmp_path / "b")) == (0, files, 0)
    assert await same(root, tmp_path / "b")
    async with LocalStorage(f"file://{root}") as storage:
        await storage.delete_master_job("M2")
    report = copy(root, tmp_path / "b")
    assert changes(report) == (0, stores.RECORDS // 2 + 1, stores.RECORDS // 2 + 1)
    assert data_of(tmp_path / "b") == data_of(root)
    assert verify(f"file://{tmp_path / 'b'}").findings == ()


async def test_what_only_the_journal_has_is_in_the_backup(root: Path, tmp_path: Path) -> None:
    """Of a store whose writer was killed between its commit and its files."""
    key = str(stores.file_of(root, 5).relative_to(root))
    payload = (root / key).read_bytes()
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.execute("INSERT INTO data_journal (key, payload) VALUES (?, ?)", (key, payload))
    connection.close()
    (root / key).unlink()
    (root / "writer.lock").write_bytes(b"\1")
    copy(root, tmp_path / "b")
    assert not (root / key).exists(), "the store itself is only read"
    assert (root / "writer.lock").read_bytes() == b"\1"
    assert (tmp_path / "b" / key).read_bytes() == payload
    assert verify(f"file://{tmp_path / 'b'}").findings == ()


async def test_data_elsewhere_comes_along_and_can_be_put_elsewhere_again(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("data", "configs", "staging", "rows.jsonl"):
        (root / name).rename(elsewhere / name)
    data_uri = f"file://{elsewhere}"
    backup(f"file://{root}", tmp_path / "b", data_uri=data_uri)
    assert verify(f"file://{tmp_path / 'b'}").findings == ()
    restore(tmp_path / "b", f"file://{tmp_path / 'r'}", data_uri=f"file://{tmp_path / 'rd'}")
    assert not (tmp_path / "r/data").exists()
    async with LocalStorage(f"file://{tmp_path / 'r'}", f"file://{tmp_path / 'rd'}") as storage:
        found = await storage.get_record_metadata("r0004")
        assert found is not None
        assert found.output_ref is not None
        assert await storage.get_record_data(found.output_ref) == stores.data_of(4)


@pytest.mark.parametrize("place", ["store/b", "store", "."])
async def test_a_backup_within_its_store_or_around_it_is_refused(root: Path, tmp_path: Path, place: str) -> None:
    before = bytes_of(tmp_path)
    with pytest.raises(StoreOpenError, match="must lie neither in its store"):
        copy(root, tmp_path / place)
    assert bytes_of(tmp_path).keys() - before.keys() <= {"store/metadata.db-wal", "store/metadata.db-shm"}


async def test_another_directory_is_not_written_over(root: Path, tmp_path: Path) -> None:
    await stores.make(tmp_path / "other", 4)
    before = bytes_of(tmp_path / "other")
    with pytest.raises(StoreOpenError, match="neither empty nor an earlier backup"):
        copy(root, tmp_path / "other")
    assert bytes_of(tmp_path / "other") == before


async def test_a_backup_that_is_open_is_not_written_over(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    async with LocalStorage(f"file://{tmp_path / 'b'}"):
        with pytest.raises(StorageBusyError, match="open in another process"):
            await asyncio.to_thread(copy, root, tmp_path / "b")


async def test_a_damaged_store_does_not_replace_a_backup(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    before = data_of(tmp_path / "b"), rows_of(tmp_path / "b")
    stores.flip_bit(stores.file_of(root, 9))
    with pytest.raises(StoreDamagedError, match="r0009"):
        copy(root, tmp_path / "b")
    assert (data_of(tmp_path / "b"), rows_of(tmp_path / "b")) == before


async def test_what_a_store_has_lost_stays_in_its_backup(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    stores.file_of(root, 9).unlink()
    with pytest.raises(StoreDamagedError, match="r0009"):
        copy(root, tmp_path / "new")
    assert not (tmp_path / "new/metadata.db").exists()
    assert changes(copy(root, tmp_path / "b")) == (0, stores.RECORDS + 1, 0)
    assert verify(f"file://{tmp_path / 'b'}").findings == ()


@pytest.mark.parametrize("disturbed", [1, 3])
async def test_what_changes_while_it_is_copied_is_copied_again(root: Path, tmp_path: Path, disturbed: int) -> None:
    """Overwritten, deleted and added between the snapshot and the copying of each pass; then writers wait."""
    copy(root, tmp_path / "b")
    await save(root, stores.RECORDS - 1, {"changed": "before"})  # so that there is something to be put in place
    passes = 0

    async def disturb() -> None:
        async with LocalStorage(f"file://{root}") as storage:
            for number in range(0, stores.RECORDS, 2):
                found = await storage.get_record_metadata(f"r{number:04}")
                assert found is not None
                await storage.save_record(found, {"changed": passes, "number": number})
            await storage.save_record(workload.record(f"new{passes}", 1, "m1", "m1-a"), {"added": passes})
            if passes == 1:
                await storage.delete_master_job("M2")

    def progress(done: int, _total: int) -> None:
        nonlocal passes
        if done == 1:
            passes += 1
            if passes <= disturbed:
                asyncio.run(disturb())

    report = await asyncio.to_thread(backup, f"file://{root}", tmp_path / "b", progress=progress)
    assert report.passes == passes == disturbed + 1
    assert data_of(tmp_path / "b") == data_of(root)
    assert rows_of(tmp_path / "b") == rows_of(root)
    assert (root / "writer.lock").read_bytes()[:1] == b"\0"
    assert verify(f"file://{tmp_path / 'b'}").is_sound


async def test_in_the_last_pass_writers_wait(root: Path, tmp_path: Path) -> None:
    """What is damaged is looked at a fourth time, with the writer lock held."""
    stores.flip_bit(stores.file_of(root, 9))
    held: list[bool] = []

    def progress(done: int, _total: int) -> None:
        if done == 1:
            with (root / "writer.lock").open("rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    held.append(False)
                except BlockingIOError:
                    held.append(True)

    with pytest.raises(StoreDamagedError):
        backup(f"file://{root}", tmp_path / "b", progress=progress)
    assert held == [False, False, False, True]


async def test_a_kept_file_that_is_not_what_its_row_says_is_copied_again(root: Path, tmp_path: Path) -> None:
    """Overwritten within one tick of the file system's clock, with as many bytes: size and time are the same."""
    copy(root, tmp_path / "b")
    before = stores.file_of(root, 2).stat()
    other = {**stores.data_of(2), "number": 7}
    await save(root, 2, other)
    os.utime(stores.file_of(root, 2), ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert stores.file_of(root, 2).stat().st_size == before.st_size
    assert changes(copy(root, tmp_path / "b")) == (1, stores.RECORDS + 1, 0)
    assert await same(root, tmp_path / "b")


async def _rounds(root: Path, log: Path, destination: Path, rounds: int, workers: int, steps: int) -> int:
    """Back up again and again while another process writes; check each backup; return how many records were seen."""
    writer = processes.start(["-m", "durability.writer_process", str(root), "process", str(workers), str(steps)])
    try:
        assert writer.stdin is not None
        writer.stdin.close()
        assert writer.stdout is not None
        writer.stdout.readline()
        while not (root / "metadata.db").exists() or not writer.stdout.readline().startswith('["done"'):
            pass
        drain = asyncio.create_task(asyncio.to_thread(lambda: log.write_text(writer.stdout.read())))  # type: ignore[union-attr]
        seen = 0
        for number in range(rounds):
            report = await asyncio.to_thread(copy, root, destination)
            seen += report.records
            restored = destination.with_name(f"restored-{number}")
            await asyncio.to_thread(restore, destination, f"file://{restored}")
            found = await asyncio.to_thread(verify, f"file://{restored}")
            assert found.is_sound, str(found)
            async with LocalStorage(f"file://{restored}") as storage:
                await workload.check_whole(storage, restored)
                async for record in storage.iter_records(workload.MASTER):
                    assert record.output_ref is not None
                    data = await storage.get_record_data(record.output_ref)
                    assert record.error_message == f"v{data['version']}", "row and data are of different versions"
            shutil.rmtree(restored)
        assert writer.poll() is None, "the writer ended before the backups did"
    finally:
        writer.kill()
        writer.wait()
    await drain
    writer.stdout.close()
    assert writer.stderr is not None
    writer.stderr.close()
    return seen


async def test_while_another_process_writes_overwrites_and_deletes(tmp_path: Path) -> None:
    assert await _rounds(tmp_path / "store", tmp_path / "log", tmp_path / "b", 4, 4, 100_000) > 0


@pytest.mark.slow
async def test_while_another_process_writes_for_long(tmp_path: Path) -> None:
    assert await _rounds(tmp_path / "store", tmp_path / "log", tmp_path / "b", 12, 8, 1_000_000) > 0


async def killed_backups(root: Path, tmp_path: Path, step: int) -> int:
    """Kill a repeated backup before every so many-th step; return how often it was killed."""
    earlier = tmp_path / "earlier"
    copy(root, earlier)
    old = await _content(earlier, tmp_path)
    await save(root, 0, {"changed": 1})
    await save(root, 1, {"changed": 2})
    async with LocalStorage(f"file://{root}") as storage:
        await storage.delete_master_job("M2")
        await workload.prepare(storage)
        await storage.save_record(workload.record("fresh", 1), workload.payload("fresh", 1))
    new = await _content(root, tmp_path)
    assert old != new
    states: list[bool] = []
    for number in range(0, 10_000, step):
        destination = tmp_path / f"b{number}"
        shutil.copytree(earlier, destination)
        status, _, errors = processes.run(
            ["-m", "maintenance.backup_process", "backup", str(root), str(destination), str(number)]
        )
        assert status in (0, -signal.SIGKILL), errors
        found = await _content(destination, tmp_path)
        assert found in (old, new), f"killed before step {number}: neither the old nor the new backup"
        states.append(found == new)
        copy(root, destination)
        assert await _content(destination, tmp_path) == new
        assert data_of(destination) == data_of(root)
        shutil.rmtree(destination)
        if status == 0:
            break
    assert states == sorted(states), "from the old to the new, and not back"
    assert states[0] is False
    assert states[-1] is True
    return len(states) - 1


async def _content(place: Path, tmp_path: Path) -> dict[str, object]:
    """What a store holds, read from a copy: it is opened, which changes it. Where it lies is left out."""
    opened = tmp_path / "opened"
    shutil.copytree(place, opened)
    found = await stores.everything(opened)
    assert verify(f"file://{opened}").is_sound
    shutil.rmtree(opened)
    return found


async def test_a_killed_backup_is_the_old_or_the_new_one(root: Path, tmp_path: Path) -> None:
    assert await killed_backups(root, tmp_path, 5) >= 5


@pytest.mark.slow
async def test_a_backup_killed_before_every_step_is_the_old_or_the_new_one(root: Path, tmp_path: Path) -> None:
    assert await killed_backups(root, tmp_path, 1) >= 25


async def test_a_killed_first_backup_is_no_store_and_is_continued(root: Path, tmp_path: Path) -> None:
    status, _, _ = processes.run(["-m", "maintenance.backup_process", "backup", str(root), str(tmp_path / "b"), "60"])
    assert status == -signal.SIGKILL
    with pytest.raises(StoreOpenError):
        restore(tmp_path / "b", f"file://{tmp_path / 'r'}")
    report = copy(root, tmp_path / "b")
    assert report.kept > 0
    assert report.copied + report.kept == stores.RECORDS + 2
    assert await same(root, tmp_path / "b")


async def test_a_restored_store_is_that_of_the_backup_which_is_not_changed(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    before = bytes_of(tmp_path / "b")
    (tmp_path / "empty").mkdir()
    report = restore(tmp_path / "b", f"file://{tmp_path / 'empty'}")
    assert (report.records, report.files) == (stores.RECORDS, stores.RECORDS + 2)
    assert bytes_of(tmp_path / "b") == before
    assert await same(root, tmp_path / "empty")
    assert verify(f"file://{tmp_path / 'empty'}").findings == ()


async def test_a_store_is_not_written_over(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    before = bytes_of(root)
    with pytest.raises(StoreOpenError, match="move it away"):
        restore(tmp_path / "b", f"file://{root}")
    assert bytes_of(root) == before


@pytest.mark.parametrize("damage", ["flip", "remove", "database"])
async def test_a_damaged_backup_is_noticed_and_no_store_is_made(root: Path, tmp_path: Path, damage: str) -> None:
    copy(root, tmp_path / "b")
    path = stores.file_of(tmp_path / "b", 11)
    if damage == "flip":
        stores.flip_bit(path)
    elif damage == "remove":
        path.unlink()
    else:
        size = (tmp_path / "b/metadata.db").stat().st_size
        with (tmp_path / "b/metadata.db").open("r+b") as database:
            database.seek(size // 2)
            database.write(b"\xff" * 8192)
    with pytest.raises(StoreDamagedError):
        restore(tmp_path / "b", f"file://{tmp_path / 'r'}")
    assert list((tmp_path / "r").iterdir()) == []


async def test_a_killed_restore_leaves_nothing_that_opens(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    killed, status = 0, -1
    for number in (*range(0, 150, 30), 10_000):
        target = tmp_path / f"r{number}"
        status, _, errors = processes.run(
            ["-m", "maintenance.backup_process", "restore", str(tmp_path / "b"), str(target), str(number)]
        )
        assert status in (0, -signal.SIGKILL), errors
        if status == 0:
            assert verify(f"file://{target}").findings == ()
            continue
        killed += 1
        assert not (target / "metadata.db").exists()
        if list(target.glob("data/*")):
            with pytest.raises(StoreOpenError, match="empty or missing"):
                await LocalStorage(f"file://{target}").setup()
    assert killed >= 3
    assert status == 0
