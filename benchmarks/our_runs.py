"""The library's runs as a contestant: `generate` and `resume`, used as a caller uses them.

A process apart from `benchmarks.ours`, so that what a run imports is not in the memory that is measured there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.callers import settle
from benchmarks.memory import resident_megabytes
from benchmarks.ours import Durability, write
from benchmarks.payloads import make_payloads
from benchmarks.turns import serve
from starfish_storage import LocalStorage
from starfish_storage.generation import Run, generate, resume
from starfish_storage.generation.lease import is_gone
from starfish_storage.interface import Layout
from starfish_storage.maintenance import verify
from starfish_storage.times import utc_now

RUN = "run-1"


def generate_run(
    directory: str,
    callers: int,
    inputs: int,
    warm_up: int,
    durability: Durability,
    each: float = 0.0,
    layout: Layout = "files",
) -> float:
    """Run a function in a fresh store; return the seconds of the whole call of `generate`.

    ``each`` is for how many seconds a call of the function waits; without it, it returns at once.
    """
    store = LocalStorage(_uri(directory), durability=durability, layout=layout)
    return asyncio.run(_generate_run(store, callers, inputs, warm_up, each))


def fill_run(directory: str, inputs: int) -> None:
    """Make a store of a run of which every input is done."""
    asyncio.run(_fill_run(directory, inputs))


def put_back(directory: str, inputs: int) -> None:
    """Make the newest inputs of a finished run unfinished, as if it had been killed before them."""
    asyncio.run(_put_back(directory, inputs))


def resume_run(directory: str, inputs: int, left: int, given: bool) -> dict[str, float]:
    """Resume a run in this process and finish it.

    Returns:
        The ``seconds`` from the call of `resume` to the first call of the function, and the resident memory when the
        store was ``opened``, at that ``first_call``, when all was ``done``, and at its ``peak``.
    """
    return asyncio.run(_resume_run(directory, inputs, left, given))


def examine_run(directory: str, run: str, inputs: int) -> dict[str, Any]:
    """Return how many answers of a finished run are ``lost`` or ``stored_twice``, and whether its ``counts_hold``."""
    found = asyncio.run(_examine_run(directory, run, inputs))
    found["counts_hold"] &= verify(_uri(directory)).is_sound
    return found


def _uri(directory: str) -> str:
    return f"file://{directory}"


async def _generate_run(store: LocalStorage, callers: int, inputs: int, warm_up: int, each: float) -> float:
    payloads = make_payloads(1000)

    async def answer(number: int) -> dict[str, Any]:
        if each:
            await asyncio.sleep(each)
        return payloads[number % len(payloads)]

    async def run_them(master_job_id: str, count: int) -> Run:
        return await generate(
            store,
            answer,
            [{"number": number} for number in range(count)],
            project="benchmark",
            master_job_id=master_job_id,
            max_concurrency=callers,
            progress="quiet",
        )

    async with store:
        await run_them("warm-up", warm_up)
    async with store:
        settle()
        begun = time.perf_counter()
        run = await run_them(RUN, inputs)
        seconds = time.perf_counter() - begun
        _check(run, inputs)
    return seconds


async def _small_answer(number: int) -> dict[str, Any]:
    return {"number": number, "answer": number * number}


async def _fill_run(directory: str, inputs: int) -> None:
    async with LocalStorage(_uri(directory), durability="process") as store:
        given = ({"number": number} for number in range(inputs))
        run = await generate(
            store,
            _small_answer,
            given,
            project="benchmark",
            master_job_id=RUN,
            max_concurrency=50,
            progress="quiet",
        )
        _check(run, inputs)


async def _put_back(directory: str, inputs: int) -> None:
    async with LocalStorage(_uri(directory), durability="process") as store:
        newest = [job.job_id for job in await store.list_execution_jobs(RUN, ["completed"], limit=inputs)]
        found = await store.ledger.reset_inputs(RUN, ["completed"], job_ids=newest)
        if found != inputs:
            raise RuntimeError(f"{found} inputs were put back, not {inputs}")
        await store.update_master_job_status(RUN, "running", utc_now())


async def _resume_run(directory: str, inputs: int, left: int, given: bool) -> dict[str, float]:
    begun = 0.0
    measured: dict[str, float] = {}

    async def answer(number: int) -> dict[str, Any]:
        if not measured:
            measured["seconds"] = time.perf_counter() - begun
            measured["first_call"] = resident_megabytes()["now"]
        return await _small_answer(number)

    async with LocalStorage(_uri(directory), durability="process") as store:
        settle()
        opened = resident_megabytes()["now"]
        begun = time.perf_counter()
        # A generator: a list of the inputs would be memory of the caller's.
        again = ({"number": number} for number in range(inputs)) if given else None
        run = await resume(store, RUN, answer, inputs=again, progress="quiet")
        memory = resident_megabytes()
        _check(run, inputs)
        if run.done_before != inputs - left:
            raise RuntimeError(f"{run.done_before} inputs were done before, not {inputs - left}")
    return measured | {"opened": opened, "done": memory["now"], "peak": memory["peak"]}


def _check(run: Run, expected: int) -> None:
    if run.records != {"completed": expected}:
        raise RuntimeError(f"{run.records} are stored, not {expected} completed records")


async def _examine_run(directory: str, run: str, inputs: int) -> dict[str, Any]:
    async with LocalStorage(_uri(directory)) as store:
        records = [one async for one in store.iter_records(run)]
        answers = await store.get_records_data([one.output_ref or "" for one in records])
        right = {one["number"] for one in answers if one["answer"] == one["number"] ** 2}
        job = await store.get_master_job(run)
        state = await store.ledger.get_run(run)
        counts_hold = (
            job is not None
            and (job.status, job.completed_record_count, job.target_record_count) == ("completed", inputs, inputs)
            and await store.count_records_for_master_job(run) == {"completed": inputs}
            and await store.ledger.count_inputs(run) == {"completed": inputs}
            and state is not None
            and state.attempts == inputs + state.failed_attempts
            and all(map(is_gone, await store.ledger.list_workers(run)))  # one that held nothing may still be listed
        )
    return {
        "lost": len(set(range(inputs)) - right),
        "stored_twice": len(records) - len({one["number"] for one in answers}),
        "counts_hold": counts_hold,
    }


TASKS = {task.__name__: task for task in (write, generate_run, fill_run, put_back, resume_run, examine_run)}

if __name__ == "__main__":
    serve(TASKS)
