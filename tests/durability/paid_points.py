"""Kills runs at chosen calls of their lives, resumes them, and checks that all that was paid for is there.

Hypothesis draws the runs: what their function returns or yields for each input, and what it keeps as paid steps before.
Payments go to a file outside the store.

Usage, under the shim: ``python -m durability.paid_points DIRECTORY RUNS POINTS`` (0 points: at every call). Prints one
JSON object: how many ``runs`` were drawn, and how many were ``killed``.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from durability.shim import Action, Kind, Shim, evenly, in_child
from generation.runs import AT_ONCE, RUN, open_store
from generation.values import Value, outputs, values
from starfish_storage.generation import Context, Run, generate
from starfish_storage.interface import Storage
from starfish_storage.maintenance import verify

AT_A_TIME = 2

Place = tuple[int, int]
"""An input and a step of it; step 0 stands for the call of the function itself."""


@dataclass(frozen=True)
class Plan:
    """What the function does with an input.

    Attributes:
        steps: the results of its paid steps, all of one name; without any, the function itself is paid for.
        returned: its outputs.
        yields: whether it yields them one by one, and does not return them.
        mumbles: whether the first time it can make nothing of what was paid for last.
    """

    steps: list[Value]
    returned: list[Value]
    yields: bool
    mumbles: bool


plans = st.lists(
    st.builds(
        Plan, st.lists(values, max_size=3), st.lists(outputs, min_size=1, max_size=3), st.booleans(), st.booleans()
    ),
    min_size=3,
    max_size=5,
)


class Account:
    """A file outside the store, to which the function writes what it pays, and what it got hold of for good."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, what: str, n: int, step: int) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{what} {n} {step}\n".encode())
        os.close(descriptor)

    def read(self) -> list[tuple[str, Place]]:
        """Return what was written, in order: a word and its place."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        found = [line.split() for line in lines]
        return [(what, (int(n), int(step))) for what, n, step in found]


def function_of(drawn: list[Plan], account: Account) -> Any:
    async def prepared(n: int, context: Context) -> None:
        plan = drawn[n]
        for number, result in enumerate(plan.steps, 1):

            def call(number: int = number, result: Value = result) -> Any:
                account.write("paid", n, number)
                context.log_usage(cost=1)
                return result.make()

            assert await context.once("sample", call) == result.form
            account.write("kept", n, number)
        if not plan.steps:  # the call itself
            account.write("paid", n, 0)
            context.log_usage(cost=1)
        if plan.mumbles and ("mumbled", (n, len(plan.steps))) not in account.read():
            account.write("mumbled", n, len(plan.steps))
            raise ValueError("nothing can be made of it")

    async def yields(n: int, context: Context) -> AsyncIterator[Any]:
        await prepared(n, context)
        for one in drawn[n].returned:
            yield one.make()

    async def returns(n: int, context: Context) -> Any:
        await prepared(n, context)
        made = [one.make() for one in drawn[n].returned]
        return made if len(made) > 1 else made[0]

    async def function(n: int, context: Context) -> Any:
        return yields(n, context) if drawn[n].yields else await returns(n, context)

    return function


async def run_all(root: Path, drawn: list[Plan], account: Account) -> Run:
    async with open_store(root.as_uri()) as storage:
        return await generate(
            storage,
            function_of(drawn, account),
            [{"n": n} for n in range(len(drawn))],
            project="p",
            master_job_id=RUN,
            max_concurrency=AT_A_TIME,
            retry=AT_ONCE,
            progress="quiet",
        )


def live(root: Path, drawn: list[Plan], account: Account, action: Action, at: int) -> int:
    """Make a run, or go on with it; return how many calls it took, unless it was killed."""
    shim = Shim()
    shim.arm(root, Kind.CHANGING, action, at)
    run = asyncio.run(run_all(root, drawn, account))
    shim.disarm()
    assert sum(run.inputs.values()) == len(drawn), run
    return shim.seen


async def check(root: Path, drawn: list[Plan], account: Account, killed: int) -> None:
    """All that was paid for is there, and was paid for once, but for what was in flight at a kill."""
    paid: Counter[Place] = Counter()
    kept: set[Place] = set()
    for what, place in account.read():
        if what == "kept":
            kept.add(place)
        elif what == "mumbled":
            kept.discard(place)  # it may be asked again, and need not be where the process died before that was stored
        else:
            assert place not in kept, f"the step at {place} was stored, and is paid for again"
            paid[place] += 1
    assert set(paid) == {place for n, plan in enumerate(drawn) for place in places(n, plan)}
    again = sum(plan.mumbles for plan in drawn)
    assert again - AT_A_TIME * killed <= paid.total() - len(paid) <= again + AT_A_TIME * killed, paid
    async with open_store(root.as_uri()) as storage:
        jobs = {(job.run_config or {})["n"]: job.job_id for job in await storage.list_execution_jobs(RUN)}
        assert sorted(jobs) == list(range(len(drawn)))
        for n, plan in enumerate(drawn):
            replies = [await storage.ledger.list_replies(jobs[n], "sample", step) for _, step in places(n, plan)]
            missing = sum(paid[n, step] for _, step in places(n, plan) if step) - sum(map(len, replies))
            assert 0 <= missing <= killed, "a reply that was paid for is not there"
            assert [one.usage[0].cost for steps in replies for one in steps] == [1] * sum(map(len, replies))
            expected = [("completed" if one.is_whole else "failed", one.form) for one in plan.returned]
            assert await stored(storage, jobs[n]) == expected
    report = verify(root.as_uri())
    assert report.is_sound, str(report)


def places(n: int, plan: Plan) -> list[Place]:
    """Return what is paid for at an input."""
    return [(n, step) for step in range(1, len(plan.steps) + 1)] or [(n, 0)]


async def stored(storage: Storage, job_id: str) -> list[tuple[str, Any]]:
    """Return the status and the data of the records of an input, in the order of its outputs."""
    records = await storage.list_record_metadata(RUN, job_id)
    records.sort(key=lambda one: int(one.record_uid.rpartition("-")[2]))
    return [(one.status, await storage.get_record_data(str(one.output_ref))) for one in records]


def kill(directory: Path, drawn: list[Plan], action: Action, at: int) -> bool:
    """Kill a run at a call, resume it and check; return whether it came so far."""
    directory.mkdir()
    root, account = directory / "store", Account(directory / "account")
    ended = in_child(lambda: live(root, drawn, account, action, at))
    assert ended.killed or ended.status == 0, ended.error
    if ended.killed:
        resumed = in_child(lambda: live(root, drawn, account, Action.COUNT, 0))
        assert resumed.status == 0, resumed.error
    checked = in_child(lambda: asyncio.run(check(root, drawn, account, int(ended.killed))))
    assert checked.status == 0, checked.error
    shutil.rmtree(directory)
    return ended.killed


def main(directory: Path, runs: int, points: int) -> dict[str, Any]:
    found = {"runs": 0, "killed": 0}

    @settings(max_examples=runs, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(plans)
    def kill_everywhere(drawn: list[Plan]) -> None:
        found["runs"] += 1
        place = directory / str(found["runs"])
        place.mkdir()
        counted = in_child(lambda: live(place / "counted", drawn, Account(place / "account"), Action.COUNT, 0))
        assert counted.status == 0, counted.error
        for at in evenly(counted.result, points):
            found["killed"] += kill(place / str(at), drawn, Action.KILL, at)

    kill_everywhere()
    return found


if __name__ == "__main__":
    target, runs, points = sys.argv[1:]
    sys.stdout.write(json.dumps(main(Path(target), int(runs), int(points))) + "\n")
