"""A run to test a ledger with: inputs, workers, attempts and outcomes, the same ones every time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from starfish_storage.interface import RunLedger, Storage
from starfish_storage.runs import (
    Actor,
    Attempt,
    ClaimedInput,
    Finished,
    Outcome,
    Output,
    Replace,
    RunInput,
    RunState,
    StatusAttempt,
    Worker,
)
from starfish_storage.testing.samples import MASTER_JOB, a_master_job, a_project, at
from starfish_storage.testing.suites.suite import skip_unless

Found = TypeVar("Found")

WORKER = "worker-1"


def there(found: Found | None) -> Found:
    """Return what was found, which must be something."""
    assert found is not None
    return found


def a_state(registered: int, *totals: float, **fields: Any) -> RunState:
    """Return the state of a running run; ``totals``: attempts, failed attempts, tokens sent and received, and cost."""
    named = dict(zip(("attempts", "failed_attempts", "input_tokens", "output_tokens", "cost"), totals, strict=True))
    values: dict[str, Any] = {"inputs_complete": False, "stop_reason": None, **named, **fields}
    return RunState(MASTER_JOB, registered, **values)


def inputs(number: int, start: int = 0) -> list[RunInput]:
    """Return inputs, each of which says its position."""
    return [RunInput(position, {"question": position}) for position in range(start, start + number)]


def a_worker(worker_id: str = WORKER, master_job_id: str = MASTER_JOB, *, expires: float = 60) -> Worker:
    """Return a worker whose lease expires so many seconds after noon."""
    who = Actor("größer", "Åsa", "pod-1", "0.1.0")
    return Worker(worker_id, master_job_id, "a process", at(0), at(expires), who=who)


def an_attempt(
    claimed: ClaimedInput, worker_id: str = WORKER, status: StatusAttempt = "completed", **fields: Any
) -> Any:
    """Return an attempt at a claimed input."""
    return Attempt(claimed.job_id, claimed.master_job_id, 1, worker_id, status, at(10), at(11), **fields)


def an_outcome(claimed: ClaimedInput, *outputs: Output, worker_id: str = WORKER, **fields: Any) -> Outcome:
    """Return what came of a claimed input; ``fields`` are those of its attempt."""
    return Outcome(claimed, worker_id, an_attempt(claimed, worker_id, **fields), outputs)


def kept(number: int = 0, key: str | None = None) -> Output:
    """Return an output that is completed."""
    return Output("completed", {"answer": number}, None, key)


async def start(storage: Storage, number: int = 3, master_job_id: str = MASTER_JOB) -> RunLedger:
    """Start a run with so many inputs and one worker, and return the ledger. Needs ``RUNS``."""
    skip_unless(storage, "RUNS")
    ledger = storage.ledger
    await storage.save_project(a_project())
    await storage.log_master_job_start(a_master_job(storage, master_job_id))
    await ledger.start_run(master_job_id)
    await ledger.register_inputs(master_job_id, inputs(number))
    await ledger.save_worker(a_worker(master_job_id=master_job_id))
    return ledger


async def claim(
    ledger: RunLedger, number: int = 1, worker_id: str = WORKER, master_job_id: str = MASTER_JOB
) -> list[ClaimedInput]:
    """Claim so many inputs."""
    return await ledger.claim_inputs(master_job_id, worker_id, number, at(5))


async def run_again(ledger: RunLedger, claimed: ClaimedInput, replace: Replace = "better") -> ClaimedInput:
    """Return an ended input to pending, and claim it."""
    statuses, jobs = ["completed", "failed", "duplicate"], [claimed.job_id]
    assert await ledger.reset_inputs(MASTER_JOB, statuses, job_ids=jobs, replace=replace) == 1
    (again,) = await claim(ledger)
    assert again.job_id == claimed.job_id
    return again


async def finish_together(ledger: RunLedger, outcomes: Sequence[Outcome]) -> list[Finished]:
    """Store outcomes in calls that overlap."""
    return await asyncio.gather(*(ledger.finish_input(outcome) for outcome in outcomes))
