"""What a storage means, in plain dicts: the measure of the state machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from starfish_storage.errors import (
    AlreadyExistsError,
    DataNotFoundError,
    NotEmptyError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record
from starfish_storage.statuses import COUNTED_STATUSES
from starfish_storage.times import as_utc

RefusedWith = type[StorageError]
"""Returned where a storage raises an error of this class."""

Data = dict[str, Any]
Item = TypeVar("Item", GenerationMasterJob, GenerationJob, Record)


class DictModel:
    """Projects, jobs, records and data by their ids.

    It knows no references: the ``output_ref`` of its records is the uid under which the data was saved, and the
    ``request_config_ref`` of its master jobs the id under which the configuration was.
    """

    def __init__(self) -> None:
        self.projects: dict[str, Project] = {}
        self.master_jobs: dict[str, GenerationMasterJob] = {}
        self.execution_jobs: dict[str, GenerationJob] = {}
        self.records: dict[str, Record] = {}
        self.data: dict[str, Data] = {}
        self.configs: dict[str, Data] = {}

    # --- projects -------------------------------------------------------------------------------------------------

    def save_project(self, project: Project) -> None:
        """Insert or replace."""
        self.projects[project.project_id] = project

    def list_projects(self) -> list[Project]:
        """By name, then id."""
        return sorted(self.projects.values(), key=lambda project: (project.name, project.project_id))

    def delete_project(self, project_id: str, cascade: bool) -> RefusedWith | None:
        """With its master jobs, if that was said."""
        if project_id not in self.projects:
            return NotFoundError
        inside = [job.master_job_id for job in self.master_jobs.values() if job.project_id == project_id]
        if inside and not cascade:
            return NotEmptyError
        del self.projects[project_id]
        self._delete_master_jobs(inside)
        return None

    # --- master jobs ----------------------------------------------------------------------------------------------

    def log_master_job_start(self, job: GenerationMasterJob) -> RefusedWith | None:
        """Insert once."""
        if job.master_job_id in self.master_jobs:
            return AlreadyExistsError
        if job.project_id not in self.projects:
            return ParentNotFoundError
        self.master_jobs[job.master_job_id] = job
        return None

    def log_master_job_end(
        self, master_job_id: str, status: str, summary: Data | None, end_time: datetime, update_time: datetime
    ) -> RefusedWith | None:
        """Set status, summary, counts and times."""
        changes = {"status": status, "summary": summary, "end_time": as_utc(end_time), **_counts(summary or {})}
        return self._change(self.master_jobs, master_job_id, changes, update_time)

    def update_master_job_status(self, master_job_id: str, status: str, update_time: datetime) -> RefusedWith | None:
        """Set the status and when it changed."""
        return self._change(self.master_jobs, master_job_id, {"status": status}, update_time)

    def list_master_jobs(self, project_id: str | None, statuses: Sequence[str] | None) -> list[GenerationMasterJob]:
        """Newest first."""
        inside = [job for job in self.master_jobs.values() if project_id in (None, job.project_id)]
        return _newest_first(inside, statuses, lambda job: (job.creation_time, job.master_job_id))

    def delete_master_job(self, master_job_id: str) -> RefusedWith | None:
        """With everything in it."""
        if master_job_id not in self.master_jobs:
            return NotFoundError
        self._delete_master_jobs([master_job_id])
        return None

    # --- execution jobs -------------------------------------------------------------------------------------------

    def log_execution_job_start(self, job: GenerationJob) -> RefusedWith | None:
        """Insert or replace."""
        if job.master_job_id not in self.master_jobs:
            return ParentNotFoundError
        self.execution_jobs[job.job_id] = job
        return None

    def log_execution_job_end(
        self,
        job_id: str,
        status: str,
        counts: dict[str, int],
        end_time: datetime,
        update_time: datetime,
        error_message: str | None,
    ) -> RefusedWith | None:
        """Set status, counts, times and error."""
        changes = {"status": status, "end_time": as_utc(end_time), "error_message": error_message, **_counts(counts)}
        return self._change(self.execution_jobs, job_id, changes, update_time)

    def list_execution_jobs(self, master_job_id: str, statuses: Sequence[str] | None) -> list[GenerationJob]:
        """Newest first."""
        inside = [job for job in self.execution_jobs.values() if job.master_job_id == master_job_id]
        return _newest_first(inside, statuses, lambda job: (job.creation_time, job.job_id))

    # --- records and data -----------------------------------------------------------------------------------------

    def save_record_data(self, record_uid: str, data: Data) -> str:
        """Insert or replace."""
        self.data[record_uid] = data
        return record_uid

    def save_request_config(self, master_job_id: str, config: Data) -> None:
        """Insert or replace."""
        self.configs[master_job_id] = config

    def log_record_metadata(self, record: Record) -> RefusedWith | None:
        """Insert or replace."""
        if record.job_id not in self.execution_jobs or record.master_job_id not in self.master_jobs:
            return ParentNotFoundError
        if record.output_ref is not None and record.output_ref not in self.data:
            return DataNotFoundError
        self.records[record.record_uid] = record
        return None

    def save_records(self, pairs: Sequence[tuple[Record, Data]]) -> RefusedWith | list[str]:
        """Insert or replace, all or none."""
        for record, _ in pairs:
            if record.job_id not in self.execution_jobs or record.master_job_id not in self.master_jobs:
                return ParentNotFoundError
        for record, data in pairs:
            self.data[record.record_uid] = data
            self.records[record.record_uid] = record.model_copy(update={"output_ref": record.record_uid})
        return [record.record_uid for record, _ in pairs]

    def list_records(self, master_job_id: str, statuses: Sequence[str] | None) -> list[Record]:
        """Newest first."""
        inside = [record for record in self.records.values() if record.master_job_id == master_job_id]
        return _newest_first(inside, statuses, lambda record: (record.start_time, record.record_uid))

    def count_records(self, master_job_id: str, statuses: Sequence[str] | None) -> dict[str, int]:
        """Of each status that occurs."""
        return dict(Counter(record.status for record in self.list_records(master_job_id, statuses)))

    # --- within ---------------------------------------------------------------------------------------------------

    def _change(
        self, items: dict[str, Any], id: str, changes: Mapping[str, object], update_time: datetime
    ) -> RefusedWith | None:
        if id not in items:
            return NotFoundError
        items[id] = items[id].model_copy(update={**changes, "last_update_time": as_utc(update_time)})
        return None

    def _delete_master_jobs(self, ids: Iterable[str]) -> None:
        for master_job_id in ids:
            config = self.master_jobs.pop(master_job_id).request_config_ref
            if all(job.request_config_ref != config for job in self.master_jobs.values()):
                self.configs.pop(config, None)
            for job in self.list_execution_jobs(master_job_id, None):
                del self.execution_jobs[job.job_id]
            gone = [self.records.pop(record.record_uid) for record in self.list_records(master_job_id, None)]
            needed = {record.output_ref for record in self.records.values()}
            for record in gone:
                if record.output_ref is not None and record.output_ref not in needed:
                    self.data.pop(record.output_ref, None)


def _counts(given: dict[str, Any]) -> dict[str, int]:
    return {f"{name}_record_count": given.get(name, 0) for name in COUNTED_STATUSES}


def _newest_first(items: list[Item], statuses: Sequence[str] | None, place: Callable[[Item], Any]) -> list[Item]:
    return sorted((item for item in items if not statuses or item.status in statuses), key=place, reverse=True)
