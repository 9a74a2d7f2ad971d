"""The order and number of the steps that durability rests on: fails when one sync or rename is removed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from durability import workload
from durability.faults import FaultyStorage, RecordedFiles, Steps
from starfish_storage.metadata.connection import Durability


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
