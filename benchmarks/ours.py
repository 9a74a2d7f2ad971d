"""The library as a contestant: used as a caller uses it, through its public API.

Only `load_jobs` reaches below it: the 100,000 finished jobs of the resume look-up are inserted with SQL, because only
the query is measured.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import apsw

from benchmarks.callers import run_callers, settle, time_each
from benchmarks.memory import on_disk, resident_megabytes
from benchmarks.payloads import make_payloads, status_of
from benchmarks.turns import serve
from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record
from starfish_storage.codec import encode
from starfish_storage.interface import Layout
from starfish_storage.metadata.queries import sqlite_queries

Durability = Literal["power", "process"]
Save = Callable[[int], Awaitable[None]]

_filled: dict[str, list[str]] = {}
"""The uids of the records, or the hashes of the jobs, that a store was filled with."""


def write(
    directory: str,
    callers: int,
    records: int,
    warm_up: int,
    jobs: int,
    durability: Durability,
    two_calls: bool,
    layout: Layout = "files",
) -> float:
    """Save records in a fresh store and return the seconds it took, not counting the first ``warm_up``."""
    store = LocalStorage(_uri(directory), durability=durability, layout=layout)
    return asyncio.run(_write(store, callers, records, warm_up, jobs, two_calls))


def write_remote(
    directory: str,
    data_uri: str,
    environment: dict[str, str],
    callers: int,
    records: int,
    warm_up: int,
    jobs: int,
    layout: Layout,
) -> float:
    """Save records in a fresh store with its data in a bucket; return the seconds as `write` does."""
    os.environ.update(environment)
    store = LocalStorage(_uri(directory), data_uri, layout=layout)
    return asyncio.run(_write(store, callers, records, warm_up, jobs, two_calls=False))


def fill(directory: str, records: int, jobs: int, layout: Layout = "files") -> None:
    """Make a store of so many records to read from."""
    asyncio.run(_fill(directory, records, jobs, layout))


def read(directory: str, callers: int, reads: int, seed: int) -> float:
    """Read rows and data of a filled store in random order; return the seconds."""
    return asyncio.run(_read(directory, callers, reads, seed))


def fill_jobs(directory: str, jobs: int) -> None:
    """Make a store of so many completed execution jobs, one an input."""
    asyncio.run(_fill_jobs(directory, jobs))


def look_up_jobs(directory: str, lookups: int, seed: int) -> float:
    """Look up inputs one by one, as a resuming run does; return the seconds."""
    return asyncio.run(_look_up_jobs(directory, lookups, seed))


def load_jobs(directory: str, jobs: int) -> str:
    """Make a store of very many completed jobs with SQL and return its master job."""
    return asyncio.run(_load_jobs(directory, jobs))


def completed_hashes(directory: str, master_job_id: str, expected: int) -> float:
    """Ask for all completed inputs at once; return the seconds."""
    return asyncio.run(_completed_hashes(directory, master_job_id, expected))


def write_many(directory: str, records: int, callers: int, jobs: int, layout: Layout = "files") -> dict[str, Any]:
    """Save very many records in this process; return the seconds, its memory, what is on disk, and where they are."""
    found = asyncio.run(_write_many(directory, records, callers, jobs, layout))
    return found | on_disk(directory)


def query_many(directory: str, master_job_id: str, uids: list[str], records: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of each of the queries over very many records."""
    return asyncio.run(_query_many(directory, master_job_id, uids, records, repeats))


def versions() -> dict[str, str]:
    """Return what the figures depend on."""
    return {"SQLite": apsw.sqlite_lib_version(), "apsw": apsw.apsw_version()}


def _uri(directory: str) -> str:
    return f"file://{directory}"


async def start_run(store: LocalStorage, jobs: int) -> tuple[str, list[str]]:
    """Start a master job with so many execution jobs; return their ids."""
    project = Project(name="benchmark")
    await store.save_project(project)
    master_job = GenerationMasterJob(
        project_id=project.project_id,
        request_config_ref=store.generate_request_config_path("benchmark"),
        output_schema={"type": "object"},
        storage_uri=store.storage_uri,
        target_record_count=1,
    )
    await store.log_master_job_start(master_job)
    job_ids = [str(uuid.uuid4()) for _ in range(jobs)]

    async def start(number: int) -> None:
        job = GenerationJob(
            job_id=job_ids[number], master_job_id=master_job.master_job_id, status="running", run_config={"n": number}
        )
        await store.log_execution_job_start(job)

    await run_callers(50, jobs, start)
    return master_job.master_job_id, job_ids


def _saving(store: LocalStorage, master_job_id: str, job_ids: list[str], payloads: list[dict[str, Any]]) -> Save:
    """Return what a caller does for one record, in one step."""

    async def save(number: int) -> None:
        payload = payloads[number % len(payloads)]
        record = Record(job_id=job_ids[number % len(job_ids)], master_job_id=master_job_id, status=status_of(payload))
        await store.save_record(record, payload)

    return save


def _saving_in_two_calls(
    store: LocalStorage, master_job_id: str, job_ids: list[str], payloads: list[dict[str, Any]]
) -> Save:
    """Return what a caller of the published API does for one record: its data, then its row."""

    async def save(number: int) -> None:
        payload = payloads[number % len(payloads)]
        job_id, uid = job_ids[number % len(job_ids)], str(uuid.uuid4())
        reference = await store.save_record_data(uid, master_job_id, job_id, payload)
        record = Record(
            record_uid=uid,
            job_id=job_id,
            master_job_id=master_job_id,
            status=status_of(payload),
            output_ref=reference,
        )
        await store.log_record_metadata(record)

    return save


async def _write(store: LocalStorage, callers: int, records: int, warm_up: int, jobs: int, two_calls: bool) -> float:
    async with store:
        master_job_id, job_ids = await start_run(store, jobs)
        save = (_saving_in_two_calls if two_calls else _saving)(store, master_job_id, job_ids, make_payloads(1000))
        await run_callers(50, warm_up, save)
    async with store:
        settle()
        seconds = await run_callers(callers, records, save)
        await _check_count(store, master_job_id, warm_up + records)
    return seconds


async def _check_count(store: LocalStorage, master_job_id: str, expected: int) -> None:
    found = sum((await store.count_records_for_master_job(master_job_id)).values())
    if found != expected:
        raise RuntimeError(f"{found} records are stored, not {expected}")


async def _fill(directory: str, records: int, jobs: int, layout: Layout) -> None:
    async with LocalStorage(_uri(directory), layout=layout) as store:
        master_job_id, job_ids = await start_run(store, jobs)
        await run_callers(50, records, _saving(store, master_job_id, job_ids, make_payloads(1000)))
        _filled[directory] = [record.record_uid async for record in store.iter_records(master_job_id)]


async def _read(directory: str, callers: int, reads: int, seed: int) -> float:
    uids = _filled[directory]
    order = random.Random(seed).choices(uids, k=reads)
    async with LocalStorage(_uri(directory)) as store:

        async def read_one(uid: str) -> None:
            record = await store.get_record_metadata(uid)
            assert record is not None
            assert record.output_ref is not None
            data = await store.get_record_data(record.output_ref)
            assert "question" in data

        await run_callers(callers, len(uids), lambda number: read_one(uids[number]))  # warm, as the peer is
        settle()
        return await run_callers(callers, reads, lambda number: read_one(order[number]))


async def _fill_jobs(directory: str, jobs: int) -> None:
    async with LocalStorage(_uri(directory)) as store:
        master_job_id, _ = await start_run(store, 1)
        finished = [
            GenerationJob(master_job_id=master_job_id, status="completed", run_config={"input": number})
            for number in range(jobs)
        ]
        await run_callers(500, jobs, lambda number: store.log_execution_job_start(finished[number]))
        _filled[directory] = [master_job_id, *(job.run_config_hash or "" for job in finished)]


async def _look_up_jobs(directory: str, lookups: int, seed: int) -> float:
    master_job_id, *hashes = _filled[directory]
    order = random.Random(seed).choices(hashes, k=lookups)
    async with LocalStorage(_uri(directory)) as store:

        async def look_up(config_hash: str) -> None:
            found = await store.list_execution_jobs_by_master_id_and_config_hash(
                master_job_id, config_hash, "completed"
            )
            assert len(found) == 1

        await run_callers(1, min(lookups, 20), lambda number: look_up(hashes[number]))
        settle()
        return await run_callers(1, lookups, lambda number: look_up(order[number]))


async def _load_jobs(directory: str, jobs: int) -> str:
    async with LocalStorage(_uri(directory)) as store:
        master_job_id, _ = await start_run(store, 1)
    connection = apsw.Connection(f"{directory}/metadata.db")
    moment = "2026-01-31T12:00:00.000000Z"
    with connection:
        connection.executemany(
            sqlite_queries()["save_execution_job"],
            (
                (str(uuid.uuid4()), master_job_id, "completed", f'{{"input":{number}}}', f"{number:064x}")
                + (0,) * 6
                + (moment, None, None, moment, None, None)
                for number in range(jobs)
            ),
        )
    connection.close()
    return master_job_id


async def _completed_hashes(directory: str, master_job_id: str, expected: int) -> float:
    async with LocalStorage(_uri(directory)) as store:
        settle()

        async def ask(_: int) -> None:
            assert len(await store.completed_config_hashes(master_job_id)) == expected

        return await run_callers(1, 1, ask)


async def _write_many(directory: str, records: int, callers: int, jobs: int, layout: Layout) -> dict[str, Any]:
    payloads = make_payloads(200)  # few: they count as memory of this process
    async with LocalStorage(_uri(directory), layout=layout) as store:
        master_job_id, job_ids = await start_run(store, jobs)
        before = resident_megabytes()
        seconds = await run_callers(callers, records, _saving(store, master_job_id, job_ids, payloads))
        after = resident_megabytes()
        await _check_count(store, master_job_id, records)
        uids: list[str] = []
        for job_id in job_ids[:50]:
            uids += [record.record_uid for record in (await store.list_record_metadata(master_job_id, job_id))[:20]]
    return {
        "seconds": seconds,
        "before": before["now"],
        "after": after["now"],
        "peak": after["peak"],
        "payload": sum(len(encode(payload, "")) for payload in payloads) * records // len(payloads),
        "master_job_id": master_job_id,
        "uids": uids,
    }


async def _query_many(
    directory: str, master_job_id: str, uids: list[str], records: int, repeats: int
) -> dict[str, Any]:
    settle()
    store = LocalStorage(_uri(directory))
    reopened: list[float] = []
    for _ in range(repeats):
        reopened += await time_each([store.setup])
        await store.close()
    async with store:
        near_end = (await store.get_records_for_master_job(master_job_id, limit=1, offset=records - 150))[0]

        async def page_at_end() -> None:
            page: list[Record] = []
            async for record in store.iter_records(master_job_id, after=near_end, batch_size=100):
                page.append(record)
                if len(page) == 100:
                    return

        async def page(offset: int) -> None:
            assert len(await store.get_records_for_master_job(master_job_id, limit=100, offset=offset)) == 100

        return {
            "reopen": reopened,
            "first page": await time_each([lambda: page(0)] * repeats),
            "page at the end": await time_each([page_at_end] * repeats),
            "deep page": await time_each([lambda: page(records * 9 // 10)] * 3),
            "count": await time_each([lambda: store.count_records_for_master_job(master_job_id)] * repeats),
            "one look-up": await time_each([lambda uid=uid: store.get_record_metadata(uid) for uid in uids]),
        }


TASKS = {
    task.__name__: task
    for task in (
        write,
        write_remote,
        fill,
        read,
        fill_jobs,
        look_up_jobs,
        load_jobs,
        completed_hashes,
        write_many,
        query_many,
        versions,
    )
}

if __name__ == "__main__":
    serve(TASKS)
