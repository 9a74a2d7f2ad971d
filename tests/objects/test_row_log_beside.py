"""The row log of a store whose data lies in a bucket: beside the database, and as safe as it is beside files."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from durability.faults import RecordedFiles, Steps
from starfish_storage import open_storage
from starfish_storage.data.row_log import LoneRowLog
from starfish_storage.testing.samples import RECORD, a_record, save_run


def test_syncing_it_is_a_sync_of_the_file(tmp_path: Path) -> None:
    steps = Steps()
    row_log = LoneRowLog(str(tmp_path), RecordedFiles(steps))
    row_log.create([b"{}\n"])
    taken = len(steps.taken)
    row_log.append(b"[]\n")
    row_log.sync()
    assert steps.taken[taken:] == ["fsync"]
    row_log.close()


def test_what_a_killed_writer_has_staged_is_removed(tmp_path: Path) -> None:
    """When it is made the next time."""
    (tmp_path / "staging" / "dead").mkdir(parents=True)
    (tmp_path / "staging" / "dead" / "0").touch()
    row_log = LoneRowLog(str(tmp_path))
    row_log.create([b"{}\n"])
    row_log.close()
    assert list((tmp_path / "staging").iterdir()) == []


async def test_it_is_synced_before_the_journal_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And closed with the store."""
    synced: list[bytes] = []
    monkeypatch.setattr(LoneRowLog, "sync", lambda _: synced.append((tmp_path / "rows.jsonl").read_bytes()))
    async with open_storage(tmp_path.as_uri(), f"memory://{secrets.token_hex(6)}", layout="files") as storage:
        await save_run(storage)
        await storage.save_record(a_record(), {"a": 1})
    assert f'["save_record","{RECORD}"'.encode() in synced[-1]
    assert not (tmp_path / "data").exists()
