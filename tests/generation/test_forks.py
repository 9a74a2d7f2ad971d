"""Forks of runs, and changed lists of inputs: on every engine, killed on the way, and by several at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from durability import processes
from generation.forking_process import ASKED
from generation.matching_process import ENDED, KEPT, changed
from generation.runs import RUN, data, numbers, sound, start
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation import Context, resume
from starfish_storage.interface import Storage
from starfish_storage.runs.segment_history import made_of

CHANGED = (0, 1, 99, 3, 4, 5, 98)


async def answer(n: int, context: Context) -> dict[str, Any]:
    async def pay() -> int:
        context.log_usage(model="m", input_tokens=3, output_tokens=2, cost=0.5)
        return n

    return {"n": await context.once("pay", pay)}


async def test_a_fork_that_is_killed_is_made_once_and_pays_nothing_twice(storage: Storage, store: str) -> None:
    first = await start(storage, answer, [*numbers(6), {"n": 7}])
    assert (first.status, first.cost) == ("completed", 3.5)
    asked = Counter[str]()
    fork = ""
    for kill_at in (1, 4, 7, 10, 0):
        words = [store, RUN, str(kill_at), *map(str, CHANGED)]
        status, out, errors = await asyncio.to_thread(processes.run, ["-m", "generation.forking_process", *words])
        assert status == (-9 if kill_at else 0), errors
        asked.update(line for line in out.splitlines() if line.startswith(ASKED))
        fork = out.split()[-1] if out else ""
        jobs = await storage.list_master_jobs("p")
        assert len(jobs) <= 2
    assert sorted(asked) == [f"{ASKED} 98", f"{ASKED} 99"]
    assert await storage.ledger.count_inputs(fork) == {"completed": 7}
    state = await storage.ledger.get_run(fork)
    assert state is not None
    assert (state.cost, state.input_tokens, state.attempts) == (0.0, 0, 7 + state.failed_attempts)
    inputs = await storage.ledger.list_inputs(fork, limit=9)
    (original, *_), (copied, *_) = await storage.ledger.list_inputs(RUN, limit=9), inputs
    (step,) = await storage.ledger.list_steps(copied.job_id)
    assert step.reused_from is not None
    assert (step.reused_from.master_job_id, step.reused_from.job_id, step.reused_from.cost) == (
        RUN,
        original.job_id,
        0.5,
    )
    records = await storage.get_records_for_master_job(fork, ["completed"])
    found = await storage.get_records_data([str(one.output_ref) for one in records])
    assert sorted(one["n"] for one in found) == sorted(CHANGED)
    assert (await storage.get_records_for_master_job(RUN))[0].job_id.startswith(original.job_id[:12])
    await storage.delete_master_job(RUN)  # a fork stands by itself
    assert await storage.get_records_data([str(one.output_ref) for one in records]) == found
    # Each record says which code made it, and in which run; the fork's own segment comes behind.
    taken, *own = await storage.ledger.list_segments(fork)
    assert (taken.number, taken.identity["taken_from"], taken.identity["function"]["name"]) == (
        1,
        RUN,
        f"{__name__}:answer",
    )
    assert made_of(taken.identity).endswith(f"in run {RUN}")
    assert own
    assert all("forking_process" in one.identity["function"]["name"] for one in own)
    segments = await storage.ledger.find_segments([one.record_uid for one in records])
    of = {one["n"]: segments[record.record_uid] for one, record in zip(found, records, strict=True)}
    assert {n for n, number in of.items() if number == 1} == {0, 1, 3, 4, 5}
    assert {of[98], of[99]} <= {one.number for one in own}
    await storage.close()
    sound(store)


async def test_nobody_resumes_a_fork_that_is_not_whole(storage: Storage, store: str) -> None:
    await start(storage, answer, numbers(3))
    words = [store, RUN, "4", "0", "1", "9"]
    status, _, errors = await asyncio.to_thread(processes.run, ["-m", "generation.forking_process", *words])
    assert status == -9, errors
    (half,) = [one.master_job_id for one in await storage.list_master_jobs("p") if one.master_job_id != RUN]
    with pytest.raises(InvalidInputError, match=r"not made to its end.*on_change=.fork"):
        await resume(storage, half, answer, progress="quiet")
    await storage.close()
    sound(store)


async def test_several_take_the_same_changed_list_at_a_time(storage: Storage) -> None:
    made: list[int] = []

    def call(n: int) -> dict[str, Any]:
        made.append(n)
        return {"n": n}

    await start(storage, call, numbers(50))
    made.clear()
    inputs = [{"n": n} for n in (*range(100, 130), *range(20, 50), *range(200, 210), 20)]
    runs = await asyncio.gather(
        *(start(storage, call, list(inputs), on_change="match", handle_signals=False) for _ in range(4))
    )
    assert sorted(made) == [20, *range(100, 130), *range(200, 210)]
    assert await storage.ledger.count_inputs(RUN) == {"completed": 71, "cancelled": 20}
    assert {run.status for run in runs} == {"completed"}


@pytest.mark.parametrize("how", ["killed", "together"])
async def test_processes_that_match_are_killed_at_each_write_or_run_together(
    storage: Storage, store: str, how: str
) -> None:
    await start(storage, answer, numbers(len(KEPT)))
    words = ["-m", "generation.matching_process", store, RUN, how]
    status, out, errors = await asyncio.to_thread(processes.run, words)
    assert (status, errors) == (0, "")
    lines = out.splitlines()
    ends = [line for line in lines if line.startswith(ENDED)]
    turns = len(ends) // 2
    if how == "killed":
        assert ends == [f"{ENDED} -9", f"{ENDED} 0"] * (turns - 1) + [f"{ENDED} 0"] * 2
        assert turns > 8  # append, restore, cancel, complete, the segment, the worker, ...
    else:
        assert ends == [f"{ENDED} 0"] * len(ends)
    new = {n for turn in range(1, turns + 1) for n in changed(turn)} - set(KEPT)
    assert sorted(line for line in lines if line.startswith(ASKED)) == sorted(f"{ASKED} {n}" for n in new)
    last = sorted(changed(turns))
    assert [one["n"] for one in await data(storage)] == last
    assert await storage.ledger.count_inputs(RUN) == {
        "completed": len(last),
        "cancelled": len(new) + len(KEPT) - len(last),
    }
    state, job = await storage.ledger.get_run(RUN), await storage.get_master_job(RUN)
    assert state is not None
    assert job is not None
    assert (state.cost, state.registered, state.inputs_complete) == (len(KEPT) * 0.5 + len(new), len(new) + 2, True)
    assert (job.status, job.target_record_count) == ("completed", len(last))


async def test_another_appends_the_same_inputs_in_between(storage: Storage) -> None:
    """In another order, so that each place would get another input."""
    made: list[int] = []
    half, other_is_done = asyncio.Event(), asyncio.Event()

    def call(n: int) -> dict[str, Any]:
        made.append(n)
        return {"n": n}

    async def slow() -> AsyncIterator[dict[str, Any]]:
        for n in (9, 0, 1):
            yield {"n": n}
        half.set()
        await other_is_done.wait()
        for n in (2, 10, 11, 12):
            yield {"n": n}

    async def other() -> None:
        await half.wait()
        while await storage.ledger.count_inputs(RUN) != {"completed": 3, "pending": 1}:
            await asyncio.sleep(0.01)
        given = [{"n": n} for n in (12, 11, 10, 2, 9, 1, 0)]
        await start(storage, call, given, on_change="match", handle_signals=False)
        other_is_done.set()

    await start(storage, call, numbers(3))
    made.clear()
    run, _ = await asyncio.gather(start(storage, call, slow(), on_change="match", handle_signals=False), other())
    assert (run.inputs, sorted(made)) == ({"completed": 7}, [9, 10, 11, 12])
