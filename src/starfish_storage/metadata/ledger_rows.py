"""Rows of a run's ledger: the models of `starfish_storage.runs` to rows and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast, get_args

from starfish_storage.codec import ascii_text, decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.identifiers import check_id
from starfish_storage.interface.rows import (
    AttemptRow,
    ClaimedInputRow,
    HeldInputRow,
    RecordRow,
    RegisteredInputRow,
    WholeRecordRow,
    WorkerRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.metadata import action_rows, call_rows, values
from starfish_storage.metadata.call_rows import MOST_CALLS
from starfish_storage.metadata.row import Row
from starfish_storage.runs import (
    Actor,
    Attempt,
    ClaimedInput,
    Conversion,
    InputAccount,
    Outcome,
    Output,
    RecordOrigin,
    RecordVersion,
    RunInput,
    RunState,
    StatusAttempt,
    Usage,
    Worker,
    input_job_id,
)
from starfish_storage.statuses import COUNTED_STATUSES

_ATTEMPT_STATUSES: tuple[StatusAttempt, ...] = get_args(StatusAttempt)
_OUTCOME_STATUSES = ("completed", "failed")

_MOST_INPUTS = 2**53
_LONGEST_PAUSE = 366 * 24 * 3600  # in seconds: more is a mistake


def registered_row(master_job_id: str, given: RunInput, moment: str) -> RegisteredInputRow:
    """Return the parameters of ``register_input``."""
    position = values.whole("position", given.position, 0, _MOST_INPUTS)
    text = given.encoded()[:-1].decode()
    digest = given.digest()
    job_id = input_job_id(master_job_id, position, digest)
    return RegisteredInputRow(job_id, master_job_id, text, digest, moment, moment, position)


def claimed_input(row: ClaimedInputRow) -> ClaimedInput:
    """Return the input of a claimed row."""
    job_id, master_job_id, position, text, attempts = row
    return ClaimedInput(job_id, master_job_id, position, decode(f"{text}\n".encode()), attempts)


def record_origin(row: Row) -> tuple[str, RecordOrigin]:
    """Return a record's uid, and what it came of."""
    uid, segment, conversions, earlier = row
    return uid, RecordOrigin(segment, earlier + 1, sum(one.count for one in _read_conversions(conversions)))


def input_account(row: Row) -> InputAccount:
    """Return the account of a row."""
    job_id, position, text, *paid = row
    return InputAccount(job_id, position, None if text is None else decode(f"{text}\n".encode()), *paid)


def attempt_row(attempt: Attempt, number: int) -> AttemptRow:
    """Return the parameters of ``save_attempt``."""
    return AttemptRow(
        check_id("job_id", attempt.job_id),
        number,
        check_id("master_job_id", attempt.master_job_id),
        values.optional_text("worker_id", attempt.worker_id),
        values.status("attempt status", attempt.status, _ATTEMPT_STATUSES),
        values.timestamp("start_time", attempt.start_time),
        values.timestamp("end_time", attempt.end_time),
        values.optional_text("error_type", attempt.error_type),
        values.optional_text("error_message", attempt.error_message),
        values.optional_text("error_traceback", attempt.error_traceback),
        *_totals(attempt.usage),
        usage_text(attempt.usage),
        _conversions_text(attempt.conversions),
        None if attempt.segment is None else values.whole("segment", attempt.segment, 1, MOST_CALLS),
        None if attempt.calls is None else call_rows.counts_text(attempt.calls),
    )


def outcome_row(outcome: Outcome) -> AttemptRow:
    """Return the parameters of ``save_attempt`` for an outcome's attempt, but for its number.

    Raises before anything is staged if the parts do not belong together.

    Raises:
        InvalidInputError: it belongs to two inputs, or a value cannot be stored.
        InvalidStatusError: its attempt has not ended by itself, or an output cannot have that status.
    """
    claimed, last = outcome.claimed, outcome.attempt
    row = attempt_row(last, 1)
    values.status("status of an outcome's attempt", last.status, _OUTCOME_STATUSES)
    if (last.job_id, last.master_job_id) != (claimed.job_id, claimed.master_job_id):
        raise InvalidInputError(
            f"an attempt at input {shorten(last.job_id)} is no outcome of {shorten(claimed.job_id)}: give its own."
        )
    values.text("worker_id", outcome.worker_id)
    values.optional_text("error_message", outcome.error_message)
    for output in outcome.outputs:
        check_output(output)
    return row


def check_output(output: Output) -> None:
    """Raise unless an output has a status that one may have, and a key that can be stored.

    Raises:
        InvalidStatusError: its status is another.
        InvalidInputError: its key is not text.
    """
    values.status("output status", output.status, COUNTED_STATUSES)
    values.optional_text("unique_key", output.unique_key)


def interrupted_row(held: HeldInputRow, number: int, worker: WorkerRow, now: str, steps: Sequence[Row]) -> AttemptRow:
    """Return the parameters of ``save_attempt`` for the attempt of a worker that died, at an input it held.

    Args:
        held: the input.
        number: number of the attempt.
        worker: made it.
        now: when its death was noticed.
        steps: usage, key and source of each reply that it has stored: what it cost, and how its requests were
            answered. How many it was given that were stored before, nobody knows any more.
    """
    begun = held.start_time or now
    # Begun by the dead worker's clock, and ended by that of whoever noticed: it has not ended before it began.
    ended = max(begun, now)
    error = ("WorkerDied", "the worker that made this attempt died", None)
    # What others had paid for costs nothing.
    usage = [one for text, _, source in steps if text is not None and source is None for one in read_usage(text)]
    sources = [call_rows.read_source(source) for _, request_key, source in steps if request_key]
    calls = call_rows.counts_text(call_rows.counts_of(sources, usage)) if sources else None
    return AttemptRow(
        held.job_id, number, held.master_job_id, worker.worker_id, "interrupted", begun, ended, *error,
        *_totals(usage), usage_text(usage), None, worker.segment, calls,
    )  # fmt: skip


def with_usage(row: AttemptRow, used: Sequence[Usage]) -> AttemptRow:
    """Return the row of an attempt with more usage."""
    usage = (*read_usage(row.usage), *used)
    sent, received, cost = _totals(usage)
    return row._replace(input_tokens=sent, output_tokens=received, cost=cost, usage=usage_text(usage))


def attempt(row: Row) -> Attempt:
    """Return the attempt of a row."""
    job_id, number, master_job_id, worker_id, status, start, end, kind, message, trace, *rest = row
    _, _, _, usage, conversions, segment, calls = rest
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
        _read_conversions(conversions),
        segment,
        None if calls is None else call_rows.read_counts(calls),
    )


def pause(seconds: object) -> timedelta:
    """Return for how long a run is to be paused.

    Raises:
        InvalidInputError: it is not a number that makes sense.
    """
    if not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_PAUSE:
        raise InvalidInputError(f"seconds {shorten(seconds)} cannot be used: give 0 to {_LONGEST_PAUSE}.")
    return timedelta(seconds=seconds)


def record_version(row: RecordVersionRow) -> RecordVersion:
    """Return the version of a row."""
    when = datetime.fromisoformat(row.replaced_when)
    return _version(row, row.number, row.attempt or row.number, when)


def current_version(whole: WholeRecordRow) -> RecordVersion:
    """Return the current output of a record as a version."""
    return _version(whole.record, whole.number, whole.attempt or 1, None)


def _version(
    row: RecordVersionRow | RecordRow, number: int, attempt: int, replaced_when: datetime | None
) -> RecordVersion:
    return RecordVersion(
        record_uid=row.record_uid,
        number=number,
        is_current=replaced_when is None,
        status=row.status,
        error_message=row.error_message,
        data_sha256=row.data_sha256,
        has_data=row.output_ref is not None,
        start_time=datetime.fromisoformat(row.start_time),
        end_time=datetime.fromisoformat(row.end_time),
        replaced_when=replaced_when,
        attempt=attempt,
    )


def worker_row(worker: Worker) -> WorkerRow:
    """Return the parameters of ``save_worker``."""
    return WorkerRow(
        check_id("worker_id", worker.worker_id),
        check_id("master_job_id", worker.master_job_id),
        values.text("process", worker.process),
        values.timestamp("start_time", worker.start_time),
        values.timestamp("lease_expires", worker.lease_expires),
        None if worker.segment is None else values.whole("segment", worker.segment, 1, MOST_CALLS),
        *action_rows.actor_values(worker.who),
        values.optional_text("stop_reason", worker.stop_reason),
    )


def worker(row: Row) -> Worker:
    """Return the worker of a row."""
    worker_id, master_job_id, process, start, expires, segment, *who, stop_reason = row
    begun, until = datetime.fromisoformat(start), datetime.fromisoformat(expires)
    return Worker(worker_id, master_job_id, process, begun, until, segment, Actor(*who), stop_reason)


def run_state(row: Row) -> RunState:
    """Return where the run of a row stands."""
    *state, until, reason, priority, drained = row
    master_job_id, registered, complete, *totals = state
    paused, drained = (None if moment is None else datetime.fromisoformat(moment) for moment in (until, drained))
    return RunState(
        *(master_job_id, registered, bool(complete), *totals),
        paused_until=paused,
        pause_reason=reason,
        drained_since=drained,
        priority=priority,
    )


def usage_text(usage: Sequence[Usage]) -> str | None:
    """Return what calls used as JSON text; None if there are none.

    Raises:
        InvalidInputError: a number is negative, not finite, or none.
    """
    if not usage:  # most attempts report none, and this stands in the way of every one
        return None
    calls = [
        [
            values.optional_text("model", one.model),
            values.whole("input_tokens", one.input_tokens, 0, values.MOST_USED),
            values.whole("output_tokens", one.output_tokens, 0, values.MOST_USED),
            values.cost(one.cost),
            *([dict(one.checked().counts)] if one.counts else ()),
        ]
        for one in usage
    ]
    return ascii_text(calls)


def read_usage(text: str | None) -> tuple[Usage, ...]:
    """Return what calls used."""
    if text is None:
        return ()
    return tuple(Usage(*call) for call in cast("list[list[Any]]", json.loads(text)))


def _conversions_text(conversions: Sequence[Conversion]) -> str | None:
    if not conversions:
        return None
    return ascii_text(
        [
            [
                values.text("kind", one.kind),
                values.whole("count", one.count, 0, values.MOST_USED),
                [values.text("path", path) for path in one.paths],
            ]
            for one in conversions
        ]
    )


def _read_conversions(text: str | None) -> tuple[Conversion, ...]:
    if text is None:
        return ()
    found = cast("list[tuple[str, int, list[str]]]", json.loads(text))
    return tuple(Conversion(kind, count, tuple(paths)) for kind, count, paths in found)


def _totals(usage: Sequence[Usage]) -> tuple[int, int, float]:
    if not usage:
        return 0, 0, 0.0
    input_tokens, output_tokens, cost = 0, 0, 0.0
    for one in usage:
        input_tokens += values.whole("input_tokens", one.input_tokens, 0, values.MOST_USED)
        output_tokens += values.whole("output_tokens", one.output_tokens, 0, values.MOST_USED)
        cost += values.cost(one.cost)
    return (
        values.whole("input_tokens", input_tokens, 0, values.MOST_USED),
        values.whole("output_tokens", output_tokens, 0, values.MOST_USED),
        values.cost(cost),
    )
