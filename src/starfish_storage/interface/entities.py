"""What a storage and a metadata handler have in common: projects, jobs and the metadata of records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record


class ProjectContract(ABC):
    """Saving, reading and deleting projects."""

    @abstractmethod
    async def save_project(self, project_data: Project) -> None:
        """Insert a project, or update the one of that id; its jobs stay. Idempotent. Durable.

        Raises:
            InvalidIdError: the id cannot be used.
        """

    @abstractmethod
    async def get_project(self, project_id: str) -> Project | None:
        """Return a project, or None if no project has that id. Raises nothing of its own."""

    @abstractmethod
    async def list_projects(self, limit: int | None = None, offset: int | None = None) -> list[Project]:
        """Return projects by name, then by id.

        Raises:
            InvalidInputError: ``limit`` or ``offset`` is negative, or is not an integer.
        """

    @abstractmethod
    async def delete_project(self, project_id: str, cascade: bool = False) -> None:
        """Delete a project and, with ``cascade``, everything in it: jobs, records and data. Durable.

        A large one goes in parts, as `delete_master_job` says.

        Not idempotent: a second call raises.

        Raises:
            NotFoundError: nothing has that id, or it was deleted.
            NotEmptyError: it has master jobs and ``cascade`` was not given.
        """


class MasterJobContract(ABC):
    """The life of a master job: one request for a number of records."""

    @abstractmethod
    async def log_master_job_start(self, job_data: GenerationMasterJob) -> None:
        """Insert a master job. Not idempotent: a second call of one id raises. Durable.

        Raises:
            AlreadyExistsError: there is one of that id, which stays as it is.
            ParentNotFoundError: its project does not exist.
            InvalidReferenceError: its ``request_config_ref`` lies outside the store.
        """

    @abstractmethod
    async def log_master_job_end(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> None:
        """Record how a master job ended. Idempotent: the last call counts. Durable.

        Args:
            master_job_id: which one.
            final_status: one of the master-job statuses.
            summary: kept whole; its ``completed``, ``filtered``, ``duplicate`` and ``failed`` also become the
                record counts, 0 for a name that it lacks. None clears it and sets the counts to 0.
            end_time: when it ended.
            update_time: when this was said.

        Raises:
            NotFoundError: nothing has that id.
            InvalidDataError: the summary is not JSON.
        """

    @abstractmethod
    async def update_master_job_status(self, master_job_id: str, status: str, update_time: datetime) -> None:
        """Set the status of a master job and when it changed, and nothing else. Idempotent. Durable.

        Raises:
            NotFoundError: nothing has that id.
        """

    @abstractmethod
    async def get_master_job(self, master_job_id: str) -> GenerationMasterJob | None:
        """Return a master job, or None if no master job has that id. Raises nothing of its own."""

    @abstractmethod
    async def get_newest_master_job(self) -> GenerationMasterJob | None:
        """Return the master job that was stored last, whatever its times say; None if there is none.

        Raises nothing of its own.
        """

    @abstractmethod
    async def list_master_jobs(
        self,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationMasterJob]:
        """Return master jobs, newest first by creation time, then by id, descending.

        Args:
            project_id: only those of this project; None for all.
            status_filter: only those in one of these statuses.
            limit: at most so many.
            offset: how many to skip.

        Raises:
            InvalidInputError: ``limit`` or ``offset`` is negative, or is not an integer.
            InvalidStatusError: a status is unknown.
        """

    @abstractmethod
    async def delete_master_job(self, master_job_id: str) -> None:
        """Delete a master job with its execution jobs, records, data and request configuration. Durable.

        What is large goes in parts, so that others can write in between: its records, its execution jobs, and itself
        at last. If the call is cancelled or its process killed, a part may be gone. Then a run cannot be resumed, and
        the next call deletes the rest.

        Not idempotent: a second call raises.

        Data that a record of another master job refers to stays.

        Raises:
            NotFoundError: nothing has that id, or it was deleted.
        """


class ExecutionJobContract(ABC):
    """The life of an execution job: one input of a master job."""

    @abstractmethod
    async def log_execution_job_start(self, job_data: GenerationJob) -> None:
        """Insert an execution job, or update the one of that id; its records stay. Idempotent. Durable.

        ``run_config`` without ``run_config_hash`` gets the SHA-256 of its canonical JSON.

        Raises:
            ParentNotFoundError: its master job does not exist.
            InvalidDataError: ``run_config`` is not JSON.
            InvalidInputError: its stored records belong to another master job than the one given.
        """

    @abstractmethod
    async def log_execution_job_end(
        self,
        job_id: str,
        final_status: str,
        counts: dict[str, int],
        end_time: datetime,
        update_time: datetime,
        error_message: str | None = None,
    ) -> None:
        """Record how an execution job ended. Idempotent: the last call counts. Durable.

        Args:
            job_id: which one.
            final_status: one of the execution-job statuses.
            counts: records by status; kept whole, and ``completed``, ``filtered``, ``duplicate`` and ``failed``
                become the record counts, 0 for a name that it lacks.
            end_time: when it ended.
            update_time: when this was said.
            error_message: why it failed; None clears an earlier one.

        Raises:
            NotFoundError: nothing has that id.
        """

    @abstractmethod
    async def get_execution_job(self, job_id: str) -> GenerationJob | None:
        """Return an execution job, or None if none has that id. Raises nothing of its own."""

    @abstractmethod
    async def list_execution_jobs(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationJob]:
        """Return a master job's execution jobs, newest first by creation time, then by id, descending.

        Raises:
            InvalidInputError: ``limit`` or ``offset`` is negative, or is not an integer.
            InvalidStatusError: a status is unknown.
        """

    @abstractmethod
    async def list_execution_jobs_by_master_id_and_config_hash(
        self, master_job_id: str, config_hash: str, job_status: str
    ) -> list[GenerationJob]:
        """Return the execution jobs of one input in one status, ordered as in `list_execution_jobs`.

        A resumed run looks its inputs up here: an input with a ``completed`` job need not be paid for again. For all
        inputs of a run at once, use `completed_config_hashes`.

        Raises:
            InvalidStatusError: the status is unknown.
        """

    @abstractmethod
    async def completed_config_hashes(self, master_job_id: str) -> set[str]:
        """Return the hashes of all inputs that have a ``completed`` execution job, without a call for each.

        They are read in pages, so that ten million take long but stop nobody: of inputs that end or begin anew
        meanwhile, the hashes may be among them or not.

        Raises nothing of its own.
        """


class RecordContract(ABC):
    """The metadata of records."""

    @abstractmethod
    async def log_record_metadata(self, record_data: Record) -> None:
        """Insert a record's metadata, or update the one of that uid. Idempotent. Durable.

        Raises:
            ParentNotFoundError: its execution job or master job does not exist.
            InvalidInputError: its execution job belongs to another master job.
            DataNotFoundError: ``output_ref`` names data that is not there; save the data first.
            InvalidReferenceError: ``output_ref`` lies outside the store.
            IdCollisionError: a stored uid differs from this one only in case.
        """

    @abstractmethod
    async def get_record_metadata(self, record_uid: str) -> Record | None:
        """Return a record's metadata, or None if no record has that uid. Raises nothing of its own."""

    @abstractmethod
    async def get_records_for_master_job(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """Return the metadata of a master job's records, newest first by start time, then by uid, descending.

        Raises:
            InvalidInputError: ``limit`` or ``offset`` is negative, or is not an integer.
            InvalidStatusError: a status is unknown.
        """

    @abstractmethod
    async def count_records_for_master_job(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> dict[str, int]:
        """Return how many records of a master job are in each status; a status without any is left out.

        Raises:
            InvalidStatusError: a status is unknown.
        """

    @abstractmethod
    async def list_record_metadata(self, master_job_uuid: str, job_uuid: str) -> list[Record]:
        """Return the metadata of one execution job's records, newest first by start time, then by uid, descending.

        Raises nothing of its own.
        """

    @abstractmethod
    def iter_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: Record | None = None,
        batch_size: int = 1000,
    ) -> AsyncIterator[Record]:
        """Stream a master job's records in the order of `get_records_for_master_job`, in constant memory.

        Each batch is one query that begins where the last one ended, so the last of a million records cost no more
        than the first. Records saved meanwhile may or may not appear; none appears twice.

        Args:
            master_job_id: which one.
            status_filter: only records in one of these statuses.
            after: begin after this record, to fetch the next page of a list.
            batch_size: records read in one query, at least 1.

        Raises:
            InvalidInputError: ``after`` is not a record, or ``batch_size`` is less than 1.
            InvalidStatusError: a status is unknown.
        """
