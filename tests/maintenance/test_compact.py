"""Compacting the row log: only when most of it is superseded, never under anybody's hands, and whole or not at all."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from maintenance import stores
from maintenance.test_verify import change, command, root
from starfish_storage import LocalStorage, StorageIOError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance import collect, repair, verify
from starfish_storage.times import utc_now

__all__ = ["root"]

CHANGES = 200


async def change_often(root: Path, times: int = CHANGES) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        for number in range(times):
            await storage.update_master_job_status("M2", ("running", "cancelled")[number % 2], utc_now())


def lines_of(root: Path) -> int:
    return (root / "rows.jsonl").read_bytes().count(b"\n")


async def test_superseded_lines_go_and_everything_can_be_rebuilt(root: Path) -> None:
    await change_often(root)
    before, lines = await stores.everything(root), lines_of(root)
    report = collect(f"file://{root}")
    assert report.compacted
    assert lines_of(root) == lines - report.superseded
    assert report.superseded >= CHANGES
    assert (root / "rows.jsonl").stat().st_mode & 0o777 == 0o600
    assert collect(f"file://{root}").superseded == 0
    assert verify(f"file://{root}").findings == ()
    await change_often(root, 2)
    (root / "metadata.db").unlink()
    repair(f"file://{root}")
    after = await stores.everything(root)
    assert {name: after[name] for name in after if name != "M2"} == {n: before[n] for n in before if n != "M2"}


async def test_a_log_most_of_which_is_needed_is_left(root: Path) -> None:
    await change_often(root, 20)
    before = (root / "rows.jsonl").stat()
    assert (collect(f"file://{root}").superseded, collect(f"file://{root}").compacted) == (0, False)
    assert (root / "rows.jsonl").stat().st_ino == before.st_ino


async def test_a_log_that_somebody_holds_open_is_left(root: Path) -> None:
    await change_often(root)
    inode = (root / "rows.jsonl").stat().st_ino
    async with LocalStorage(f"file://{root}") as storage:
        report = collect(f"file://{root}")
        assert report.superseded > 0
        assert not report.compacted
        assert "row log: kept (another process has the store open): " in str(report)
        await storage.update_master_job_status("M2", "failed", utc_now())
    assert (root / "rows.jsonl").stat().st_ino == inode
    assert (root / "rows.jsonl").read_bytes().splitlines()[-1].startswith(b'["update_master_job_status","failed"')


@pytest.mark.parametrize(
    "damage", ["DELETE FROM execution_jobs WHERE job_id = 'm1-a'", "UPDATE execution_jobs SET run_config = '{'"]
)
async def test_a_log_that_has_what_the_database_lost_is_left(root: Path, damage: str) -> None:
    before = await stores.everything(root)
    await change_often(root)
    inode = (root / "rows.jsonl").stat().st_ino
    change(root, f"PRAGMA foreign_keys = OFF; {damage}")
    assert collect(f"file://{root}").superseded == 0
    assert (root / "rows.jsonl").stat().st_ino == inode
    repair(f"file://{root}")
    after = await stores.everything(root)
    assert (after["jobs of m1"], after["r0000"]) == (before["jobs of m1"], before["r0000"])


@pytest.mark.parametrize("step", ["sync", "rename"])
async def test_a_compaction_that_fails_leaves_the_log(root: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    await change_often(root)
    before = (root / "rows.jsonl").read_bytes()

    def failing(*_: object) -> None:
        raise OSError(5, "injected")

    with monkeypatch.context() as patched:
        patched.setattr(FileOperations, step, failing)
        with pytest.raises(StorageIOError):
            collect(f"file://{root}")
    assert (root / "rows.jsonl").read_bytes() == before
    assert collect(f"file://{root}", grace=timedelta(0)).compacted


async def test_what_a_killed_writer_left_stays_for_the_next_one(root: Path) -> None:
    await change_often(root)
    (root / "writer.lock").write_bytes(b"\1")
    assert collect(f"file://{root}").compacted
    assert (root / "writer.lock").read_bytes()[:1] == b"\1"


async def test_the_command_tells_and_a_dry_run_does_nothing(root: Path) -> None:
    await change_often(root)
    before = (root / "rows.jsonl").read_bytes()
    status, out, errors = command("collect", "--store", str(root), "--dry-run")
    assert (status, errors) == (0, "")
    assert "row log: would remove " in out
    assert (root / "rows.jsonl").read_bytes() == before
    status, out, errors = command("collect", "--store", str(root), "--json")
    assert (status, errors) == (0, "")
    assert json.loads(out)["row_log_compacted"] is True
    assert json.loads(out)["row_log_superseded"] >= CHANGES
