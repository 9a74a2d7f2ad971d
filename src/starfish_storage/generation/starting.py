"""Stores a new run, and finds one that is stored."""

from __future__ import annotations

import hashlib
from typing import Any

from starfish_storage.errors import (
    AlreadyExistsError,
    DataNotFoundError,
    InvalidIdError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from starfish_storage.identifiers import check_id
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob, Project
from starfish_storage.runs import RunState
from starfish_storage.times import utc_now


async def create(
    storage: Storage,
    id: str,
    project: str | Project,
    name: str | None,
    about: dict[str, Any],
    output_schema: dict[str, Any],
    target: int,
) -> RunState:
    """Store a new run, its configuration first. Another process may do the same at the same time."""
    project_id = await project_id_of(storage, project)
    config_ref = await storage.save_request_config(storage.generate_request_config_path(id), about)
    now = utc_now()
    job = GenerationMasterJob(
        master_job_id=id,
        project_id=project_id,
        name=name,
        status="pending",
        request_config_ref=config_ref,
        output_schema=output_schema,
        storage_uri=storage.storage_uri,
        target_record_count=target,
        creation_time=now,
        start_time=now,
        last_update_time=now,
    )
    try:
        await storage.log_master_job_start(job)
    except AlreadyExistsError:
        pass
    await storage.ledger.start_run(id)
    state = await storage.ledger.get_run(id)
    if state is None:
        raise NotFoundError("run", id, "it was deleted meanwhile")
    return state


async def project_id_of(storage: Storage, project: str | Project) -> str:
    """Return the id of a project, and make the project if it does not exist; a name that cannot be an id gets one.

    That id follows from the name, so processes that start a run at the same time make one project.
    """
    if isinstance(project, Project):
        if await storage.get_project(project.project_id) is None:
            await storage.save_project(project)
        return project.project_id
    try:
        found = await storage.get_project(check_id("project", project))
        made = Project(project_id=project, name=project)
    except InvalidIdError:
        if not str(project).strip():
            raise
        found = next((one for one in await storage.list_projects() if one.name == project), None)
        made = Project(project_id=hashlib.sha256(str(project).encode()).hexdigest()[:32], name=project)
    if found is None:
        await storage.save_project(made)
        return made.project_id
    return found.project_id


async def stored_run(storage: Storage, id: str) -> tuple[RunState, GenerationMasterJob, dict[str, Any]]:
    """Return where a run stands, its master job, and its request configuration.

    Raises:
        NotFoundError: the run does not exist.
        InvalidInputError: `generate` did not start the master job.
    """
    job = await storage.get_master_job(id)
    if job is None:
        raise NotFoundError("run", id, "list_master_jobs lists the runs of a store")
    state = await state_of(storage, job)
    try:
        return state, job, await storage.get_request_config(job.request_config_ref)
    except DataNotFoundError as error:
        if job.status != "pending":
            raise
        raise InvalidInputError(
            f"run {id!r} was not made to its end, as a fork or a copy that was killed: repeat what made it (for a "
            'fork, generate with on_change="fork" and the id of the run that it is of).'
        ) from error


async def state_of(storage: Storage, job: GenerationMasterJob) -> RunState:
    """Return where the run of a master job stands.

    Raises:
        InvalidInputError: `generate` did not start it.
    """
    run_id = job.master_job_id
    state = await storage.ledger.get_run(run_id)
    if state is not None:
        return state
    config = await _config_of(storage, job)
    if _is_begun_run(config):
        await storage.ledger.start_run(run_id)
        state = await storage.ledger.get_run(run_id)
    if state is None:
        if "import" in config:
            raise InvalidInputError(
                f"run {run_id!r} was imported row by row: there is no function to run, and no inputs to run it on. Use "
                "another id to start a run."
            )
        if {"func", "generator"} <= config.keys():
            raise InvalidInputError(
                f"run {run_id!r} was started by Starfish: continue it with "
                f"resume_from_checkpoint({run_id!r}), after starfish_storage.integrations.starfish.install(STORE)."
            )
        raise InvalidInputError(
            f"master job {run_id!r} was not started by generate(), so it has no inputs to resume, retry or cancel; use "
            "another id to start a run."
        )
    return state


async def _config_of(storage: Storage, job: GenerationMasterJob) -> dict[str, Any]:
    """Return the request configuration of a master job, empty if it cannot be read."""
    try:
        return await storage.get_request_config(job.request_config_ref)
    except StorageError:
        return {}


def _is_begun_run(config: dict[str, Any]) -> bool:
    """Return whether a process was killed after it stored a run's master job and before it started the run."""
    return "function" in config and isinstance(config.get("options"), dict)
