"""Every writing call cancelled at every step: it is whole or absent, the store is not locked, and later calls work."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from durability import processes, workload
from durability.faults import FaultyStorage, Steps
from starfish_storage import Record, Storage

NOW = datetime(2030, 1, 1, tzinfo=UTC)

Call = Callable[[Storage, str], Awaitable[Any]]


def pairs(name: str) -> list[tuple[Record, dict[str, Any]]]:
    uids = [f"{name}-{number}" for number in range(3)]
    return [(workload.record(uid, 1), workload.payload(uid, 1)) for uid in uids]


def start_job(storage: Storage, name: str) -> Awaitable[None]:
    return storage.log_master_job_start(workload.beginning(name)[2](storage))


CALLS: dict[str, Call] = {
    "save_project": lambda storage, name: storage.save_project(workload.beginning()[0]),
    "save_request_config": lambda storage, name: storage.save_request_config(
        storage.generate_request_config_path(name), {"model": name}
    ),
    "log_master_job_start": start_job,
    "log_master_job_end": lambda storage, name: storage.log_master_job_end(
        workload.MASTER, "completed", {"name": name}, NOW, NOW
    ),
    "update_master_job_status": lambda storage, name: storage.update_master_job_status(workload.MASTER, "running", NOW),
    "log_execution_job_start": lambda storage, name: storage.log_execution_job_start(workload.beginning()[3]),
    "log_execution_job_end": lambda storage, name: storage.log_execution_job_end(
        workload.JOB, "completed", {}, NOW, NOW
    ),
    "log_record_metadata": lambda storage, name: storage.log_record_metadata(workload.record(name, 1)),
    "save_record_data": lambda storage, name: storage.save_record_data(
        name, workload.MASTER, workload.JOB, workload.payload(name, 1)
    ),
    "save_record": lambda storage, name: storage.save_record(workload.record(name, 1), workload.payload(name, 1)),
    "overwrite": lambda storage, name: storage.save_record(workload.record("r", 2), workload.payload("r", 2)),
    "save_records": lambda storage, name: storage.save_records(pairs(name)),
    "delete_master_job": lambda storage, name: storage.delete_master_job(f"doomed-{name}"),
    "delete_project": lambda storage, name: storage.delete_project(f"doomed-{name}", cascade=True),
}

PROBE = (
    "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.set_busy_timeout(5000)\n"
    "for line in sys.stdin:\n"
    "    c.execute('BEGIN IMMEDIATE'); c.execute('ROLLBACK'); print('free', flush=True)"
)


class Probe:
    """Another process that writes on request: nothing may hold SQLite's lock when no call is under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def check(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "free\n"


@pytest.fixture
async def storage(memory_path: Path) -> Any:
    storage = FaultyStorage(memory_path / "store", Steps())
    await storage.setup()
    await workload.prepare(storage)
    await storage.save_record(workload.record("r", 1), workload.payload("r", 1))
    yield storage
    storage.steps.before = lambda _number, _step: None
    await storage.close()


@pytest.fixture
def probe(storage: FaultyStorage, memory_path: Path) -> Iterator[Probe]:
    with processes.start(["-c", PROBE, str(memory_path / "store/metadata.db")]) as process:
        try:
            yield Probe(process)
        finally:
            process.kill()


async def doom(storage: Storage, call: str, name: str) -> None:
    """Make what a deleting call is to delete."""
    if not call.startswith("delete"):
        return
    doomed = f"doomed-{name}"
    project = workload.beginning()[0].model_copy(update={"project_id": doomed})
    await storage.save_project(project)
    job = workload.beginning(doomed)[2](storage).model_copy(update={"project_id": doomed})
    await storage.log_master_job_start(job)
    await storage.log_execution_job_start(workload.beginning(doomed, f"{doomed}-job")[3])
    record = workload.record(doomed, 1, doomed, f"{doomed}-job")
    await storage.save_record(record, workload.payload(doomed, 1))


async def check_one(storage: Storage, probe: Probe, call: str, name: str) -> None:
    """The writer works in order: what was cancelled has taken effect, or never will, once the next call returns."""
    await storage.save_record(workload.record("next", 1), workload.payload("next", 1))
    probe.check()
    there = [await storage.get_record_metadata(f"{name}-{number}") is not None for number in range(3)]
    assert len(set(there)) == 1, "half a batch"
    for uid in ("r", name, *(f"{name}-{number}" for number in range(3))):
        found = await storage.get_record_metadata(uid)
        if found is not None and call != "log_record_metadata":
            assert found.output_ref is not None
            data = await storage.get_record_data(found.output_ref)
            assert data == workload.payload(uid, data["version"])
            assert found.error_message == f"v{data['version']}"
    if call.startswith("delete"):
        left = [await storage.get_master_job(f"doomed-{name}"), await storage.get_record_metadata(f"doomed-{name}")]
        assert left in ([None, None], [left[0], left[1]])
        assert (left[0] is None) == (left[1] is None), "half a deletion"


async def cancelled_after(ticks: int, work: Awaitable[Any]) -> bool:
    """Cancel a call after so many turns of the event loop; return whether it was still under way."""
    task = asyncio.ensure_future(work)
    for _ in range(ticks):
        await asyncio.sleep(0)
    running = not task.done()
    task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    assert outcome is None or isinstance(outcome, (str, list, asyncio.CancelledError)), outcome
    return running


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_cancelled_after_any_number_of_turns(storage: FaultyStorage, probe: Probe, call: str) -> None:
    ticks, running = 0, True
    while running:
        name = f"t{ticks}"
        await doom(storage, call, name)
        running = await cancelled_after(ticks, CALLS[call](storage, name))
        await check_one(storage, probe, call, name)
        ticks = ticks + 1 if ticks < 4 else ticks * 2  # from then on it waits for the writer, turn after turn
    assert ticks > 2
    await workload.check_whole(storage, Path(storage.data.root))  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_cancelled_at_any_step_of_the_writer(storage: FaultyStorage, probe: Probe, call: str) -> None:
    await doom(storage, call, "counted")
    before = len(storage.steps.taken)
    await CALLS[call](storage, "counted")
    steps = len(storage.steps.taken) - before
    caught = 0
    for step in range(1, steps + 1):
        name = f"s{step}"
        await doom(storage, call, name)
        caught += await cancelled_at_step(storage, step, CALLS[call](storage, name))
        await check_one(storage, probe, call, name)
    assert caught > steps / 2
    await workload.check_whole(storage, Path(storage.data.root))  # type: ignore[attr-defined]


async def cancelled_at_step(storage: FaultyStorage, chosen: int, work: Awaitable[Any]) -> bool:
    """Cancel a call while the writer is held up before its n-th step; return whether it came so far."""
    reached, go_on = threading.Event(), threading.Event()
    last = len(storage.steps.taken) + chosen

    def before(number: int, _step: str) -> None:
        if number == last:
            reached.set()
            assert go_on.wait(30)

    storage.steps.before = before
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda _task: reached.set())
    await asyncio.to_thread(reached.wait, 30)
    running = not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    storage.steps.before = lambda _number, _step: None
    go_on.set()
    return running


def test_every_writing_call_is_there() -> None:
    verbs = ("save_", "log_", "update_", "delete_")
    assert {name for name in dir(Storage) if name.startswith(verbs)} == set(CALLS) - {"overwrite"}
