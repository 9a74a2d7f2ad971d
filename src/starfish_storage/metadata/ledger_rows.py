"""Rows of a run's ledger: the models of `starfish_storage.runs` to rows and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast, get_args

from starfish_storage.codec import canonical_hash, decode, encode
from starfish_storage.errors import InvalidInputError
from starfish_storage.identifiers import check_id
from starfish_storage.metadata import rows
from starfish_storage.metadata.driver import Row
from starfish_storage.runs import (
    Attempt,
    ClaimedInput,
    RunInput,
    RunState,
    StatusAttempt,
    Step,
    Usage,
    Worker,
    input_job_id,
)

ATTEMPT_NUMBER, ATTEMPT_START = 1, 5
"""Where these stand in a row of ``save_attempt``."""

_ATTEMPT_STATUSES = cast("tuple[str, ...]", get_args(StatusAttempt))


def registered_row(master_job_id: str, given: RunInput, moment: str) -> Row:
    """Return the parameters of ``register_input``."""
    position = rows.integer("position", given.position)
    if position < 0:
        raise InvalidInputError(f"position {position} cannot be used: give 0 or more.")
    text = encode(given.run_config, f"input {position}")[:-1].decode()
    digest = canonical_hash(given.run_config)
    return input_job_id(master_job_id, position, digest), master_job_id, text, digest, moment, moment, position


def claimed_input(row: Row) -> ClaimedInput:
    """Return the input of a claimed row."""
    job_id, master_job_id, position, text, attempts = row
    return ClaimedInput(job_id, master_job_id, position, decode(text.encode()), attempts)


def attempt_row(attempt: Attempt, number: int) -> Row:
    """Return the parameters of ``save_attempt``."""
    return (
        check_id("job_id", attempt.job_id),
        number,
        check_id("master_job_id", attempt.master_job_id),
        rows.optional_text("worker_id", attempt.worker_id),
        rows.status("attempt status", attempt.status, _ATTEMPT_STATUSES),
        rows.timestamp("start_time", attempt.start_time),
        rows.timestamp("end_time", attempt.end_time),
        rows.optional_text("error_type", attempt.error_type),
        rows.optional_text("error_message", attempt.error_message),
        rows.optional_text("error_traceback", attempt.error_traceback),
        *_totals(attempt.usage),
        usage_text(attempt.usage),
    )


def interrupted_row(claim: Row, worker_id: str, now: str, usage: Iterable[Usage]) -> Row:
    """Return the parameters of ``save_attempt`` for the attempt of a worker that died, at a row it had claimed."""
    job_id, master_job_id, attempts, start = claim
    used = tuple(usage)
    what = ("WorkerDied", "the worker that made this attempt died", None)
    head = (job_id, attempts + 1, master_job_id, worker_id, "interrupted", start or now, now)
    return (*head, *what, *_totals(used), usage_text(used))


def attempt(row: Row) -> Attempt:
    """Return the attempt of a row."""
    job_id, number, master_job_id, worker_id, status, start, end, kind, message, trace, _, _, _, usage = row
    return Attempt(
        job_id,
        master_job_id,
        number,
        worker_id,
        status,
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
        kind,
        message,
        trace,
        read_usage(usage),
    )


def step_row(step: Step) -> Row:
    """Return the parameters of ``save_step``."""
    return (
        check_id("job_id", step.job_id),
        rows.text("step name", step.name),
        encode(step.result, f"result of step {step.name!r}")[:-1].decode(),
        rows.integer("attempt", step.attempt),
        rows.timestamp("saved_when", step.saved_when),
        usage_text(step.usage),
    )


def step(row: Row) -> Step:
    """Return the step of a row."""
    job_id, name, result, number, saved_when, usage = row
    moment = datetime.fromisoformat(saved_when)
    return Step(job_id, name, decode(result.encode()), number, moment, read_usage(usage))


def worker_row(worker: Worker) -> Row:
    """Return the parameters of ``save_worker``."""
    return (
        check_id("worker_id", worker.worker_id),
        check_id("master_job_id", worker.master_job_id),
        rows.text("process", worker.process),
        rows.timestamp("start_time", worker.start_time),
        rows.timestamp("lease_expires", worker.lease_expires),
    )


def worker(row: Row) -> Worker:
    """Return the worker of a row."""
    worker_id, master_job_id, process, start, expires = row
    return Worker(worker_id, master_job_id, process, datetime.fromisoformat(start), datetime.fromisoformat(expires))


def run_state(row: Row) -> RunState:
    """Return where the run of a row stands."""
    master_job_id, registered, complete, *rest = row
    return RunState(master_job_id, registered, bool(complete), *rest)


def usage_text(usage: Iterable[Usage]) -> str | None:
    """Return what calls used as JSON text; None if there are none."""
    calls = [[one.model, one.input_tokens, one.output_tokens, one.cost] for one in usage]
    return json.dumps(calls, separators=(",", ":")) if calls else None


def read_usage(text: str | None) -> tuple[Usage, ...]:
    """Return what calls used."""
    if text is None:
        return ()
    return tuple(Usage(*call) for call in cast("list[list[Any]]", json.loads(text)))


def _totals(usage: tuple[Usage, ...]) -> tuple[int, int, float]:
    if not usage:  # most attempts report none, and this stands in the way of every one
        return 0, 0, 0.0
    return (
        rows.integer("input_tokens", sum(one.input_tokens for one in usage)),
        rows.integer("output_tokens", sum(one.output_tokens for one in usage)),
        float(sum(one.cost for one in usage)),
    )
