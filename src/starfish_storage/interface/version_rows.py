"""Whole rows of what stands of inputs that run again, and of versions of records; see `interface.rows`."""

from __future__ import annotations

from typing import NamedTuple

from starfish_storage.statuses import StatusExecutionJob, StatusRecord


class StandingOutcomeRow(NamedTuple):
    """How an input ended that runs again: what putting it back took from its execution job."""

    job_id: str
    status: StatusExecutionJob
    start_time: str | None
    end_time: str | None
    worker_id: str | None


class RecordVersionRow(NamedTuple):
    """An output that is not the current one of its record.

    Attributes:
        record_uid: the record.
        number: among the outputs of the record: that of its attempt, unless another one had that.
        job_id: the execution job it came from.
        master_job_id: the master job it belongs to.
        status: what became of it.
        output_ref: the key of its data; None if it has none.
        start_time: when the generator produced it.
        end_time: when its status was settled.
        error_message: what went wrong with it.
        data_sha256: of its data, in lower-case hex; None if it is not known.
        unique_key: what no other completed record of its run may have, were it the current one.
        replaced_when: since when it is not.
        attempt: the number of the attempt whose output it is, edited or not; None if that is its own number.
    """

    record_uid: str
    number: int
    job_id: str
    master_job_id: str
    status: StatusRecord
    output_ref: str | None
    start_time: str
    end_time: str
    error_message: str | None
    data_sha256: str | None
    unique_key: str | None
    replaced_when: str
    attempt: int | None

    @property
    def id(self) -> tuple[str, int]:
        """What no other version has."""
        return self.record_uid, self.number


class WholeVersionRow(NamedTuple):
    """A version of a record.

    Attributes:
        version: its row.
        place: the key under which the data handler has its data; None without data. Not a column.
    """

    version: RecordVersionRow
    place: str | None
