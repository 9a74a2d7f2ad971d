"""Collect: what nothing refers to goes, once it is old enough; everything else stays."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from maintenance import stores
from maintenance.test_verify import change, command, root
from starfish_storage import InvalidInputError, LocalStorage, Record, StoreDamagedError, StoreOpenError
from starfish_storage.maintenance import collect, verify
from unit.store_on_disk import bytes_of

__all__ = ["root"]

NOW = timedelta(0)
ADOPT = """
    INSERT INTO records SELECT 'loose', job_id, master_job_id, status, 'KEY',
        start_time, end_time, last_update_time, error_message, NULL, NULL, NULL, NULL
    FROM records WHERE record_uid = 'r0001'
"""
module: Any = import_module("starfish_storage.maintenance.collect")  # the package has the function under that name


def key_of(root: Path, reference: str) -> str:
    return str(Path(reference).relative_to(root))


async def with_loose_files(root: Path) -> list[str]:
    """Save data and a request configuration without rows, and leave what a dead writer leaves."""
    async with LocalStorage(f"file://{root}") as storage:
        data = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
        config = storage.generate_request_config_path("never-started")
        await storage.save_request_config(config, {"loose": True})
    session = root / "staging" / ("0" * 32)
    session.mkdir()
    (session / "0").write_bytes(b"{")
    return sorted([key_of(root, data), key_of(root, config), f"staging/{session.name}/0"])


async def test_what_nothing_refers_to_is_removed_and_nothing_else(root: Path) -> None:
    loose = await with_loose_files(root)
    before = await stores.everything(root)
    (root / "staging" / ("0" * 32)).mkdir(exist_ok=True)
    (root / "staging" / ("0" * 32) / "0").write_bytes(b"{")
    plan = collect(f"file://{root}", grace=NOW, dry_run=True)
    assert sorted(plan.removed) == loose
    assert all((root / key).exists() for key in loose)
    done = collect(f"file://{root}", grace=NOW)
    assert sorted(done.removed) == loose
    assert not any((root / key).exists() for key in loose)
    assert verify(f"file://{root}").findings == ()
    assert await stores.everything(root) == before
    assert collect(f"file://{root}", grace=NOW).removed == []


async def test_what_is_young_is_kept(root: Path) -> None:
    loose = await with_loose_files(root)
    for key in loose:  # an old content is no old file: it may have been copied here just now
        os.utime(root / key, (0, 0))
    report = collect(f"file://{root}")
    assert (report.removed, report.younger) == ([], 2)
    assert all((root / key).exists() for key in loose)


async def test_data_in_the_journal_is_kept(root: Path) -> None:
    (key, *_) = await with_loose_files(root)
    key = next(one for one in [key] if one.startswith("configs/"))
    stores.journal(root, key, b'{"loose":true}\n')
    assert key not in collect(f"file://{root}", grace=NOW).removed
    assert (root / key).exists()


async def test_borrowed_data_is_kept(root: Path) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        reference = await storage.save_record_data("lent", "m1", "m1-a", {"lent": True})
        await storage.log_record_metadata(
            Record(record_uid="borrower", job_id="m1-a", master_job_id="m1", status="failed", output_ref=reference)
        )
    assert collect(f"file://{root}", grace=NOW).removed == []
    assert Path(reference).exists()


async def test_what_a_living_writer_is_writing_is_kept(root: Path) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        await storage.save_record_data("r0001", "m1", "m1-a", stores.data_of(1))
        (session,) = (root / "staging").iterdir()
        (session / "99").write_bytes(b"{")
        assert collect(f"file://{root}", grace=NOW).removed == []
        assert (session / "99").exists()


async def test_a_damaged_database_removes_nothing(root: Path) -> None:
    """An index without entries says of every file that nothing refers to it."""
    before = bytes_of(root)
    stores.empty_index(root, "sqlite_autoindex_records_1")
    with pytest.raises(StoreDamagedError, match="repair --store STORE"):
        collect(f"file://{root}", grace=NOW)
    assert {name for name in before if (root / name).exists()} == set(before)


async def test_another_stores_data_is_not_removed(root: Path, tmp_path: Path) -> None:
    await stores.make(tmp_path / "other", 4)
    for number in range(4):
        path = stores.file_of(tmp_path / "other", number)
        path.rename(path.with_name(f"other{number}.json"))
    before = bytes_of(tmp_path / "other")
    with pytest.raises(StoreOpenError, match="data lies beside it"):
        collect(f"file://{root}", f"file://{tmp_path}/other", grace=NOW)
    stores.move_data(root, tmp_path / "elsewhere")
    with pytest.raises(StoreOpenError, match="none of its records"):
        collect(f"file://{root}", f"file://{tmp_path}/other", grace=NOW)
    assert bytes_of(tmp_path / "other") == before


async def test_what_is_no_data_is_left_alone(root: Path) -> None:
    planted = root / "data/0c/planted.json"
    planted.parent.mkdir(exist_ok=True)
    planted.symlink_to("../../metadata.db")
    assert collect(f"file://{root}", grace=NOW).removed == []
    assert planted.is_symlink()


async def test_what_got_a_row_meanwhile_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up once more before it is removed, while no writer can save a row; what was killed stays noted."""
    loose = await with_loose_files(root)
    (root / "writer.lock").write_bytes(b"\1")
    find, is_wanted = module._unwanted, module._is_wanted
    locked: list[bool] = []

    def found(*given: Any, **named: Any) -> Any:
        files = find(*given, **named)
        change(root, ADOPT.replace("KEY", next(key for key in loose if key.startswith("data/"))))
        locked.clear()
        return files

    def looked_up(*given: Any) -> bool:
        with (root / "writer.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked.append(False)
            except BlockingIOError:
                locked.append(True)
        return is_wanted(*given)

    monkeypatch.setattr(module, "_unwanted", found)
    monkeypatch.setattr(module, "_is_wanted", looked_up)
    removed = collect(f"file://{root}", grace=NOW).removed
    assert set(loose) - set(removed) == {next(key for key in loose if key.startswith("data/"))}
    assert set(locked) == {True}
    assert (root / "writer.lock").read_bytes() == b"\1"


async def test_a_negative_grace_period_is_refused(root: Path) -> None:
    with pytest.raises(InvalidInputError, match="grace period"):
        collect(f"file://{root}", grace=timedelta(days=-1))


async def test_the_command(root: Path) -> None:
    loose = await with_loose_files(root)
    status, out, errors = command("collect", "--store", str(root), "--days", "0", "--dry-run", "--json")
    assert (status, errors) == (0, "")
    assert sorted(json.loads(out)["removed"]) == loose
    status, out, errors = command("collect", "--store", str(root), "--days", "0")
    assert (status, errors) == (0, "")
    assert "removed 3 files" in out
