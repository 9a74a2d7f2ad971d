"""Starfish's own LocalStorage as a contestant. Runs in an environment of its own, which knows nothing of this project.

It is used as its authors use it, with its logging switched off. It never syncs its data files and commits with
``synchronous=NORMAL``; there is no stronger promise to ask it for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import sqlite3
import time
import uuid
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from starfish.data_factory.storage.local.local_storage import LocalStorage  # pyright: ignore[reportMissingImports]
from starfish.data_factory.storage.models import (  # pyright: ignore[reportMissingImports]
    GenerationJob,
    GenerationMasterJob,
    Project,
    Record,
)

from benchmarks.callers import run_callers, settle, time_each
from benchmarks.payloads import make_payloads, status_of
from benchmarks.turns import serve

_MOMENT = "2026-01-31T12:00:00Z"

_filled: dict[str, list[str]] = {}
"""The uids of the records, or the hashes of the jobs, that a store was filled with."""


def write(directory: str, callers: int, records: int, warm_up: int, jobs: int) -> float:
    """Save records in a fresh store and return the seconds it took, not counting the first ``warm_up``."""
    return asyncio.run(_write(directory, callers, records, warm_up, jobs))


def fill(directory: str, records: int, jobs: int) -> None:
    """Make a store of so many records to read from."""
    asyncio.run(_fill(directory, records, jobs))


def read(directory: str, callers: int, reads: int, seed: int) -> float:
    """Read rows and data of a filled store in random order; return the seconds."""
    return asyncio.run(_read(directory, callers, reads, seed))


def export(directory: str, target: str) -> float:
    """Write all records of a filled store into a file, a line each; return the seconds."""
    return asyncio.run(_export(directory, target))


def fill_jobs(directory: str, jobs: int) -> None:
    """Make a store of so many completed execution jobs, one an input."""
    asyncio.run(_load_jobs(directory, jobs))


def look_up_jobs(directory: str, lookups: int, seed: int) -> float:
    """Look up inputs one by one, as a resuming run does; return the seconds."""
    return asyncio.run(_look_up_jobs(directory, lookups, seed))


def load_records(directory: str, records: int, jobs: int) -> dict[str, Any]:
    """Make a store of very many records with SQL, without data files; return its master job and some uids."""
    return asyncio.run(_load_records(directory, records, jobs))


def query_many(directory: str, master_job_id: str, uids: list[str], records: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of each of the queries over very many records."""
    return asyncio.run(_query_many(directory, master_job_id, uids, records, repeats))


def versions() -> dict[str, str]:
    """Return what the figures depend on."""
    packages = {name: version(name) for name in ("starfish-core", "aiosqlite", "aiofiles", "pydantic")}
    return {"SQLite": sqlite3.sqlite_version, **packages}


def _uri(directory: str) -> str:
    return f"file://{directory}"


async def _start_run(store: LocalStorage, jobs: int) -> tuple[str, list[str]]:
    project = Project(name="benchmark")
    await store.save_project(project)
    master_job = GenerationMasterJob(
        project_id=project.project_id,
        request_config_ref=store.generate_request_config_path("benchmark"),
        output_schema={"type": "object"},
        storage_uri="file:///",
        target_record_count=1,
    )
    await store.log_master_job_start(master_job)
    job_ids = [str(uuid.uuid4()) for _ in range(jobs)]
    for number, job_id in enumerate(job_ids):
        job = GenerationJob(
            job_id=job_id,
            master_job_id=master_job.master_job_id,
            status="running",
            run_config={"n": number},
            run_config_hash=f"{number:064x}",
        )
        await store.log_execution_job_start(job)
    return master_job.master_job_id, job_ids


async def _save(store: LocalStorage, master_job_id: str, job_id: str, payload: dict[str, Any]) -> str:
    uid = str(uuid.uuid4())
    reference = await store.save_record_data(uid, master_job_id, job_id, payload)
    record = Record(
        record_uid=uid, job_id=job_id, master_job_id=master_job_id, status=status_of(payload), output_ref=reference
    )
    await store.log_record_metadata(record)
    return uid


async def _write(directory: str, callers: int, records: int, warm_up: int, jobs: int) -> float:
    store = LocalStorage(_uri(directory))
    await store.setup()
    master_job_id, job_ids = await _start_run(store, jobs)
    payloads = make_payloads(1000)

    async def save(number: int) -> None:
        await _save(store, master_job_id, job_ids[number % jobs], payloads[number % len(payloads)])

    await run_callers(50, warm_up, save)
    await store.close()
    await store.setup()
    settle()
    seconds = await run_callers(callers, records, save)
    found = sum((await store.count_records_for_master_job(master_job_id)).values())
    await store.close()
    if found != warm_up + records:
        raise RuntimeError(f"{found} records are stored, not {warm_up + records}")
    return seconds


async def _fill(directory: str, records: int, jobs: int) -> None:
    store = LocalStorage(_uri(directory))
    await store.setup()
    master_job_id, job_ids = await _start_run(store, jobs)
    payloads = make_payloads(1000)
    uids = _filled[directory] = []

    async def save(number: int) -> None:
        uids.append(await _save(store, master_job_id, job_ids[number % jobs], payloads[number % len(payloads)]))

    await run_callers(50, records, save)
    await store.close()


async def _read(directory: str, callers: int, reads: int, seed: int) -> float:
    uids = _filled[directory]
    order = random.Random(seed).choices(uids, k=reads)
    store = LocalStorage(_uri(directory))
    await store.setup()

    async def read_one(uid: str) -> None:
        record = await store.get_record_metadata(uid)
        data = await store.get_record_data(record.output_ref)
        assert "question" in data

    await run_callers(callers, len(uids), lambda number: read_one(uids[number]))
    settle()
    seconds = await run_callers(callers, reads, lambda number: read_one(order[number]))
    await store.close()
    return seconds


async def _export(directory: str, target: str) -> float:
    store = LocalStorage(_uri(directory))
    await store.setup()
    first = await store.get_record_metadata(_filled[directory][0])
    settle()
    begun = time.perf_counter()
    with open(target, "w", encoding="utf-8") as lines:
        for record in await store.get_records_for_master_job(first.master_job_id):
            data = await store.get_record_data(record.output_ref)
            lines.write(json.dumps(data, ensure_ascii=False) + "\n")
    seconds = time.perf_counter() - begun
    await store.close()
    return seconds


async def _look_up_jobs(directory: str, lookups: int, seed: int) -> float:
    master_job_id, *hashes = _filled[directory]
    order = random.Random(seed).choices(hashes, k=lookups)
    store = LocalStorage(_uri(directory))
    await store.setup()

    async def look_up(number: int) -> None:
        found = await store.list_execution_jobs_by_master_id_and_config_hash(master_job_id, order[number], "completed")
        assert len(found) == 1

    await run_callers(1, min(lookups, 20), look_up)
    settle()
    seconds = await run_callers(1, lookups, look_up)
    await store.close()
    return seconds


async def _load_jobs(directory: str, jobs: int) -> None:
    store = LocalStorage(_uri(directory))
    await store.setup()
    master_job_id, _ = await _start_run(store, 1)
    await store.close()
    inputs = [json.dumps({"input": number}) for number in range(jobs)]
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in inputs]
    _insert(
        directory,
        "INSERT INTO GenerationJob (job_id, master_job_id, status, run_config, run_config_hash, creation_time, "
        "last_update_time) VALUES (?, ?, 'completed', ?, ?, ?, ?)",
        (
            (str(uuid.uuid4()), master_job_id, text, config_hash, _MOMENT, _MOMENT)
            for text, config_hash in zip(inputs, hashes, strict=True)
        ),
    )
    _filled[directory] = [master_job_id, *hashes]


async def _load_records(directory: str, records: int, jobs: int) -> dict[str, Any]:
    store = LocalStorage(_uri(directory))
    await store.setup()
    master_job_id, job_ids = await _start_run(store, jobs)
    await store.close()
    statuses = [status_of(payload) for payload in make_payloads(200)]
    uids: list[str] = []

    def rows() -> Iterable[tuple[str, ...]]:
        for number in range(records):
            uid = str(uuid.uuid4())
            if number % (records // 200) == 0:
                uids.append(uid)
            moment = f"2026-01-{1 + number // 86400 % 28:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}"
            moment += f":{number % 60:02d}.{number % 1_000_000:06d}Z"
            path = f"{directory}/data/{uid[:2]}/{uid[2:4]}/{uid}.json"
            status = statuses[number % len(statuses)]
            yield uid, job_ids[number % jobs], master_job_id, status, path, moment, moment, moment

    _insert(
        directory,
        "INSERT INTO Records (record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, "
        "last_update_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows(),
    )
    return {"master_job_id": master_job_id, "uids": uids}


def _insert(directory: str, statement: str, rows: Iterable[tuple[str, ...]]) -> None:
    connection = sqlite3.connect(f"{directory}/metadata.db")
    with connection:
        connection.executemany(statement, rows)
    connection.close()


async def _query_many(
    directory: str, master_job_id: str, uids: list[str], records: int, repeats: int
) -> dict[str, Any]:
    settle()
    store = LocalStorage(_uri(directory))
    reopened: list[float] = []
    for _ in range(repeats):
        reopened += await time_each([store.setup])
        await store.close()
    await store.setup()

    async def page(offset: int) -> None:
        assert len(await store.get_records_for_master_job(master_job_id, limit=100, offset=offset)) == 100

    seconds = {
        "reopen": reopened,
        "first page": await time_each([lambda: page(0)]),
        "page at the end": await time_each([lambda: page(records - 150)]),
        "deep page": await time_each([lambda: page(records * 9 // 10)]),
        "count": await time_each([lambda: store.count_records_for_master_job(master_job_id)]),
        "one look-up": await time_each([lambda uid=uid: store.get_record_metadata(uid) for uid in uids]),
    }
    await store.close()
    return seconds


TASKS = {
    task.__name__: task
    for task in (write, fill, read, export, fill_jobs, look_up_jobs, load_records, query_many, versions)
}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve(TASKS)
