"""A workload that writes, overwrites, batches and deletes, logs what was acknowledged, and can be checked afterwards.

The log lies outside the store. A line ``begin`` is written before a call and a line ``done`` after it returned, so
that after a kill the calls in between are known: those may have taken effect or not, but never by half. After a line
``cut`` the power was gone: no call counts as returned any more.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import apsw

from durability import run_workload
from durability.payloads import payload
from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, Storage
from starfish_storage.interface import Layout
from starfish_storage.keys import PACKS_DIRECTORY, pack_named
from starfish_storage.metadata.sqlite.connection import Durability

Line = tuple[str, dict[str, Any]]
"""Of a log: ``begin``, ``done`` or ``cut``, and what."""

PROJECT, MASTER, JOB = "project", "master", "job"
SIDE_RECORDS = 3


class Log:
    """An append-only log, one line a write, that survives the process: a file, or a pipe that its parent reads."""

    def __init__(self, path: Path | None) -> None:
        self._descriptor = 1 if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, kind: str, change: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps([kind, change]).encode() + b"\n")


def opened(root: Path, layout: str | None = None, durability: Durability = "power") -> LocalStorage:
    """Return the storage of a layout; with ``"mixed"``, of what there is: see `let_pack`."""
    asked = None if layout == "mixed" else cast("Layout | None", layout)
    return LocalStorage(f"file://{root}", durability=durability, layout=asked)


def let_pack(root: Path) -> None:
    """Let a store of files, which nobody has open, put into packs what is saved from now on."""
    with closing(apsw.Connection(str(root / "metadata.db"))) as connection:
        connection.execute("UPDATE settings SET value = 'mixed' WHERE name = 'layout'")
        assert connection.changes() == 1


def record(uid: str, version: int, master: str = MASTER, job: str = JOB) -> Record:
    return Record(record_uid=uid, job_id=job, master_job_id=master, status="completed", error_message=f"v{version}")


def beginning(
    master: str = MASTER, job: str = JOB
) -> tuple[Project, dict[str, Any], Callable[[Storage], GenerationMasterJob], GenerationJob]:
    """Return what has to be there before a record is saved: project, configuration, master job, execution job."""

    def master_job(storage: Storage) -> GenerationMasterJob:
        return GenerationMasterJob(
            master_job_id=master,
            project_id=PROJECT,
            request_config_ref=storage.generate_request_config_path(master),
            output_schema={},
            storage_uri="file:///elsewhere",
            target_record_count=1,
        )

    return (
        Project(project_id=PROJECT, name="faults"),
        {"model": "none"},
        master_job,
        GenerationJob(job_id=job, master_job_id=master, run_config={"job": job}),
    )


async def prepare(storage: Storage, master: str = MASTER, job: str = JOB) -> None:
    project, config, master_job, execution_job = beginning(master, job)
    await storage.save_project(project)
    await storage.save_request_config(storage.generate_request_config_path(master), config)
    await storage.log_master_job_start(master_job(storage))
    await storage.log_execution_job_start(execution_job)


async def run(storage: Storage, log: Log, steps: int, workers: int = 1) -> None:
    """Write, overwrite, batch and delete, so many steps of each worker."""
    log.write("begin", {})
    await prepare(storage)
    log.write("done", {})
    await asyncio.gather(*(work(storage, log, steps, f"w{number}") for number in range(workers)))


async def work(storage: Storage, log: Log, steps: int, name: str) -> None:
    for step in range(steps):
        uid = f"{name}-{step}"
        await save(storage, log, {uid: 1})
        if step % 3 == 1:
            await save(storage, log, {uid: 2})
        if step % 4 == 2:
            await save(storage, log, {f"{uid}-a": 1, uid: 3, f"{uid}-b": 1})
        if step % 5 == 3:
            await _side_job(storage, log, f"side-{uid}")
        if step % 2 == 0:
            await run_workload.work_on_input(storage, log, MASTER, name, step)


async def save(storage: Storage, log: Log, versions: dict[str, int]) -> None:
    log.write("begin", {"save": versions})
    if len(versions) == 1:
        [(uid, version)] = versions.items()
        await storage.save_record(record(uid, version), payload(uid, version))
    else:
        await storage.save_records((record(uid, version), payload(uid, version)) for uid, version in versions.items())
    log.write("done", {"save": versions})


async def overwrite(storage: Storage, log: Log, steps: int, workers: int) -> None:
    """Save once more, with one call each and with one call for all, what `work` has saved."""
    uids = [f"w{number}-{step}" for number in range(workers) for step in range(steps)]
    for uid in uids[:-2]:
        await save(storage, log, {uid: 4})
    await save(storage, log, dict.fromkeys(uids[-3:], 5))


async def _side_job(storage: Storage, log: Log, name: str) -> None:
    """A master job of its own, filled and deleted again."""
    await prepare(storage, name, f"{name}-job")
    for number in range(SIDE_RECORDS):
        uid = f"{name}-r{number}"
        await storage.save_record(record(uid, 1, name, f"{name}-job"), payload(uid, 1))
    await run_workload.work_on_input(storage, log, name, f"{name}-worker", 0)
    log.write("begin", {"delete": name})
    await storage.delete_master_job(name)
    log.write("done", {"delete": name})


def acknowledged_before_the_cut(lines: Iterable[Line]) -> list[Line]:
    """Return what was logged; of what came after a power cut, only what was begun: nobody was left to be told."""
    kept: list[Line] = []
    powered = True
    for kind, change in lines:
        powered = powered and kind != "cut"
        if kind == "begin" or (kind == "done" and powered):
            kept.append((kind, change))
    return kept


async def check(root: Path, log_path: Path, layout: str | None = None) -> int:
    """Reopen the store and compare it with the log; return how many records were acknowledged."""
    lines = acknowledged_before_the_cut(json.loads(line) for line in log_path.read_text().splitlines())
    async with opened(root, layout) as storage:
        count = await check_storage(storage, root, lines)
        for name in deleted_in(lines):
            assert not list(root.glob(f"data/*/{name}-r*")), "data of a deleted master job is left"
        await goes_on(storage)
    assert not list((root / "staging").iterdir())
    return count


def deleted_in(lines: Iterable[Line]) -> set[str]:
    """Return the master jobs whose deletion was acknowledged."""
    return {change["delete"] for kind, change in lines if kind == "done" and "delete" in change}


async def check_storage(storage: Storage, root: Path, lines: Sequence[Line]) -> int:
    """Compare an open store, whose data lies below a root, with the log; return how many records were acknowledged."""
    acknowledged: dict[str, int] = {}
    in_flight: dict[str, set[int]] = {}
    for kind, change in lines:
        for uid, version in change.get("save", {}).items():
            if kind == "begin":
                in_flight.setdefault(uid, set()).add(version)
            else:
                acknowledged[uid] = version
                in_flight[uid].discard(version)
    for uid, version in acknowledged.items():
        await _check_record(storage, uid, {version} | in_flight[uid])
    for uid in in_flight.keys() - acknowledged.keys():
        if await storage.get_record_metadata(uid) is not None:
            await _check_record(storage, uid, in_flight[uid])
    for name in deleted_in(lines):
        assert await storage.get_master_job(name) is None
        assert not Path(storage.generate_request_config_path(name)).exists()
    await check_whole(storage, root)
    await run_workload.check_runs(storage, lines)
    return len(acknowledged)


async def _check_record(storage: Storage, uid: str, versions: set[int]) -> None:
    found = await storage.get_record_metadata(uid)
    assert found is not None, f"{uid} was acknowledged and is gone"
    assert found.output_ref is not None
    data = await storage.get_record_data(found.output_ref)
    assert data["version"] in versions, f"{uid} has version {data['version']}, not one of {versions}"
    assert data == payload(uid, data["version"])
    assert found.error_message == f"v{data['version']}", "row and data are of different versions"


async def check_untorn(root: Path, layout: str | None = None) -> None:
    """Reopen a store that may have lost its last moments: no row refers to data that is not whole or is another's."""
    async with opened(root, layout) as storage:
        for job in await storage.list_master_jobs():
            async for found in storage.iter_records(job.master_job_id):
                assert found.output_ref is not None
                data = await storage.get_record_data(found.output_ref)
                assert data == payload(found.record_uid, data["version"])
                assert found.error_message == f"v{data['version']}", "row and data are of different versions"
        await goes_on(storage)


async def check_whole(storage: Storage, root: Path) -> None:
    """No file or line of a pack is torn, no row dangles, and the counts are those of the rows."""
    for path in [*root.glob("data/*/*"), *root.glob("configs/*")]:
        if path.parent.name != "packs":
            assert json.loads(path.read_bytes()), f"{path} is torn"
    check_packs(root)
    for job in await storage.list_master_jobs():
        counted: dict[str, int] = {}
        async for found in storage.iter_records(job.master_job_id):
            counted[found.status] = counted.get(found.status, 0) + 1
            assert found.output_ref is None or await storage.get_record_data(found.output_ref)
        assert await storage.count_records_for_master_job(job.master_job_id) == counted


def check_packs(root: Path) -> None:
    """As far as packs are committed, they are lines of JSON; behind that, there may be anything."""
    packs = {path: pack_named(f"{PACKS_DIRECTORY}/{path.name}") for path in root.glob(f"{PACKS_DIRECTORY}/*")}
    if not packs or not (root / "metadata.db").exists():
        return
    with closing(apsw.Connection(str(root / "metadata.db"))) as connection:
        rows: list[Any] = connection.execute("SELECT pack, size FROM packs WHERE size > 0").fetchall()
    sizes: dict[str | None, int] = dict(rows)
    assert sizes.keys() <= set(packs.values()), "a pack is lost"
    for path, pack in packs.items():
        content = path.read_bytes()[: sizes.get(pack, 0)]
        assert len(content) == sizes.get(pack, 0), f"{path} is cut off"
        assert content.endswith(b"\n") or not content, f"{path} is torn"
        for line in content.splitlines():
            assert json.loads(line), f"a line of {path} is torn"


async def goes_on(storage: Storage) -> None:
    """The store takes new work."""
    if await storage.get_execution_job(JOB) is None:
        if await storage.get_master_job(MASTER) is not None:
            await storage.log_execution_job_start(GenerationJob(job_id=JOB, master_job_id=MASTER))
        else:
            await prepare(storage)
    await storage.save_record(record("afterwards", 1), payload("afterwards", 1))
    found = await storage.get_record_metadata("afterwards")
    assert found is not None
    assert found.output_ref is not None
    assert await storage.get_record_data(found.output_ref) == payload("afterwards", 1)
