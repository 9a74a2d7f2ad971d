"""What came of inputs: outputs, which become records, and their versions. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from starfish_storage.runs.inputs import ClaimedInput
from starfish_storage.runs.paid import Attempt
from starfish_storage.statuses import StatusExecutionJob, StatusRecord

Replace = Literal["better", "always"]
"""What may take the place of the outcome of an input that runs again: a better one, or whatever comes next."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of an attempt, which becomes a record.

    Attributes:
        status: ``completed``, ``filtered``, ``duplicate`` or ``failed``.
        data: its data; None if it has none, as after an attempt that failed.
        error_message: why it is not ``completed``.
        unique_key: a key that only one completed record of the run may have; a later output is a ``duplicate``.
    """

    status: StatusRecord
    data: dict[str, Any] | None
    error_message: str | None = None
    unique_key: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an input, stored in one step.

    Attributes:
        claimed: the input.
        worker_id: the worker that worked on it.
        attempt: the last attempt; storing it sets its number.
        outputs: its outputs, in order; each becomes a record.
        error_message: why the input as a whole failed.
    """

    claimed: ClaimedInput
    worker_id: str
    attempt: Attempt
    outputs: Sequence[Output] = ()
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class RecordVersion:
    """An output of a record: the current one, or another that was paid for and is kept.

    Attributes:
        record_uid: the record.
        number: its number among the outputs of the record: that of its attempt, but for edited ones.
        is_current: whether it is the one that the record has.
        status: what became of it.
        error_message: why it is not ``completed``.
        data_sha256: of its data, in lower-case hex; None without data, or if it is not known.
        has_data: whether it has data.
        start_time: when it was produced (UTC).
        end_time: when its status was settled (UTC).
        replaced_when: since when it is not the current one (UTC); None for the current one.
        attempt: the number of the attempt whose output it is, as it was or edited.
    """

    record_uid: str
    number: int
    is_current: bool
    status: StatusRecord
    error_message: str | None
    data_sha256: str | None
    has_data: bool
    start_time: datetime
    end_time: datetime
    replaced_when: datetime | None = None
    attempt: int = 1


@dataclass(slots=True)
class Finished:
    """How an input stands after its outcome was stored.

    Attributes:
        status: of its execution job; None if the worker had lost its claim, and the outcome was not kept.
        statuses: of its outputs, in order; where an earlier outcome stands, of its records.
        claimed: the next input; None if none was asked for or none is left.
    """

    status: StatusExecutionJob | None = None
    statuses: list[StatusRecord] = field(default_factory=list[StatusRecord])
    claimed: ClaimedInput | None = None


def output_record_uid(job_id: str, number: int) -> str:
    """Return the uid of the record of an input's n-th output, counted from 0: storing it again is an update.

    >>> output_record_uid("ab12", 0)
    'ab12-0'
    """
    return f"{job_id}-{number}"


def status_of_input(statuses: Sequence[StatusRecord]) -> StatusExecutionJob:
    """Return the status of an execution job whose attempt returned, from the statuses of its records.

    It is ``completed`` if a record is, or without records; otherwise the first of ``failed``, ``filtered`` and
    ``duplicate`` that a record has.

    >>> status_of_input(["filtered", "completed"]), status_of_input(["duplicate", "failed"]), status_of_input([])
    ('completed', 'failed', 'completed')
    """
    for status in ("completed", "failed", "filtered", "duplicate"):
        if status in statuses:
            return status
    return "completed"
