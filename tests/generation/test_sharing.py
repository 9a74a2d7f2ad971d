"""Several workers at one run, in one process and in several: every input once, and nobody waits for the dead."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from durability import processes
from generation.runs import NEVER, RUN, Calls, attempts, data, numbers, open_store, sound, start, statuses
from starfish_storage import InvalidInputError
from starfish_storage.generation import Context, Progress, Run, cancel, lease, lifecycle, progress, resume
from starfish_storage.generation.lease import is_dead
from starfish_storage.interface import Storage
from starfish_storage.testing.samples import at


def process_that(how: str, store: str) -> subprocess.Popen[str]:
    return processes.start(["-m", "generation.signalled_process", store, how])


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = process.stdout.readline()
    assert found, process.communicate()[1]
    return found.strip()


async def test_two_calls_in_one_process_share_a_run(storage: Storage) -> None:
    calls = Calls()
    both = await asyncio.gather(*[start(storage, calls, numbers(200), max_concurrency=5) for _ in range(2)])
    assert Counter(calls.made) == Counter(range(200))
    assert {run.status for run in both} == {"completed"}
    assert await data(storage) == numbers(200)
    assert await storage.ledger.list_workers(RUN) == []


async def test_a_resume_joins_a_run_that_is_under_way(storage: Storage) -> None:
    calls = Calls(held=[0])
    running = asyncio.create_task(start(storage, calls, numbers(10), max_concurrency=1))
    await calls.until(1)
    others = Calls()
    joined = asyncio.create_task(resume(storage, RUN, others, inputs=numbers(10), max_concurrency=2, progress="quiet"))
    await others.until(9)
    assert calls.made == [0]
    calls.release.set()
    assert (await running).inputs == (await joined).inputs == {"completed": 10}
    assert 0 not in others.made


async def test_one_that_leaves_does_not_settle_the_run_of_another(storage: Storage) -> None:
    calls, held = Calls(held=[0]), Calls(held=range(10))
    running = asyncio.create_task(start(storage, calls, numbers(6), max_concurrency=1))
    await calls.until(1)
    joined = asyncio.create_task(resume(storage, RUN, held, inputs=numbers(6), max_concurrency=4, progress="quiet"))
    await held.until(2)
    joined.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joined
    assert (await statuses(storage))[0] == "running"
    calls.release.set()
    assert (await running).inputs == {"completed": 6}


class Held:
    """Calls that wait until they are let go, and count how many are under way, over all workers."""

    under_way = most = 0

    def __init__(self) -> None:
        self.began: list[float] = []
        self._may_go = asyncio.Semaphore(0)
        self._entered = asyncio.Condition()

    async def __call__(self, n: int) -> dict[str, Any]:
        Held.under_way += 1
        Held.most = max(Held.most, Held.under_way)
        async with self._entered:
            self.began.append(time.monotonic())
            self._entered.notify_all()
        await self._may_go.acquire()
        Held.under_way -= 1
        return {"n": n}

    def let(self, count: int) -> None:
        for _ in range(count):
            self._may_go.release()

    async def until(self, count: int) -> None:
        async with self._entered:
            await self._entered.wait_for(lambda: len(self.began) >= count)


async def test_a_run_is_over_for_who_ends_it_though_another_begins(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = lifecycle.settle

    async def settle_while_another_begins(opened: Storage, id: str, stop_reason: str | None) -> Run | None:
        ended = await settle(opened, id, stop_reason)
        await opened.update_master_job_status(id, "running", at(0))
        return ended

    monkeypatch.setattr(lifecycle, "settle", settle_while_another_begins)
    done = await start(storage, Calls())
    assert (done.status, done.inputs) == ("completed", {"completed": 3})


async def test_calls_at_a_time_are_counted_over_all_workers(storage: Storage) -> None:
    """One comes, and waits for room: the first has all calls under way. Later that one ends, and the other has all."""
    Held.under_way = Held.most = 0
    inputs = numbers(300)
    first, second = Held(), Held()
    running = asyncio.create_task(start(storage, first, inputs, max_concurrency=4, lease=20))
    await first.until(4)
    joined = asyncio.create_task(resume(storage, RUN, second, inputs=inputs, progress="quiet"))
    while len(await storage.ledger.list_workers(RUN)) < 2:
        await asyncio.sleep(0.01)
    while len(second.began) < 2:  # what ends makes room for it, once the first knows of it
        first.let(1)
        await asyncio.sleep(0.05)
    assert Held.most == 4
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    Held.under_way = len(second.began)
    await second.until(4)
    second.let(300)
    assert (await joined).inputs == {"completed": 300}
    assert Held.most == 4


PAUSE = 1.0


class TooManyRequestsError(Exception):
    retry_after = PAUSE


async def test_a_limit_that_one_worker_meets_pauses_the_others(storage: Storage) -> None:
    inputs = numbers(12)
    seen: list[float] = []
    is_paused = asyncio.Event()
    first = Held()

    def shown(progress: Progress) -> None:
        if progress.paused_until is not None:
            assert "TooManyRequestsError: slowly" in str(progress)
            is_paused.set()

    async def meets(n: int, context: Context) -> dict[str, Any]:
        if context.attempt == 1 and not seen:
            seen.append(time.monotonic())
            raise TooManyRequestsError("slowly")
        return {"n": n}

    running = asyncio.create_task(start(storage, first, inputs, max_concurrency=2, lease=1, progress=shown))
    await first.until(2)
    joined = asyncio.create_task(
        resume(storage, RUN, meets, inputs=inputs, max_concurrency=3, retry=NEVER, progress="quiet")
    )
    await is_paused.wait()
    first.let(12)
    await asyncio.gather(running, joined)
    assert await data(storage) == inputs
    assert all(began - seen[0] >= PAUSE for began in first.began[2:])


async def test_unique_outputs_of_two_workers(storage: Storage) -> None:
    async def answer(n: int) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"n": n, "key": n % 10}

    runs = [start(storage, answer, numbers(100), unique_by="key", max_concurrency=7) for _ in range(3)]
    await asyncio.gather(*runs)
    assert await storage.count_records_for_master_job(RUN) == {"completed": 10, "duplicate": 90}
    assert sorted(one["key"] for one in await data(storage)) == list(range(10))


async def test_processes_share_a_run(store: str) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(process_that("quick", store)) for _ in range(3)]
        begun = Counter(
            one for worker in workers for one in worker.communicate(timeout=60)[0].split("\n") if "begun" in one
        )
        assert all(worker.returncode == 0 for worker in workers)
    assert set(begun.values()) == {1}
    async with open_store(store) as storage:
        assert await statuses(storage) == ("completed", {"completed": len(begun)})
    sound(store)


async def test_a_stopped_process_is_taken_over_and_its_late_result_superseded(store: str) -> None:
    with process_that("blocks", store) as process:
        assert line(process) == "begun 0"
        process.send_signal(signal.SIGSTOP)
        async with open_store(store) as storage:
            run = await resume(storage, RUN, Calls(), progress="quiet")  # when the lease of 1 s has expired
            assert (run.status, run.inputs) == ("completed", {"completed": 1})
            assert run.records == {"completed": 1}
        process.send_signal(signal.SIGCONT)
        out, errors = process.communicate("\n", timeout=60)
        assert process.returncode == 0, errors
        assert '"status": "completed"' in out
    async with open_store(store) as storage:
        made = await attempts(storage)
        assert "superseded" in {one.status for one in made}
        assert [one.status for one in made].count("completed") == 1
        assert await data(storage) == [{"n": 0}]
        assert await storage.ledger.list_workers(RUN) == []
        assert (await statuses(storage))[0] == "completed"
    sound(store)


async def test_a_function_that_holds_the_loop_up_keeps_its_lease(store: str) -> None:
    with process_that("blocks", store) as process:
        assert line(process) == "begun 0"
        async with open_store(store) as storage:
            (worker,) = await storage.ledger.list_workers(RUN)
            first = worker.lease_expires
            while await storage.ledger.now() < first:  # when it is over, it has been renewed from another thread
                await asyncio.sleep(0.05)
            (worker,) = await storage.ledger.list_workers(RUN)
            assert worker.lease_expires > first
            assert not is_dead(worker, await storage.ledger.now())
            calls = Calls()
            joined = asyncio.create_task(resume(storage, RUN, calls, lease=1, progress="quiet"))
            while len(await storage.ledger.list_workers(RUN)) < 2:
                await asyncio.sleep(0.01)
            out, errors = await asyncio.to_thread(process.communicate, "\n", 60)
            assert process.returncode == 0, errors
            assert '"completed": 1' in out
            assert (await joined).inputs == {"completed": 1}
            assert calls.made == []


async def test_a_killed_worker_is_recognised_at_once(store: str) -> None:
    with process_that("holds", store) as process:
        for _ in range(4):
            line(process)
        process.kill()
        process.wait()
        calls = Calls()
        async with open_store(store) as storage:
            assert (await statuses(storage))[0] == "running"  # nobody could say otherwise
            run = await resume(storage, RUN, calls, progress="quiet")  # though its lease has 60 s to go
            assert (run.status, run.done_before) == ("completed", 2)
            assert sorted(calls.made) == [2, 3, 4, 5, 6, 7]
            assert [one.status for one in await attempts(storage, 2)] == ["interrupted", "completed"]
            # Of an input that was claimed ahead, nobody knows that it was not begun.
            assert 4 <= run.failed_attempts <= 6
    sound(store)


async def test_a_run_is_cancelled_from_another_process(store: str) -> None:
    with process_that("impatient", store) as process:
        for _ in range(4):
            line(process)
        async with open_store(store) as storage:
            await cancel(storage, RUN, "too dear")
            assert process.stdout is not None
            out = await asyncio.to_thread(process.stdout.read)  # not `communicate`, which closes what is read
            assert '"stop_reason": "too dear"' in out
            assert await statuses(storage) == ("cancelled", {"completed": 2, "pending": 6})
            run = await resume(storage, RUN, Calls(), progress="quiet")
            assert (run.status, run.stop_reason) == ("completed", None)
    sound(store)


async def test_a_run_whose_worker_is_dead_is_cancelled_at_once(store: str) -> None:
    with process_that("holds", store) as process:
        for _ in range(4):
            line(process)
        process.kill()
        process.wait()
    async with open_store(store) as storage:
        await cancel(storage, RUN)
        await cancel(storage, RUN)
        status, inputs = await statuses(storage)
        assert (status, sum(inputs.values())) == ("cancelled", inputs["pending"] + inputs.get("completed", 0))
        assert inputs["pending"] >= 6  # two calls had ended, and may have been stored
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert (job.summary or {})["stop_reason"] == "cancelled"
    sound(store)


async def test_inputs_are_counted_less_often_the_longer_that_takes(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred workers must not spend their time on counting the same million inputs every second."""
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_COUNTING_PAUSE", 1e9)  # however short it took
    beats, counted = asyncio.Semaphore(0), 0
    refresh, count = storage.ledger.refresh_run, storage.ledger.count_inputs
    loop = asyncio.get_running_loop()

    async def refreshed(*arguments: Any) -> Any:
        loop.call_soon_threadsafe(beats.release)
        return await refresh(*arguments)

    async def counting(*arguments: Any) -> Any:
        nonlocal counted
        counted += 1
        return await count(*arguments)

    monkeypatch.setattr(storage.ledger, "refresh_run", refreshed)
    monkeypatch.setattr(storage.ledger, "count_inputs", counting)

    async def wait_for_beats(n: int) -> dict[str, int]:
        for _ in range(50):
            await beats.acquire()
        return {"n": n}

    run = await start(storage, wait_for_beats, numbers(1))
    assert run.inputs == {"completed": 1}
    assert counted < 25, "in the first beat, and where a run begins and ends"


async def test_heartbeats_that_fail_do_not_end_the_run(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Semaphore(0)
    errors = iter([InvalidInputError("no"), ValueError("a defect"), RuntimeError("another")])
    refresh = storage.ledger.refresh_run

    async def fails(*given: Any) -> Any:
        error = next(errors, None)
        if error is None:
            failed.release()
            return await refresh(*given)
        raise error

    monkeypatch.setattr(storage.ledger, "refresh_run", fails)

    def answer(n: int) -> dict[str, Any]:
        assert failed.acquire(timeout=60)
        failed.release()
        return {"n": n}

    run = await start(storage, answer, lease=1, retry=NEVER)
    assert run.inputs == {"completed": 3}
    told = [one.getMessage().partition(" fail: ")[2] for one in caplog.records if " fail: " in one.getMessage()]
    assert told == ["invalid_input", "ValueError", "RuntimeError"]


async def test_the_heartbeat_does_not_depend_on_the_threads_of_others(storage: Storage) -> None:
    """Calls that were given up may hold up every thread that `asyncio.to_thread` has."""
    release = threading.Event()
    loop = asyncio.get_running_loop()

    async def answer(n: int) -> dict[str, Any]:
        for _ in range((os.cpu_count() or 1) + 8):
            loop.run_in_executor(None, release.wait, 60)
        return {"n": n}

    running = asyncio.create_task(start(storage, answer, iter(numbers(2))))
    try:
        assert (await asyncio.wait_for(running, 30)).inputs == {"completed": 2}
    finally:
        release.set()
