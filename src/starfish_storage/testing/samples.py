"""Models with every field given, for tests: the same ones every time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from starfish_storage.interface import Storage
from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record

PROJECT = "project-1"
MASTER_JOB = "master-1"
JOB = "job-1"
RECORD = "record-1"


def at(seconds: float) -> datetime:
    """Return a moment so many seconds after noon of the last day of January 2026, UTC.

    >>> at(1.5).isoformat()
    '2026-01-31T12:00:01.500000+00:00'
    """
    return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def a_project(project_id: str = PROJECT, **fields: Any) -> Project:
    """Return a project; ``fields`` replace those of the sample."""
    return Project.model_validate(
        {
            "project_id": project_id,
            "name": "Grade-school problems",
            "description": "Four models' answers, naïve and otherwise",
            "created_when": at(0),
            "updated_when": at(1),
            **fields,
        }
    )


def a_master_job(storage: Storage, master_job_id: str = MASTER_JOB, **fields: Any) -> GenerationMasterJob:
    """Return a master job of `PROJECT`; ``fields`` replace those of the sample."""
    return GenerationMasterJob.model_validate(
        {
            "master_job_id": master_job_id,
            "project_id": PROJECT,
            "name": "one model",
            "status": "running",
            "request_config_ref": storage.generate_request_config_path(master_job_id),
            "output_schema": {"type": "object", "properties": {"answer": {"type": "number"}}},
            "storage_uri": "file:///where/it/was/started",
            "metadata_storage_uri_override": "file:///metadata/elsewhere",
            "data_storage_uri_override": "file:///data/elsewhere",
            "target_record_count": 100,
            "completed_record_count": 1,
            "filtered_record_count": 2,
            "duplicate_record_count": 3,
            "failed_record_count": 4,
            "creation_time": at(10),
            "start_time": at(11),
            "end_time": at(12),
            "last_update_time": at(13.000001),
            "summary": {"cost": 0.25},
            **fields,
        }
    )


def an_execution_job(job_id: str = JOB, master_job_id: str = MASTER_JOB, **fields: Any) -> GenerationJob:
    """Return an execution job; ``fields`` replace those of the sample."""
    return GenerationJob.model_validate(
        {
            "job_id": job_id,
            "master_job_id": master_job_id,
            "status": "running",
            "run_config": {"question": "How many?", "temperature": 0.5},
            "attempted_generations": 1,
            "produced_outputs_count": 2,
            "completed_record_count": 3,
            "filtered_record_count": 4,
            "duplicate_record_count": 5,
            "failed_record_count": 6,
            "creation_time": at(20),
            "start_time": at(21),
            "end_time": at(22.5),
            "last_update_time": at(23),
            "worker_id": "worker-7",
            "error_message": "none to speak of",
            **fields,
        }
    )


def a_record(record_uid: str = RECORD, job_id: str = JOB, master_job_id: str = MASTER_JOB, **fields: Any) -> Record:
    """Return a record without data; ``fields`` replace those of the sample."""
    return Record.model_validate(
        {
            "record_uid": record_uid,
            "job_id": job_id,
            "master_job_id": master_job_id,
            "status": "completed",
            "start_time": at(30),
            "end_time": at(31),
            "last_update_time": at(32),
            "error_message": "none",
            **fields,
        }
    )


async def save_run(
    storage: Storage, master_job_id: str = MASTER_JOB, job_id: str = JOB, project_id: str = PROJECT
) -> None:
    """Save a project, a master job in it, and an execution job of that."""
    await storage.save_project(a_project(project_id))
    await storage.log_master_job_start(a_master_job(storage, master_job_id, project_id=project_id))
    await storage.log_execution_job_start(an_execution_job(job_id, master_job_id))


def as_foreign_model(model: BaseModel, **fields: Any) -> Any:
    """Return an object with a model's attributes that is not a model of this library, as another library would pass."""
    return SimpleNamespace(**{**model.model_dump(), **fields})
