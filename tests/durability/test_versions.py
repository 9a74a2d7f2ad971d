"""Whatever attempts, outcomes, retries and restorings follow each other, and wherever the process is killed: what was
paid for can be read, as the current output of its record or as a version, and nothing is left that nobody refers to."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durability import run_workload, workload
from durability.faults import FaultyStorage, Steps
from durability.run_workload import NOW, an_outcome, check_rebuilt
from durability.test_failures import copy_as_after_a_kill
from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import NotFoundError
from starfish_storage.maintenance import verify
from starfish_storage.runs import ClaimedInput, Output, Replace

WORKER, ENDED = "worker", ["completed", "failed", "filtered", "duplicate"]
numbers = itertools.count()

outcomes = st.tuples(
    st.just("finish"),
    st.lists(
        st.tuples(st.sampled_from(["completed", "filtered", "failed"]), st.sampled_from([None, "a", "b"])), max_size=3
    ),
    st.sampled_from(["better", "always"]),
)
restorings = st.tuples(st.just("restore"), st.integers(0, 2), st.integers(1, 6))
stops = st.tuples(st.sampled_from(["fail without data", "stop", "die"]))
sequences = st.lists(
    st.tuples(st.one_of(outcomes, outcomes, restorings, stops), st.integers(1, 40)), min_size=1, max_size=7
)


class Paid:
    """One input that is run again and again, and what was paid for it.

    Attributes:
        acknowledged: the numbers in the data of outputs that were stored, by uid.
    """

    def __init__(self, storage: Storage, claimed: ClaimedInput) -> None:
        self.ledger = storage.ledger
        self.claimed = claimed
        self.acknowledged: dict[str, set[int]] = {}

    async def step(self, what: tuple[Any, ...]) -> None:
        """Do the next thing; what cannot be done now is not."""
        if what[0] == "finish":
            await self._finish(*what[1:])
        elif what[0] == "restore":
            _, number, version = what
            try:
                await self.ledger.restore_version(f"{self.claimed.job_id}-{number}", version)
            except NotFoundError:
                pass  # there is none of this number
        elif what[0] == "fail without data":
            await self._finish([], "better", failed=True)
        else:
            await self._again("better")
            if what[0] == "stop":
                attempt = an_outcome(self.claimed, WORKER, []).attempt
                await self.ledger.save_attempt(attempt)
            await self.ledger.remove_worker(run_workload.a_worker(WORKER, workload.MASTER), NOW, died=what[0] == "die")
            await self.ledger.save_worker(run_workload.a_worker(WORKER, workload.MASTER))
            (self.claimed,) = await self.ledger.claim_inputs(workload.MASTER, WORKER, 1, NOW)
            await self._finish([], "better", failed=True)

    async def _again(self, replace: Replace) -> None:
        if await self.ledger.reset_inputs(workload.MASTER, ENDED, job_ids=[self.claimed.job_id], replace=replace):
            (self.claimed,) = await self.ledger.claim_inputs(workload.MASTER, WORKER, 1, NOW)

    async def _finish(self, made: list[Any], replace: Replace, *, failed: bool = False) -> None:
        await self._again(replace)
        data = [next(numbers) for _ in made]
        outputs = [Output(status, {"n": n}, None, key) for (status, key), n in zip(made, data, strict=True)]
        if failed:
            outputs = [Output("failed", None, "E")]
        await self.ledger.finish_input(an_outcome(self.claimed, WORKER, outputs))
        for number, n in enumerate(data):
            self.acknowledged.setdefault(f"{self.claimed.job_id}-{number}", set()).add(n)

    async def check(self, storage: Storage) -> None:
        """All that was acknowledged can be read."""
        for uid, paid in self.acknowledged.items():
            found = set[int]()
            current = 0
            for version in await storage.ledger.list_versions(uid):
                current += version.is_current
                if version.has_data:
                    found.add((await storage.ledger.get_version_data(uid, version.number) or {})["n"])
            assert paid <= found, f"{uid} lost {paid - found}"
            assert current <= 1


async def live(root: Path, steps: list[tuple[Any, int]]) -> None:
    """Carry out a sequence; at a step of each part, look at what a kill would have left."""
    storage = FaultyStorage(root / "store", Steps(), "power")
    async with storage:
        await workload.prepare(storage)
        (claimed, other) = await run_workload.start(storage, workload.MASTER, WORKER, 2)
        await storage.ledger.finish_input(an_outcome(other, WORKER, [Output("completed", {"n": -1}, None, "a")]))
        paid = Paid(storage, claimed)
        for number, (what, at) in enumerate(steps):
            left = root / f"left-{number}"
            start = len(storage.steps.taken)

            def before(taken: int, _step: str, left: Path = left, last: int = start + at) -> None:
                if taken == last:
                    copy_as_after_a_kill(root / "store", left)

            storage.steps.before = before
            acknowledged = {uid: set(paid) for uid, paid in paid.acknowledged.items()}
            await paid.step(what)
            storage.steps.before = lambda _taken, _step: None
            await paid.check(storage)
            if left.exists():
                await looked_at(left, paid, acknowledged)
                shutil.rmtree(left)
    assert verify(root / "store").findings == ()
    check_rebuilt(root / "store", root / "rebuilt.db")


async def looked_at(left: Path, paid: Paid, acknowledged: dict[str, set[int]]) -> None:
    """Open what a kill left, and see that all is there that was acknowledged before."""
    now, paid.acknowledged = paid.acknowledged, acknowledged
    async with LocalStorage(left) as storage:
        await paid.check(storage)
    paid.acknowledged = now
    assert verify(left).findings == ()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=sequences)
def test_what_was_paid_for_can_be_read_whatever_follows(memory_path: Path, steps: list[tuple[Any, int]]) -> None:
    root = memory_path / f"{next(numbers)}"
    root.mkdir()
    asyncio.run(live(root, steps))
    shutil.rmtree(root)
