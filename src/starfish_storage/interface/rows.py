"""Every whole row, named: what the write path, scans and copies pass on as it is stored.

The fields are the columns, in the order of the table: the queries take their lists of columns from here. JSON and
times are text, ``2026-01-31T12:00:00.000000Z``; references are root-relative keys. A statement that returns one or
two values returns a plain tuple, which its caller unpacks.
"""

from __future__ import annotations

from typing import NamedTuple

from starfish_storage.statuses import StatusExecutionJob, StatusMasterJob, StatusRecord


class DataLocation(NamedTuple):
    """Where the data of a key lies.

    Attributes:
        key: the key under which the data handler has it: the same, or that of its current version.
        sha256: what it was when it was saved, in hex; None if that is not known.
        pending: what counts in place of what lies there, because it was saved and perhaps never put in place; empty if
            it was removed; None if what lies there counts.
    """

    key: str
    sha256: str | None
    pending: bytes | None = None


class ProjectRow(NamedTuple):
    """A project."""

    project_id: str
    name: str
    description: str | None
    created_when: str
    updated_when: str


class MasterJobRow(NamedTuple):
    """A master job.

    ``storage_uri`` and ``data_storage_uri_override`` are ``.`` for the store itself, wherever that lies.
    """

    master_job_id: str
    project_id: str
    name: str | None
    status: StatusMasterJob
    request_config_ref: str
    output_schema: str
    storage_uri: str
    metadata_storage_uri_override: str | None
    data_storage_uri_override: str | None
    target_record_count: int
    completed_record_count: int
    filtered_record_count: int
    duplicate_record_count: int
    failed_record_count: int
    creation_time: str
    start_time: str | None
    end_time: str | None
    last_update_time: str
    summary: str | None


class MasterJobEndRow(NamedTuple):
    """How a master job ended."""

    status: StatusMasterJob
    summary: str | None
    end_time: str | None
    last_update_time: str
    completed_record_count: int
    filtered_record_count: int
    duplicate_record_count: int
    failed_record_count: int
    master_job_id: str


class RecordCountsRow(NamedTuple):
    """How many records of a job are in each status that jobs count."""

    completed_record_count: int
    filtered_record_count: int
    duplicate_record_count: int
    failed_record_count: int


class ExecutionJobRow(NamedTuple):
    """An execution job, as saving one writes it."""

    job_id: str
    master_job_id: str
    status: StatusExecutionJob
    run_config: str | None
    run_config_hash: str | None
    attempted_generations: int
    produced_outputs_count: int
    completed_record_count: int
    filtered_record_count: int
    duplicate_record_count: int
    failed_record_count: int
    creation_time: str
    start_time: str | None
    end_time: str | None
    last_update_time: str
    worker_id: str | None
    error_message: str | None


class WholeExecutionJobRow(NamedTuple):
    """An execution job with what saving one leaves alone.

    Attributes:
        job: the columns that saving one writes.
        counts: the counts that its end reported, as JSON text.
        position: its place among the inputs of a run; None if it is not an input of a run.
    """

    job: ExecutionJobRow
    counts: str | None
    position: int | None


class ExecutionJobEndRow(NamedTuple):
    """How an execution job ended."""

    status: StatusExecutionJob
    counts: str | None
    end_time: str | None
    last_update_time: str
    error_message: str | None
    completed_record_count: int
    filtered_record_count: int
    duplicate_record_count: int
    failed_record_count: int
    job_id: str


class RecordRow(NamedTuple):
    """A record, as saving one with its data writes it.

    Attributes:
        record_uid: unique id.
        job_id: the execution job it came from.
        master_job_id: the master job it belongs to.
        status: what became of it.
        output_ref: the key of its data; None if it has none.
        start_time: when the generator produced it.
        end_time: when its status was settled.
        last_update_time: when it was last changed.
        error_message: what went wrong with it.
        data_sha256: of its data, in lower-case hex; None if it is not known.
    """

    record_uid: str
    job_id: str
    master_job_id: str
    status: StatusRecord
    output_ref: str | None
    start_time: str
    end_time: str
    last_update_time: str
    error_message: str | None
    data_sha256: str | None


class WholeRecordRow(NamedTuple):
    """A record with what saving one leaves alone.

    Attributes:
        record: the columns that saving one writes.
        unique_key: what no other completed record of its run may have; None if there is no such key.
        place: the key under which the data handler has its data: the same as ``output_ref``, or that of the current
            version. Not a column.
        attempt: the number of the attempt whose output it is; None if that is the first, or there was none.
        version_number: the number of its data among the versions; None if that is the attempt's.
    """

    record: RecordRow
    unique_key: str | None
    place: str | None
    attempt: int | None = None
    version_number: int | None = None

    @property
    def number(self) -> int:
        """The number that its output has among the versions."""
        return self.version_number or self.attempt or 1

    @property
    def numbers(self) -> tuple[int | None, int | None]:
        """The number of its attempt, and that of its data."""
        return self.attempt, self.version_number

    @property
    def edited_attempt(self) -> int | None:
        """The number of the attempt, where the number of its output is another."""
        return None if self.version_number is None else self.attempt or 1


class RunRow(NamedTuple):
    """A master job that is a run; its totals follow from its attempts."""

    master_job_id: str
    registered: int
    inputs_complete: bool
    stop_reason: str | None


class RegisteredInputRow(NamedTuple):
    """An input of a run, as registering it writes it."""

    job_id: str
    master_job_id: str
    run_config: str
    run_config_hash: str
    creation_time: str
    last_update_time: str
    position: int


class ClaimedInputRow(NamedTuple):
    """An input that a worker has just claimed."""

    job_id: str
    master_job_id: str
    position: int
    run_config: str
    attempted_generations: int


class HeldInputRow(NamedTuple):
    """An input that a worker holds."""

    job_id: str
    master_job_id: str
    attempted_generations: int
    start_time: str | None


class EndedInputRow(NamedTuple):
    """An input that has ended."""

    job_id: str
    error_message: str | None
    attempted_generations: int
    status: StatusExecutionJob
    start_time: str | None
    end_time: str | None
    worker_id: str | None


class FinishedInputRow(NamedTuple):
    """What finishing an input writes."""

    status: StatusExecutionJob
    attempted_generations: int
    produced_outputs_count: int
    completed_record_count: int
    filtered_record_count: int
    duplicate_record_count: int
    failed_record_count: int
    counts: str | None
    start_time: str | None
    end_time: str | None
    last_update_time: str
    worker_id: str | None
    error_message: str | None
    job_id: str


class InputRow(NamedTuple):
    """An input as it is before it is finished.

    Attributes:
        end: the columns that finishing it writes, as they are.
        master_job_id: its run.
        last_attempt: the highest number of its attempts; None if there are none.
    """

    end: FinishedInputRow
    master_job_id: str
    last_attempt: int | None


class WorkerRow(NamedTuple):
    """A worker of a run."""

    worker_id: str
    master_job_id: str
    process: str
    start_time: str
    lease_expires: str
    segment: int | None
    host: str | None
    user_name: str | None
    pod: str | None
    release: str | None
    stop_reason: str | None


class AttemptRow(NamedTuple):
    """An attempt at an input; ``usage``, ``conversions`` and ``calls`` are JSON text."""

    job_id: str
    number: int
    master_job_id: str
    worker_id: str | None
    status: str
    start_time: str
    end_time: str
    error_type: str | None
    error_message: str | None
    error_traceback: str | None
    input_tokens: int
    output_tokens: int
    cost: float
    usage: str | None
    conversions: str | None
    segment: int | None
    calls: str | None

    @property
    def id(self) -> tuple[str, int]:
        """What no other attempt has."""
        return self.job_id, self.number


class StepRow(NamedTuple):
    """A reply to a paid step; ``result``, ``usage`` and ``reused_from`` are JSON text."""

    job_id: str
    name: str
    request_key: str
    call: int
    reply: int
    attempt: int
    saved_when: str
    usage: str | None
    status: str
    reason: str | None
    rejected_by: str | None
    asked_when: str | None
    reused_from: str | None
    result: str
    request: str | None

    @property
    def id(self) -> tuple[str, str, str, int, int]:
        """What no other reply has."""
        return self.job_id, self.name, self.request_key, self.call, self.reply


class StepMarkRow(NamedTuple):
    """What marking a reply writes."""

    status: str
    reason: str | None
    rejected_by: str | None
    job_id: str
    name: str
    request_key: str
    call: int
    reply: int

    @property
    def id(self) -> tuple[str, str, str, int, int]:
        """The reply."""
        return self.job_id, self.name, self.request_key, self.call, self.reply


class SegmentRow(NamedTuple):
    """A segment of a run; ``identity`` is JSON text."""

    master_job_id: str
    number: int
    start_time: str
    identity: str

    @property
    def id(self) -> tuple[str, int]:
        """What no other segment has."""
        return self.master_job_id, self.number
