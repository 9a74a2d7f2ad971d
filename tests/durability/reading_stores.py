"""Stores to be read where nothing can be written, and what there is to be read in them.

Usage: ``python -m durability.reading_stores ROOT [LAYOUT]``: makes a store, and is killed with its journal not yet in
place.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from durability import workload
from starfish_storage import (
    GenerationMasterJob,
    LocalStorage,
    Project,
    Record,
    Storage,
    StorageError,
    StoreReadOnlyError,
)
from starfish_storage.keys import PACKS_DIRECTORY, record_key, request_config_key
from starfish_storage.runs import RunInput


def make_killed(root: Path) -> None:
    """Make a store whose writer was killed, and put it back to before its files were put in place."""
    shutil.copytree(_killed("files"), root)
    (root / record_key("r1")).unlink()
    (root / record_key("r2")).write_text("{}\n")


def make_killed_packed(root: Path) -> None:
    """Make a packed store whose writer was killed, and let a power cut take the second half of its pack."""
    shutil.copytree(_killed("packed"), root)
    (pack,) = root.glob(f"{PACKS_DIRECTORY}/*")
    os.truncate(pack, pack.stat().st_size // 2)


@functools.cache
def _killed(layout: str) -> Path:
    """Make a store whose writer was killed, once for all tests that take a copy."""
    place = Path(tempfile.mkdtemp(prefix="starfish-storage-"))
    atexit.register(shutil.rmtree, place)
    root = place / "store"
    command = [sys.executable, "-m", "durability.reading_stores", str(root), layout]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    (root / request_config_key(workload.MASTER)).write_text('{"version":1}\n')
    assert (root / "metadata.db-wal").stat().st_size > 0
    return root


def make_without_index(root: Path) -> None:
    make_killed(root)
    (root / "metadata.db-shm").unlink()


def make_closed(root: Path) -> None:
    make_killed(root)
    asyncio.run(reopen(root))
    assert not (root / "metadata.db-wal").exists()


async def reopen(root: Path) -> None:
    async with LocalStorage(root):
        pass


def fill(directory: Path) -> None:
    with (directory / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


async def look(storage: Storage) -> dict[str, Any]:
    """Return all that a store shows: rows, configurations and data, read in each of the ways."""
    found: dict[str, Any] = {"projects": [one.name for one in await storage.list_projects()]}
    for job in await storage.list_master_jobs():
        records = [one async for one in storage.iter_records(job.master_job_id)]
        references = [one.output_ref for one in records if one.output_ref]
        data = [await storage.get_record_data(reference) for reference in references]
        scanned = [one async for batch in storage.scan_records(job.master_job_id) for one in batch]
        assert await storage.get_records_data(references) == data
        assert [one.error for one in scanned] == [None] * len(records)
        found[job.master_job_id] = {
            "config": await _config(storage, job),
            "records": {one.record_uid: one.status for one in records},
            "data": data,
            "counts": await storage.count_records_for_master_job(job.master_job_id),
        }
    return found


async def _config(storage: Storage, job: GenerationMasterJob) -> Any:
    try:
        return await storage.get_request_config(job.request_config_ref)
    except StorageError as error:  # an old store may have none
        return error.code


async def opened(open_: Callable[[], Storage]) -> dict[str, Any]:
    """Open a store, look at it, try to write, and look again; return what was seen, and how the write ended."""
    try:
        async with open_() as storage:
            seen = await look(storage)
            try:
                await storage.save_project(Project(project_id="another", name="another"))
                refusal = ["written", ""]
            except StorageError as error:
                refusal = [error.code, str(error)]
            if refusal[0] != "written":
                assert await look(storage) == seen
            return {"seen": seen, "refusal": refusal}
    except StorageError as error:
        return {"error": [error.code, str(error)]}


async def check_refusals(storage: Storage, place: str) -> None:
    """Check that a storage that was opened with ``read_only=True`` refuses every write; it has the workload's run."""
    job, execution_job = await storage.get_master_job(workload.MASTER), await storage.get_execution_job(workload.JOB)
    assert job is not None
    assert execution_job is not None
    record, now = workload.record("r2", 1), job.creation_time
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: storage.save_project(Project(project_id="p", name="p")),
        lambda: storage.delete_project(job.project_id, cascade=True),
        lambda: storage.log_master_job_start(job.model_copy(update={"master_job_id": "m"})),
        lambda: storage.log_master_job_end(workload.MASTER, "completed", None, now, now),
        lambda: storage.update_master_job_status(workload.MASTER, "running", now),
        lambda: storage.delete_master_job(workload.MASTER),
        lambda: storage.log_execution_job_start(execution_job),
        lambda: storage.log_execution_job_end(workload.JOB, "completed", {}, now, now),
        lambda: storage.save_request_config(job.request_config_ref, {"a": 1}),
        lambda: storage.save_record_data("r2", workload.MASTER, workload.JOB, {"a": 1}),
        lambda: storage.log_record_metadata(Record(**record.model_dump())),
        lambda: storage.save_record(record, {"a": 1}),
        lambda: storage.save_records([(record, {"a": 1})]),
        lambda: storage.ledger.register_inputs(workload.MASTER, [RunInput(0, {"n": 0})]),
    ]
    for write in writes:
        with pytest.raises(StoreReadOnlyError, match="read_only=True") as raised:
            await write()
        assert raised.value.path == place


async def leave_half_way(root: str, layout: str = "files") -> None:
    """Make a store whose records and configuration have been saved twice, and die: the second are in the journal."""
    storage = workload.opened(Path(root), layout)
    await storage.setup()
    await workload.prepare(storage)
    for version in (1, 2):
        await storage.save_request_config(storage.generate_request_config_path(workload.MASTER), {"version": version})
        await storage.save_records(
            [(workload.record(uid, version), workload.payload(uid, version)) for uid in ("r1", "r2", "r3")]
        )
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(leave_half_way(*sys.argv[1:]))
