"""The library as a contestant where several processes share one store in PostgreSQL: each is one of these.

A store stays open from turn to turn, as it does in a worker: connections and prepared statements are there.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from datetime import timedelta
from typing import Any

from benchmarks.callers import run_callers, time_each
from benchmarks.payloads import make_payloads, status_of
from benchmarks.turns import serve
from starfish_storage import GenerationJob, GenerationMasterJob, Project, Record, open_storage
from starfish_storage.generation import Context, generate, resume
from starfish_storage.interface import Layout, Storage
from starfish_storage.runs import Worker
from starfish_storage.times import utc_now

RUN = "run-1"

_runner = asyncio.Runner()
_payloads = make_payloads(1000)
_open: dict[str, Any] = {}


def prepare(uri: str, data_uri: str | None, environment: dict[str, str], jobs: int, layout: Layout) -> dict[str, Any]:
    """Make a store with a master job and so many execution jobs."""
    os.environ.update(environment)
    return _runner.run(_prepare(uri, data_uri, jobs, layout))


def enter(uri: str, data_uri: str | None, environment: dict[str, str], made: dict[str, Any], warm_up: int) -> None:
    """Open the store, and save some records that are not timed."""
    os.environ.update(environment)
    _runner.run(_enter(uri, data_uri, made, warm_up))


def save(callers: int, records: int) -> tuple[float, float]:
    """Save records by so many callers; return when that began and ended, by the clock of the machine."""
    return _runner.run(_save(callers, records))


def save_until(end: str) -> list[float]:
    """Save records, one after the other, until a file exists; return the seconds of each."""
    return _runner.run(_save_until(end))


def count() -> int:
    """Return how many records the store counts."""
    return _runner.run(_count())


def leave() -> None:
    """Close the store."""
    _runner.run(_open.pop("store").close())


def prepare_run(uri: str, data_uri: str | None, environment: dict[str, str], inputs: int) -> None:
    """Make a run of so many inputs, and one more that is done."""
    os.environ.update(environment)
    _runner.run(_prepare_run(uri, data_uri, inputs))


def work(callers: int) -> tuple[float, float, int]:
    """Go on with the run in the open store; return when that began, when the last call was made, and how many."""
    return _runner.run(_work(callers))


def work_far(callers: int, inputs: int, seconds: float) -> float:
    """Generate in the open store with a function that takes so long; return the seconds, from beginning to end."""
    return _runner.run(_work_far(callers, inputs, seconds))


def query_many(
    uri: str, data_uri: str | None, environment: dict[str, str], records: int, repeats: int
) -> dict[str, Any]:
    """Return the seconds of each of the queries over a run of very many inputs, every one done but the last."""
    os.environ.update(environment)
    return _runner.run(_query_many(uri, data_uri, records, repeats))


def begin_resume(uri: str, data_uri: str | None, environment: dict[str, str], number: int) -> float:
    """Go on with the run, the first time as number 0; return the seconds until its first call, which ends it."""
    os.environ.update(environment)
    return _runner.run(_begin_resume(uri, data_uri, number))


def delete(uri: str, data_uri: str | None, environment: dict[str, str]) -> float:
    """Delete the run, and return the seconds that it took."""
    os.environ.update(environment)
    return _runner.run(_delete(uri, data_uri))


async def _prepare(uri: str, data_uri: str | None, jobs: int, layout: Layout) -> dict[str, Any]:
    async with open_storage(uri, data_uri, layout=layout) as store:
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
        made = [
            GenerationJob(master_job_id=master_job.master_job_id, status="running", run_config={"n": number})
            for number in range(jobs)
        ]
        await asyncio.gather(*(store.log_execution_job_start(job) for job in made))
    return {"master_job_id": master_job.master_job_id, "job_ids": [job.job_id for job in made]}


async def _enter(uri: str, data_uri: str | None, made: dict[str, Any], warm_up: int) -> None:
    store = open_storage(uri, data_uri)
    await store.setup()
    _open.update(made, store=store)
    if warm_up:
        await _save(50, warm_up)


async def _save(callers: int, records: int) -> tuple[float, float]:
    store: Storage = _open["store"]
    master_job_id, job_ids = _open["master_job_id"], _open["job_ids"]

    async def save_one(number: int) -> None:
        payload = _payloads[number % len(_payloads)]
        job_id = job_ids[number % len(job_ids)]
        record = Record(
            record_uid=str(uuid.uuid4()), job_id=job_id, master_job_id=master_job_id, status=status_of(payload)
        )
        await store.save_record(record, payload)

    begun = time.perf_counter()
    return begun, begun + await run_callers(callers, records, save_one)


async def _save_until(end: str) -> list[float]:
    store: Storage = _open["store"]
    waits: list[float] = []
    while not os.path.exists(end):
        uid, payload = str(uuid.uuid4()), _payloads[len(waits) % len(_payloads)]
        record = Record(
            record_uid=uid, job_id=_open["job_ids"][0], master_job_id=_open["master_job_id"], status=status_of(payload)
        )
        begun = time.perf_counter()
        await store.save_record(record, payload)
        waits.append(time.perf_counter() - begun)
    return waits


async def _count() -> int:
    return sum((await _open["store"].count_records_for_master_job(_open["master_job_id"])).values())


async def _prepare_run(uri: str, data_uri: str | None, inputs: int) -> None:
    async def expensive(number: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1.0)
        return {"number": number}

    async with open_storage(uri, data_uri) as store:
        given = [{"number": number} for number in range(inputs + 1)]
        how = {"project": "benchmark", "master_job_id": RUN, "progress": "quiet"}
        run = await generate(store, expensive, given, max_concurrency=1, max_cost=1.0, **how)
        if run.inputs != {"completed": 1, "pending": inputs}:
            raise RuntimeError(f"{run.inputs} is not a run of which one input is done")


async def _work(callers: int) -> tuple[float, float, int]:
    calls, last = 0, 0.0

    async def answer(number: int) -> dict[str, Any]:
        nonlocal calls, last
        calls, last = calls + 1, time.perf_counter()
        return _payloads[number % len(_payloads)]

    begun = time.perf_counter()
    await resume(_open["store"], RUN, answer, max_concurrency=callers, max_cost=1e9, progress="quiet")
    return begun, last, calls


async def _work_far(callers: int, inputs: int, seconds: float) -> float:
    async def answer(number: int) -> dict[str, Any]:
        await asyncio.sleep(seconds)
        return _payloads[number % len(_payloads)]

    given = [{"number": number} for number in range(inputs)]
    begun = time.perf_counter()
    run = await generate(_open["store"], answer, given, project="benchmark", max_concurrency=callers, progress="quiet")
    if run.inputs != {"completed": inputs}:
        raise RuntimeError(f"{run.inputs} is not a run of {inputs} inputs that are done")
    return time.perf_counter() - begun


async def _query_many(uri: str, data_uri: str | None, records: int, repeats: int) -> dict[str, Any]:
    async with open_storage(uri, data_uri) as store:
        ledger = store.ledger
        near_end = (await store.get_records_for_master_job(RUN, limit=1, offset=records - 150))[0]
        worker = Worker(uuid.uuid4().hex, RUN, "benchmark", utc_now(), utc_now() + timedelta(seconds=600))
        await ledger.save_worker(worker)

        async def page_at_end() -> None:
            async for _ in store.iter_records(RUN, after=near_end, batch_size=100):
                return

        times = {
            "first page": [lambda: store.get_records_for_master_job(RUN, limit=100)] * repeats,
            "page at the end": [page_at_end] * repeats,
            "look-up": [lambda: store.get_record_metadata(near_end.record_uid)] * repeats,
            "count records": [lambda: store.count_records_for_master_job(RUN)] * repeats,
            "count inputs": [lambda: ledger.count_inputs(RUN)] * min(repeats, 5),
            "claim": [lambda: ledger.claim_inputs(RUN, worker.worker_id, 50, utc_now())] * repeats,
            "unowned": [lambda: ledger.release_unowned_inputs(RUN, utc_now())] * min(repeats, 5),
            "refresh": [lambda: ledger.refresh_run(RUN, utc_now())] * repeats,
            "hashes": [lambda: store.completed_config_hashes(RUN)],
        }
        measured = {what: await time_each(calls) for what, calls in times.items()}
        await ledger.remove_worker(worker, utc_now())  # whoever resumes the run would wait for it
        return measured


async def _begin_resume(uri: str, data_uri: str | None, number: int) -> float:
    called: list[float] = []
    price = 1e9  # above what all inputs have cost: the limit is reached with the first call

    async def answer(question: str, context: Context) -> dict[str, Any]:
        called.append(time.perf_counter())
        context.log_usage(cost=price)
        return {"answer": question}

    begun = time.perf_counter()
    async with open_storage(uri, data_uri) as store:
        await resume(store, RUN, answer, max_concurrency=1, max_cost=price * (number + 0.5), progress="quiet")
    return called[0] - begun


async def _delete(uri: str, data_uri: str | None) -> float:
    async with open_storage(uri, data_uri) as store:
        begun = time.perf_counter()
        await store.delete_master_job(RUN)
        return time.perf_counter() - begun


_TASKS = (
    *(prepare, enter, save, save_until, count, leave, prepare_run, work, work_far),
    *(query_many, begin_resume, delete),
)
TASKS = {task.__name__: task for task in _TASKS}

if __name__ == "__main__":
    serve(TASKS)
