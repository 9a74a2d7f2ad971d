"""Real signals in real processes: nothing new starts, what is in flight has its grace, and states are true."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from durability import processes
from generation.runs import RUN, Calls, attempts, data, numbers, start, statuses
from generation.signalled_process import INPUTS
from starfish_storage import open_storage
from starfish_storage.generation import resume
from starfish_storage.interface import Storage
from starfish_storage.maintenance import verify

SIGNALS = [(signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, 143, "SystemExit")]


@contextmanager
def process_that(how: str, store: str) -> Iterator[subprocess.Popen[str]]:
    process = processes.start(["-m", "generation.signalled_process", store, how])
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def finish(process: subprocess.Popen[str], text: str | None = None) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    if text is not None:
        process.stdin.write(text)
        process.stdin.flush()
    out, errors = process.stdout.read(), process.stderr.read()  # not `communicate`, which closes what is read
    process.wait(60)
    assert "Traceback" not in errors or "KeyboardInterrupt" in errors, errors
    assert "never retrieved" not in errors
    assert "never awaited" not in errors
    assert "was destroyed" not in errors
    return out.split("\n")[:-1]


async def check(store: str, inputs: dict[str, int], cancelled: int) -> None:
    """The run is cancelled, nothing is running, attempts cut short are stored as such, and it can go on."""
    async with open_storage(store, durability="process") as storage:
        assert await statuses(storage) == ("cancelled", inputs)
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert job.summary is not None
        assert job.summary["stop_reason"] == "interrupted"
        assert await storage.ledger.list_workers(RUN) == []
        assert len([one for one in await all_attempts(storage) if one.status == "cancelled"]) == cancelled
        if "pending" in inputs:
            jobs = await storage.list_execution_jobs(RUN, ["pending"])
            assert {(one.start_time, one.end_time) for one in jobs} == {(None, None)}
        run = await resume(storage, RUN, Calls(), inputs=[], progress="quiet")
        assert (run.status, run.inputs) == ("completed", {"completed": sum(inputs.values())})
        assert len(await data(storage)) == sum(inputs.values())
    report = verify(store)
    assert report.is_sound, str(report)


async def all_attempts(storage: Storage) -> list[Any]:
    jobs = await storage.list_execution_jobs(RUN)
    return [made for job in jobs for made in await storage.ledger.list_attempts(job.job_id)]


@pytest.mark.parametrize(("number", "status", "kind"), SIGNALS)
async def test_what_is_in_flight_may_end(store: str, number: signal.Signals, status: int, kind: str) -> None:
    with process_that("holds", store) as process:
        assert len(lines(process, 4)) == 4
        process.send_signal(number)
        assert lines(process, 1) == ["stopping"]
        assert finish(process, "go\n") == [kind, "restored"]
        assert process.returncode == status
    await check(store, {"completed": 6, "pending": 2}, 0)


@pytest.mark.parametrize(
    ("number", "again"), [(signal.SIGINT, "press Ctrl-C again"), (signal.SIGTERM, "send the signal again")]
)
async def test_the_first_signal_says_what_is_awaited(store: str, number: signal.Signals, again: str) -> None:
    with process_that("holds", store) as process:
        lines(process, 4)
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("run-1: 0/8 inputs")
        assert process.stderr.readline() == f"waiting for 4 calls in flight; {again} to cancel them\n"
        finish(process, "go\n")


@pytest.mark.parametrize(("number", "status", "kind"), SIGNALS)
async def test_a_second_signal_cancels_it(store: str, number: signal.Signals, status: int, kind: str) -> None:
    with process_that("holds", store) as process:
        lines(process, 4)
        process.send_signal(number)
        assert lines(process, 1) == ["stopping"]
        process.send_signal(signal.SIGTERM if number == signal.SIGINT else signal.SIGINT)
        assert finish(process) == [kind, "restored"]
        assert process.returncode == status  # as the first one says
    await check(store, {"completed": 2, "pending": 6}, 4)


@pytest.mark.parametrize(("number", "status", "kind"), SIGNALS)
async def test_when_the_grace_is_over_it_is_cancelled(
    store: str, number: signal.Signals, status: int, kind: str
) -> None:
    with process_that("impatient", store) as process:
        lines(process, 4)
        process.send_signal(number)
        assert finish(process) == ["stopping", kind, "restored"]
        assert process.returncode == status
    await check(store, {"completed": 2, "pending": 6}, 4)


async def test_waits_between_attempts_are_cut_short(store: str) -> None:
    with process_that("back-off", store) as process:
        lines(process, 4)
        async with open_storage(store, durability="process") as storage:
            while len(await all_attempts(storage)) < 4:
                pass
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        process.stderr.readline()  # how it stands at the beginning
        assert "waiting" not in process.stderr.readline()  # for no call, nothing is in flight
        assert finish(process) == ["stopping", "KeyboardInterrupt", "restored"]
    async with open_storage(store, durability="process") as storage:
        assert {one.status for one in await all_attempts(storage)} == {"failed"}
    await check(store, {"pending": INPUTS}, 0)


@pytest.mark.parametrize("how", ["waiting", "blocked"])
async def test_while_inputs_are_waited_for(store: str, how: str) -> None:
    with process_that(how, store) as process:
        assert lines(process, 1) == ["begun 0"]  # worked on before the next one has come
        process.send_signal(signal.SIGTERM)
        assert finish(process) == ["stopping", "SystemExit", "restored"]
        assert process.returncode == 143
    await check(store, {"completed": 1}, 0)


@pytest.mark.parametrize("how", ["swallows", "hangs"])
async def test_functions_that_do_not_end_do_not_keep_the_program_from_it(store: str, how: str) -> None:
    with process_that(how, store) as process:
        lines(process, 4)
        process.send_signal(signal.SIGINT)
        assert lines(process, 1) == ["stopping"]
        process.send_signal(signal.SIGTERM)
        assert finish(process)[-2:] == ["KeyboardInterrupt", "restored"]
    async with open_storage(store, durability="process") as storage:
        status, inputs = await statuses(storage)
        assert (status, inputs) == ("cancelled", {"pending": INPUTS})
        assert all(one.status in ("cancelled", "superseded") for one in await all_attempts(storage))


async def test_a_loop_that_is_held_up_can_be_left(store: str) -> None:
    with process_that("blocks", store) as process:
        lines(process, 1)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        out = finish(process, "\n")
        assert out[-2:] == ["KeyboardInterrupt", "restored"]
    async with open_storage(store, durability="process") as storage:
        assert (await statuses(storage))[0] in ("cancelled", "completed")
        assert len(await attempts(storage)) == 1


async def test_an_answer_whose_checks_are_interrupted_is_not_paid_for_again(storage: Storage) -> None:
    """All of it, that is: of a generator that has not ended, what came is a version, and the call is made again."""
    checked, paid = asyncio.Event(), list[int]()

    async def answer(n: int) -> AsyncIterator[dict[str, Any]]:
        paid.append(n)
        yield {"n": n}
        if n == 2 and paid.count(2) == 1:
            await asyncio.Event().wait()
        yield {"n": n, "more": [datetime.now(UTC)]}

    async def waits(output: dict[str, Any]) -> bool:
        if output["n"] == 1:
            checked.set()
            await asyncio.Event().wait()
        return True

    def judged(output: dict[str, Any]) -> bool:
        return "more" not in output

    run = asyncio.create_task(start(storage, answer, numbers(3), accept=waits, grace=0))
    await asyncio.wait_for(checked.wait(), 30)
    while len(await data(storage)) < 2:
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(paid) == [0, 1, 2]
    done = await resume(storage, RUN, answer, accept=judged, progress="quiet")
    assert (done.status, done.records) == ("completed", {"completed": 4, "filtered": 2})
    assert sorted(paid) == [0, 1, 2, 2], "the judge alone was asked again"
    assert [(one.status, one.cost) for one in await attempts(storage, 1)] == [("cancelled", 0.0), ("completed", 0.0)]
