"""The row log: whole lines of what was committed, whatever fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from durability import workload
from durability.faults import FaultyStorage, RecordedFiles, Steps, fail
from starfish_storage import StorageFullError, StorageIOError
from starfish_storage.data.filesystem import FileSystemDataHandler

HEADER = b'{"row_log":1,"columns":{}}\n'
LINE = b'["delete_record","r1"]\n'


@pytest.fixture
def handler(tmp_path: Path) -> FileSystemDataHandler:
    handler = FileSystemDataHandler(str(tmp_path))
    handler.setup()
    handler.row_log.create([HEADER])
    return handler


def content(root: Path) -> bytes:
    return (root / "rows.jsonl").read_bytes()


@pytest.mark.parametrize(("number", "family"), [(errno.EIO, StorageIOError), (0, StorageFullError)])
def test_of_a_write_that_fails_half_way_nothing_stays(
    handler: FileSystemDataHandler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    family: type[StorageIOError],
) -> None:
    """With an error, or with nothing written, which is how some file systems say that they are full."""
    write, calls = os.write, 0

    def half(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            return write(descriptor, data[: len(data) // 2])
        if number:
            raise OSError(number, os.strerror(number))
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(family):
            handler.row_log.append(LINE)
    assert content(tmp_path) == HEADER
    handler.row_log.append(LINE)
    handler.close()
    assert content(tmp_path) == HEADER + LINE


def test_a_write_that_is_cut_short_goes_on(
    handler: FileSystemDataHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
        handler.row_log.append(LINE)
    handler.close()
    assert content(tmp_path) == HEADER + LINE


def test_what_is_no_file_is_not_written_to(handler: FileSystemDataHandler, tmp_path: Path) -> None:
    handler.close()
    (tmp_path / "rows.jsonl").unlink()
    os.mkfifo(tmp_path / "rows.jsonl")
    with pytest.raises(StorageIOError) as raised:
        handler.row_log.open(HEADER)
    assert raised.value.errno == errno.EINVAL


def test_a_new_log_is_safe_before_it_replaces_another_and_synced_with_the_data(tmp_path: Path) -> None:
    steps = Steps()
    handler = FileSystemDataHandler(str(tmp_path), RecordedFiles(steps))
    handler.setup()
    handler.row_log.create([HEADER])
    assert steps.taken[-3:] == ["fsync", "rename rows.jsonl", "fsync"]
    handler.sync(["data/82/r1.json"])
    assert steps.taken[-1] == "syncfs rows.jsonl r1.json"
    handler.close()


async def test_lines_of_a_commit_that_fails_are_taken_back(tmp_path: Path) -> None:
    storage = FaultyStorage(tmp_path / "store", Steps())
    await storage.setup()
    await workload.prepare(storage)
    before = content(tmp_path / "store")
    storage.steps.before = fail("sync metadata.db-wal")
    with pytest.raises(StorageIOError):
        await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))
    assert content(tmp_path / "store") == before
    await storage.save_record(workload.record("r1", 2), workload.payload("r1", 2))
    assert content(tmp_path / "store").startswith(before + b'["save_record","r1"')
    await storage.close()
