"""However a run ends, its states are true: when it is cancelled, once or twice, or the store or a callback fails."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from durability.faults import FaultyStorage, Steps, fail
from generation.runs import NEVER, RUN, Calls, attempts, data, numbers, open_store, start, statuses
from starfish_storage import StorageError, open_storage
from starfish_storage.errors import StorageFullError
from starfish_storage.generation import Context, resume, worker
from starfish_storage.generation.interruption import watched
from starfish_storage.generation.threads import to_the_end
from starfish_storage.interface import Storage
from starfish_storage.maintenance import verify


@pytest.fixture(autouse=True)
def nothing_is_left() -> Any:
    """No thread of a run, and no task that nobody has looked after."""
    yield
    gc.collect()  # what was destroyed while pending, or never awaited, warns now
    names = [one.name for one in threading.enumerate()]
    assert not [one for one in names if one.startswith("starfish-storage-heartbeat")]


async def cancelled(task: asyncio.Task[Any], times: int = 1) -> None:
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("handle_signals", [True, False])
async def test_a_cancelled_call_leaves_its_run_in_order(storage: Storage, times: int, handle_signals: bool) -> None:
    calls = Calls(held=[1, 2])
    running = asyncio.create_task(start(storage, calls, numbers(5), max_concurrency=2, handle_signals=handle_signals))
    await calls.until(3)
    await cancelled(running, times)
    status, inputs = await statuses(storage)
    assert (status, inputs) == ("cancelled", {"completed": 1, "pending": 4})
    assert [one.status for one in await attempts(storage, 1)] == ["cancelled"]
    assert await storage.ledger.list_workers(RUN) == []
    run = await resume(storage, RUN, Calls(), progress="quiet")
    assert (run.inputs, run.attempts, run.failed_attempts) == ({"completed": 5}, 7, 0)


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_cancelled_at_any_moment(storage: Storage, steps: int) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1)
        return {"n": n}

    running = asyncio.create_task(start(storage, answer, iter(numbers(20)), max_concurrency=3))
    for _ in range(steps):
        await asyncio.sleep(0)
    if running.cancel():
        with pytest.raises(asyncio.CancelledError):
            await running
    if await storage.get_master_job(RUN) is not None and await storage.ledger.get_run(RUN) is not None:
        assert "running" not in await storage.ledger.count_inputs(RUN)
        assert await storage.ledger.list_workers(RUN) == []
        assert (await statuses(storage))[0] != "running"
    run = await start(storage, answer, iter(numbers(20)))
    assert run.inputs == {"completed": 20}
    state = await storage.ledger.get_run(RUN)
    assert state is not None
    assert state.cost == state.attempts >= 20


async def test_a_task_group_takes_its_run_with_it(storage: Storage) -> None:
    calls = Calls(held=[0])

    async def fails() -> None:
        await calls.until(1)
        raise ValueError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(start(storage, calls))
            group.create_task(fails())

    with pytest.raises(ExceptionGroup):
        await both()
    status, inputs = await statuses(storage)
    assert (status, sum(inputs.values()), "running" in inputs) == ("cancelled", 3, False)


async def test_work_is_awaited_to_its_end() -> None:
    go, done = asyncio.Event(), []

    async def work() -> int:
        await go.wait()
        done.append(1)
        return 5

    task = asyncio.create_task(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]
    assert await to_the_end(work()) == 5

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError

    with pytest.raises(ValueError):
        await to_the_end(fails())
    task = asyncio.create_task(to_the_end(fails()))  # pyright: ignore[reportArgumentType]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert isinstance(raised.value.__cause__, ValueError) or raised.value.__cause__ is None


async def test_progress_callbacks_that_fail(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_REPORT_SECONDS", 0)

    def fails(_progress: Any) -> None:
        raise ValueError

    assert (await start(storage, Calls(), progress=fails, master_job_id="a")).inputs == {"completed": 3}
    seen: list[Any] = []

    def leaves(progress: Any) -> None:
        seen.append(progress)
        if len(seen) == 2:
            raise SystemExit(4)

    calls = Calls(held=[0, 1])
    with pytest.raises(SystemExit):
        await start(storage, calls, progress=leaves, grace=0)
    status, inputs = await statuses(storage)
    assert (status, sum(inputs.values()), "running" in inputs) == ("cancelled", 3, False)


async def test_progress_tells_how_far_it_is(storage: Storage) -> None:
    seen: list[Any] = []
    await start(storage, Calls(), numbers(7), progress=seen.append)
    assert (seen[0].done, seen[0].total) == (0, 7)
    assert (seen[-1].done, seen[-1].total, seen[-1].completed, seen[-1].running) == (7, 7, 7, 0)


async def test_progress_knows_the_number_of_inputs_before_they_are_counted(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starfish_storage.generation.progress._COUNTING_PAUSE", 1e9)
    totals, released = list[int | None](), asyncio.Event()

    async def held(n: int) -> dict[str, Any]:
        await released.wait()
        return {"n": n}

    def watch(progress: Any) -> None:
        totals.append(progress.total)
        if len(totals) == 4:
            released.set()

    await start(storage, held, numbers(7), progress=watch)
    assert set(totals) == {7}


async def test_calls_that_do_not_end_are_left_to_themselves(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "_PATIENCE_SECONDS", 0.05)
    release, ended = asyncio.Event(), asyncio.Event()

    async def stubborn(n: int) -> dict[str, Any]:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass
        ended.set()
        return {"n": n}

    running = asyncio.create_task(start(storage, stubborn, numbers(1)))
    while not await storage.get_master_job(RUN) or "running" not in (await statuses(storage))[1]:
        await asyncio.sleep(0)
    await cancelled(running)
    assert "were cancelled but do not end" in caplog.text
    assert await statuses(storage) == ("cancelled", {"pending": 1})
    release.set()
    await ended.wait()
    while not (made := await attempts(storage)):
        await asyncio.sleep(0)
    assert [one.status for one in made] == ["completed"]  # nobody else has the input
    assert await statuses(storage) == ("cancelled", {"completed": 1})


@pytest.mark.parametrize("step", ["write", "page metadata.db-wal", "sync metadata.db-wal"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_ends_the_run_and_what_was_acknowledged_is_there(
    tmp_path: Path, step: str, number: int
) -> None:
    steps = Steps()
    storage = FaultyStorage(tmp_path / "store", steps)
    acknowledged: list[int] = []
    armed = False

    async def answer(n: int) -> dict[str, Any]:
        nonlocal armed
        if n == 10 and not armed:
            acknowledged.extend(one["n"] for one in await data(storage))
            armed = True
            steps.before = fail(step, number, for_good=True)
        return {"n": n}

    await storage.setup()
    try:
        with pytest.raises(StorageError):
            await start(storage, answer, numbers(30), max_concurrency=4)
    finally:
        steps.before = lambda _number, _step: None
        await storage.close()
    store = (tmp_path / "store").as_uri()
    async with open_storage(store) as storage:
        assert acknowledged
        assert set(acknowledged) <= {one["n"] for one in await data(storage)}
        run = await resume(storage, RUN, answer, progress="quiet")
        assert (run.status, run.inputs) == ("completed", {"completed": 30})
        assert await data(storage) == numbers(30)
    report = verify(store)
    assert report.is_sound, str(report)


async def test_the_first_error_is_the_one_that_is_raised(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_given: Any, **_more: Any) -> Any:
        raise StorageFullError("there", errno.ENOSPC, "full")

    async def answer(n: int) -> dict[str, Any]:
        raise SystemExit("first")

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "remove_worker", fails)
        with pytest.raises(SystemExit, match="first"):
            await start(storage, answer, numbers(1), retry=NEVER, grace=0)
    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "remove_worker", fails)
        with pytest.raises(StorageFullError):
            await resume(storage, RUN, Calls(), progress="quiet")
    run = await start(storage, Calls(), numbers(1))
    assert run.inputs == {"completed": 1}


async def test_a_run_that_cannot_begin_leaves_no_loop_open(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> None:
        raise StorageFullError("there", errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "save_worker", fails)
        with pytest.raises(StorageFullError):
            await start(storage, Calls())
    assert (await statuses(storage))[0] == "cancelled"


async def test_handlers_are_shared_and_put_back_in_any_order() -> None:
    def mine(number: int, frame: object) -> None:
        raise AssertionError

    old = signal.signal(signal.SIGTERM, mine)
    try:
        seen: list[str] = []
        first = watched(lambda _: seen.append("first"), lambda: seen.append("first again"))
        second = watched(lambda _: seen.append("second"), lambda: seen.append("second again"))
        first.__enter__()
        second.__enter__()
        signal.raise_signal(signal.SIGTERM)
        first.__exit__(None, None, None)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0)
        assert seen == ["first", "second", "second again"]
        second.__exit__(None, None, None)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, old)


async def test_signals_that_are_ignored_stay_so_and_others_handlers_are_left() -> None:
    old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with watched(lambda _: None, lambda: None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        with watched(lambda _: None, lambda: None):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # somebody's own business
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, old)


async def test_two_runs_in_one_process_are_both_interrupted(storage: Storage) -> None:
    calls = Calls(held=range(10))

    async def interrupted(name: str) -> None:
        with pytest.raises(SystemExit) as raised:
            await start(storage, calls, numbers(4), max_concurrency=2, master_job_id=name)
        assert raised.value.code == 143

    both = [asyncio.create_task(interrupted(name)) for name in "ab"]
    await calls.until(4)
    before = signal.getsignal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    await asyncio.sleep(0)
    calls.release.set()
    await asyncio.gather(*both)
    assert signal.getsignal(signal.SIGTERM) is not before
    for name in "ab":
        assert await storage.ledger.count_inputs(name) == {"completed": 2, "pending": 2}


async def test_signals_can_be_left_to_the_caller(storage: Storage) -> None:
    before = signal.getsignal(signal.SIGINT)

    async def answer(n: int) -> dict[str, Any]:
        assert signal.getsignal(signal.SIGINT) is before
        return {"n": n}

    assert (await start(storage, answer, handle_signals=False, retry=NEVER)).inputs == {"completed": 3}


def test_nothing_is_said_that_is_not_asked_for(caplog: pytest.LogCaptureFixture, store: str) -> None:
    """A run in asyncio's debug mode, in which the loop logs what its callbacks are given."""
    secret = "what a model answered"

    async def answer(n: int) -> dict[str, Any]:
        return {"n": n, "text": secret}

    async def main() -> None:
        async with open_store(store) as storage:
            await start(storage, answer)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main(), debug=True)
    assert secret not in caplog.text
