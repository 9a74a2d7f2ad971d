"""The synchronous face beside the asynchronous one, by turns in one process, on one store each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.turns import serve
from starfish_storage import Project, Record, open_storage, portal, sync
from starfish_storage.models import GenerationJob, GenerationMasterJob

_RECORDS = 5000
Call = Callable[[Any, int], Any]


async def nothing() -> None:
    """Do nothing, so that only the way there and back is left."""


CALLS: dict[str, Call] = {
    "get_project": lambda store, _: store.get_project("p"),
    "get_record_data": lambda store, _: store.get_record_data(REFERENCE),
    "save_record": lambda store, number: store.save_record(_record(f"s{number}"), {"n": number}),
}
REFERENCE = "data/r0.json"


def _record(uid: str) -> Record:
    return Record(record_uid=uid, job_id="j", master_job_id="m", status="completed")


def compare(directory: str, calls: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each call of both faces, by what is called, in each round."""
    global REFERENCE  # noqa: PLW0603 (of the record that is read)
    found: dict[str, dict[str, list[float]]] = {name: {"await": [], "sync": []} for name in ("nothing", *CALLS, "iter")}
    with sync.open_storage(directory, durability="process") as store, asyncio.Runner() as runner:
        storage = open_storage(directory, durability="process")
        runner.run(storage.setup())
        REFERENCE = _filled(store)
        for number in range(rounds + 1):
            for face in ("await", "sync"):
                measured = _awaited(storage, calls, runner) if face == "await" else _called(store, calls)
                if number:  # the first round warms up
                    for name, seconds in measured.items():
                        found[name][face].append(seconds)
        runner.run(storage.close())
    return found


def _filled(store: sync.Storage) -> str:
    store.save_project(Project(project_id="p", name="p"))
    job = GenerationMasterJob(
        master_job_id="m",
        project_id="p",
        request_config_ref=store.generate_request_config_path("m"),
        output_schema={},
        storage_uri=store.storage_uri,
        target_record_count=_RECORDS,
    )
    store.log_master_job_start(job)
    store.log_execution_job_start(GenerationJob(job_id="j", master_job_id="m", run_config={}))
    return store.save_records([(_record(f"r{number}"), {"n": number}) for number in range(_RECORDS)])[0]


def _called(store: sync.Storage, calls: int) -> dict[str, float]:
    measured = {"nothing": _each(lambda: portal.call(nothing()), calls)}
    for name, call in CALLS.items():
        measured[name] = _each(lambda call=call: call(store, 0), calls)
    begun = time.perf_counter()
    count = sum(1 for _ in store.iter_records("m"))
    return measured | {"iter": (time.perf_counter() - begun) / count}


def _each(call: Callable[[], object], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begun) / calls


def _awaited(storage: Any, calls: int, runner: asyncio.Runner) -> dict[str, float]:
    async def each(call: Callable[[], Coroutine[Any, Any, object]]) -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            await call()
        return (time.perf_counter() - begun) / calls

    async def all_of_them() -> dict[str, float]:
        measured = {"nothing": await each(nothing)}
        for name, call in CALLS.items():
            measured[name] = await each(lambda call=call: call(storage, 1))
        begun, count = time.perf_counter(), 0
        async for _ in storage.iter_records("m"):
            count += 1
        return measured | {"iter": (time.perf_counter() - begun) / count}

    return runner.run(all_of_them())


if __name__ == "__main__":
    serve({"compare": compare})
