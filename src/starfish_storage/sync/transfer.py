# Made by scripts/make_sync.py from starfish_storage.interface.transfer: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.transfer`."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage import portal
from starfish_storage.errors import StorageError
from starfish_storage.interface import transfer as asynchronous
from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.data import DataWrite
from starfish_storage.interface.rows import (
    AttemptRow,
    MasterJobRow,
    ProjectRow,
    RunRow,
    SegmentRow,
    StepRow,
    WholeExecutionJobRow,
    WholeRecordRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow, StandingOutcomeRow, WholeVersionRow
from starfish_storage.sync.face import Face


class RowTransfer(Face):
    """Reads whole rows in pages, and writes them as they are.

    Every ``put_`` inserts rows or replaces those of the same ids. It is idempotent and durable, and takes effect whole
    or not at all. It does not compare: that is the caller's part, with the ``get_`` methods.
    """

    def __init__(self, asynchronous: asynchronous.RowTransfer) -> None:
        super().__init__(asynchronous)

    @property
    def asynchronous(self) -> asynchronous.RowTransfer:
        """The asynchronous object that this one calls, for code in an event loop."""
        return self._asynchronous

    @property
    def _called(self) -> asynchronous.RowTransfer:
        return self._asynchronous

    def identity(self) -> str:
        """Return what identifies the store, as long as it is not moved. Raises nothing of its own."""
        return portal.call(self._called.identity())

    def list_projects(self, *, after: str = "", limit: int) -> list[ProjectRow]:
        """Return projects by id, from behind an id. Raises nothing of its own."""
        return portal.call(self._called.list_projects(after=after, limit=limit))

    def get_project(self, project_id: str) -> ProjectRow | None:
        """Return a project, or None. Raises nothing of its own."""
        return portal.call(self._called.get_project(project_id))

    def list_master_job_ids(self, project_id: str) -> list[str]:
        """Return the ids of the master jobs of a project, sorted. Raises nothing of its own."""
        return portal.call(self._called.list_master_job_ids(project_id))

    def list_master_job_order(self) -> list[str]:
        """Return the ids of all master jobs, in the order in which they were stored. Raises nothing of its own."""
        return portal.call(self._called.list_master_job_order())

    def get_master_job(self, master_job_id: str) -> MasterJobRow | None:
        """Return a master job, or None. Raises nothing of its own."""
        return portal.call(self._called.get_master_job(master_job_id))

    def list_execution_jobs(
        self, master_job_id: str, *, after: WholeExecutionJobRow | None = None, limit: int
    ) -> list[WholeExecutionJobRow]:
        """Return execution jobs of a master job, oldest first by creation time, then by id, from behind one.

        Raises nothing of its own.
        """
        return portal.call(self._called.list_execution_jobs(master_job_id, after=after, limit=limit))

    def get_execution_jobs(self, job_ids: Sequence[str]) -> list[WholeExecutionJobRow]:
        """Return those of these execution jobs that exist, in any order. Raises nothing of its own."""
        return portal.call(self._called.get_execution_jobs(job_ids))

    def list_records(
        self, master_job_id: str, *, after: WholeRecordRow | None = None, limit: int
    ) -> list[WholeRecordRow]:
        """Return records of a master job, oldest first by start time, then by uid, from behind one.

        Raises nothing of its own.
        """
        return portal.call(self._called.list_records(master_job_id, after=after, limit=limit))

    def get_records(self, record_uids: Sequence[str]) -> list[WholeRecordRow]:
        """Return those of these records that exist, in any order, without the ``place`` of their data.

        Raises nothing of its own.
        """
        return portal.call(self._called.get_records(record_uids))

    def get_run(self, master_job_id: str) -> RunRow | None:
        """Return the run of a master job, or None if it is not a run. Raises nothing of its own."""
        return portal.call(self._called.get_run(master_job_id))

    def list_segments(self, master_job_id: str) -> list[SegmentRow]:
        """Return the segments of a run by number. Raises nothing of its own."""
        return portal.call(self._called.list_segments(master_job_id))

    def get_attempts(self, job_ids: Sequence[str]) -> list[AttemptRow]:
        """Return the attempts at some inputs, in any order. Raises nothing of its own."""
        return portal.call(self._called.get_attempts(job_ids))

    def get_steps(self, job_ids: Sequence[str]) -> list[StepRow]:
        """Return the paid steps of some inputs, in any order. Raises nothing of its own."""
        return portal.call(self._called.get_steps(job_ids))

    def get_standing(self, job_ids: Sequence[str]) -> list[StandingOutcomeRow]:
        """Return the outcomes that stand of those of some inputs that run again, in any order.

        Raises nothing of its own.
        """
        return portal.call(self._called.get_standing(job_ids))

    def get_versions(self, job_ids: Sequence[str]) -> list[WholeVersionRow]:
        """Return the versions of the records of some inputs, in any order. Raises nothing of its own."""
        return portal.call(self._called.get_versions(job_ids))

    def read_version(self, row: WholeVersionRow) -> bytes | None:
        """Return the data of a version, or None if it has none.

        Raises:
            DataLostError: it is missing.
            StoreDamagedError: it is not what was saved.
        """
        return portal.call(self._called.read_version(row))

    def list_annotations(
        self, master_job_id: str, *, after: AnnotationRow | None = None, limit: int
    ) -> list[AnnotationRow]:
        """Return annotations of a run's records, the oldest first, from behind one. Raises nothing of its own."""
        return portal.call(self._called.list_annotations(master_job_id, after=after, limit=limit))

    def get_annotations(self, record_uids: Sequence[str]) -> list[AnnotationRow]:
        """Return the annotations of some records, in any order. Raises nothing of its own."""
        return portal.call(self._called.get_annotations(record_uids))

    def put_project(self, row: ProjectRow) -> None:
        """Store a project. Idempotent. Durable. Raises nothing of its own."""
        return portal.call(self._called.put_project(row))

    def put_master_job(self, row: MasterJobRow) -> None:
        """Store a master job. Idempotent. Durable.

        Raises:
            ParentNotFoundError: its project does not exist.
            InvalidReferenceError: its configuration's key names something else of the store's.
            IdCollisionError: a stored id differs from this one only in case.
        """
        return portal.call(self._called.put_master_job(row))

    def put_execution_jobs(self, rows: Sequence[WholeExecutionJobRow]) -> None:
        """Store execution jobs. Idempotent. Durable.

        Raises:
            ParentNotFoundError: a master job does not exist.
        """
        return portal.call(self._called.put_execution_jobs(rows))

    def put_records(self, rows: Sequence[WholeRecordRow], writes: Sequence[DataWrite | None]) -> None:
        """Store records with their data, in one step. Idempotent. Durable.

        Args:
            rows: the records, each once; ``output_ref``, ``data_sha256`` and ``place`` are not used.
            writes: the data of each, or None for one without.

        Raises:
            ParentNotFoundError: an execution job or master job does not exist.
            IdCollisionError: a stored uid differs from one of these only in case.
        """
        return portal.call(self._called.put_records(rows, writes))

    def put_run(self, row: RunRow) -> None:
        """Make a master job a run, and store how far that is. Idempotent. Durable.

        Inputs that were once registered, or said to be complete, stay so.

        Raises:
            ParentNotFoundError: the master job does not exist.
        """
        return portal.call(self._called.put_run(row))

    def put_segments(self, rows: Sequence[SegmentRow]) -> None:
        """Store segments. Idempotent. Durable.

        Raises:
            ParentNotFoundError: a run does not exist.
        """
        return portal.call(self._called.put_segments(rows))

    def put_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """Store attempts; the totals of their runs follow. Idempotent. Durable.

        Raises:
            ParentNotFoundError: an execution job does not exist.
        """
        return portal.call(self._called.put_attempts(rows))

    def put_steps(self, rows: Sequence[StepRow]) -> None:
        """Store paid steps. Idempotent. Durable.

        Raises:
            ParentNotFoundError: an execution job does not exist.
        """
        return portal.call(self._called.put_steps(rows))

    def put_standing(self, rows: Sequence[StandingOutcomeRow], gone: Sequence[str] = ()) -> None:
        """Store outcomes that stand, and forget those of the inputs in ``gone``. Idempotent. Durable.

        Raises:
            ParentNotFoundError: an execution job does not exist.
        """
        return portal.call(self._called.put_standing(rows, gone))

    def put_version(self, row: RecordVersionRow, payload: bytes | None) -> None:
        """Store a version, with its data under a key of its own. Idempotent. Durable.

        One that is there must have the same data: remove another one first.

        Raises:
            ParentNotFoundError: its execution job does not exist.
        """
        return portal.call(self._called.put_version(row, payload))

    def put_annotations(self, rows: Sequence[AnnotationRow]) -> None:
        """Store annotations; of those that are there, only whether they are withdrawn. Idempotent. Durable.

        Raises:
            ParentNotFoundError: a record does not exist.
        """
        return portal.call(self._called.put_annotations(rows))

    def remove_versions(self, rows: Sequence[WholeVersionRow]) -> None:
        """Remove versions with their data. Idempotent. Durable. Raises nothing of its own."""
        return portal.call(self._called.remove_versions(rows))


class StoreTransfer(Face):
    """A store as copies see it: its rows, and its data as bytes. It parses nothing and looks for no secrets."""

    def __init__(self, asynchronous: asynchronous.StoreTransfer) -> None:
        super().__init__(asynchronous)

    @property
    def asynchronous(self) -> asynchronous.StoreTransfer:
        """The asynchronous object that this one calls, for code in an event loop."""
        return self._asynchronous

    @property
    def _called(self) -> asynchronous.StoreTransfer:
        return self._asynchronous

    @property
    def rows(self) -> RowTransfer:
        """The rows."""
        return RowTransfer(self._called.rows)

    @property
    def data_place(self) -> str:
        """Where the data lies: no two stores have it in one place."""
        return self._called.data_place

    def read_records(self, rows: Sequence[WholeRecordRow]) -> list[bytes | StorageError | None]:
        """Return the data of records, compared with its digest; None for a record without data.

        Raises nothing of its own.

        Where data is lost or damaged, the error stands in its place.
        """
        return portal.call(self._called.read_records(rows))

    def put_records(self, rows: Sequence[WholeRecordRow], payloads: Sequence[bytes | None]) -> None:
        """Store records with their data, under the keys of this store. Idempotent. Durable.

        Raises as `RowTransfer.put_records`.
        """
        return portal.call(self._called.put_records(rows, payloads))

    def read_request_config(self, key: str) -> bytes | None:
        """Return a request configuration, or None if the store has none under this key.

        Raises nothing of its own.
        """
        return portal.call(self._called.read_request_config(key))

    def put_request_config(self, key: str, payload: bytes) -> None:
        """Store a request configuration, replacing an earlier one. Idempotent. Durable.

        Raises:
            InvalidReferenceError: the key is not one of a request configuration.
        """
        return portal.call(self._called.put_request_config(key, payload))
