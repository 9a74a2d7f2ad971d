"""The master jobs that imports make."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

from starfish_storage.codec import canonical_hash
from starfish_storage.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from starfish_storage.imports.projects import default_project_id, project_for
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.times import utc_now

Result = TypeVar("Result")


def job_id_of(form: str, identity: str, described: dict[str, Any]) -> str:
    """Return the id of the master job of a source: it follows from the content, and how it is read.

    Args:
        form: what it is.
        identity: the digest of its content.
        described: what is kept of it; its name does not count.
    """
    how = {name: value for name, value in described.items() if name != "name"}
    return f"import-{canonical_hash([form, identity, how])[:24]}"


async def find_job(
    storage: Storage, of_content: str, project_id: str | None, source: str
) -> tuple[str, GenerationMasterJob | None]:
    """Return the id of the master job of a source in a project, and what is there of it.

    The first project into which a source is imported has the id that follows from the content alone. So it is found
    again without a project, under whatever name the source comes. Further projects have ids of their own.

    Args:
        storage: where.
        of_content: the id that follows from the content; see `job_id_of`.
        project_id: the project; None if none was named.
        source: the name of the source.
    """
    own_id = id_in_project(of_content, project_id or default_project_id(source))
    own = await storage.get_master_job(own_id)
    if own is not None:
        return own_id, own
    first = await storage.get_master_job(of_content)
    if first is None or project_id in (None, first.project_id):
        return of_content, first
    return own_id, None


def id_in_project(of_content: str, project_id: str) -> str:
    """Return the id of the master job of a source in a project, if another project has that of the content."""
    return f"import-{canonical_hash([of_content, project_id])[:24]}"


async def start_job(
    storage: Storage,
    master_job_id: str,
    *,
    project_id: str | None,
    source: str,
    name: str | None,
    config: dict[str, Any],
    records: int,
    output_schema: dict[str, Any] | None = None,
) -> GenerationMasterJob:
    """Store a new master job, its configuration first; another process may do the same at the same time.

    Args:
        storage: where.
        master_job_id: its id.
        project_id: the project; by default named like the source.
        source: the name of what is imported.
        name: its name, for people; by default that of the source.
        config: its request configuration.
        records: how many records it will have.
        output_schema: the JSON Schema of its records.
    """
    project = await project_for(storage, project_id, source)
    reference = await storage.save_request_config(storage.generate_request_config_path(master_job_id), config)
    now = utc_now()
    job = GenerationMasterJob(
        master_job_id=master_job_id,
        project_id=project,
        name=name or source,
        status="running",
        request_config_ref=reference,
        output_schema=output_schema or {},
        storage_uri=storage.storage_uri,
        target_record_count=records,
        creation_time=now,
        start_time=now,
        last_update_time=now,
    )
    try:
        await storage.log_master_job_start(job)
    except AlreadyExistsError:  # another process imports the same: its times count
        there = await storage.get_master_job(master_job_id)
        if there is None:
            raise NotFoundError(
                "master job", master_job_id, "it was deleted meanwhile; import the source again"
            ) from None
        return there
    return job


async def kept_of(storage: Storage, job: GenerationMasterJob) -> dict[str, Any]:
    """Return what was noted of an import when it began.

    Raises:
        InvalidInputError: the master job was made by something else.
    """
    kept: object = (await storage.get_request_config(job.request_config_ref)).get("import")
    if not isinstance(kept, dict):
        raise InvalidInputError(
            f"master job {job.master_job_id!r} already exists but was not made by this import: delete it, or choose "
            "another store."
        )
    return cast("dict[str, Any]", kept)


async def in_thread(work: Callable[[], Result]) -> Result:
    """Call what may block in a thread; a caller that is cancelled waits for it, as it reads what is closed then."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved here, since nobody awaits it any more
        raise


async def all_at_once(calls: Iterable[Awaitable[object]]) -> None:
    """Await calls together; if one raises, the others are cancelled, and that is raised."""

    async def settled(call: Awaitable[object]) -> None:
        await call

    try:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(settled(call))
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
