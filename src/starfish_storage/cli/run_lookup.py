"""Finding a run by its id, the beginning of its id, or as the last one."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncGenerator

from starfish_storage.cli.opening import reading
from starfish_storage.cli.place import Place
from starfish_storage.errors import InvalidInputError, NotFoundError, StorageError, shorten
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob

LAST = "last"

_BATCH = 1000
_NAMED = 5  # candidates in a message
_COMPLETED = 50


async def find_run(storage: Storage, given: str, looked_for: str = "run") -> GenerationMasterJob:
    """Return the run of an id, of the unique beginning of one, or the newest for ``last``.

    Args:
        storage: the store.
        given: the id, its beginning, or ``last``.
        looked_for: what is said not to exist, if more was looked for than runs.

    Raises:
        NotFoundError: there is no such run; the message names similar ones.
        InvalidInputError: several ids begin so.
    """
    if given == LAST:
        newest = await storage.get_newest_master_job()
        if newest is not None:
            return newest
        raise NotFoundError("run", given, "the store has no runs yet")
    exact = await storage.get_master_job(given)
    if exact is not None:
        return exact
    runs = [job async for job in _every_run(storage)]
    found = [job for job in runs if given and job.master_job_id.startswith(given)]
    if len(found) > 1:
        raise InvalidInputError(
            f"run {shorten(given)} may be any of {len(found)}: {_listed([job.master_job_id for job in found])}. "
            "Give more of the id."
        )
    if not found:
        raise NotFoundError(looked_for, given, await _remedy(storage, given, runs))
    return found[0]


async def _every_run(storage: Storage) -> AsyncGenerator[GenerationMasterJob]:
    offset = 0
    while True:
        batch = await storage.list_master_jobs(limit=_BATCH, offset=offset)
        for job in batch:
            yield job
        if len(batch) < _BATCH:
            return
        offset += len(batch)


async def _remedy(storage: Storage, given: str, runs: list[GenerationMasterJob]) -> str:
    if await storage.get_project(given) is not None:
        return f"it is a project, whose runs 'starfish-storage runs --project {given}' lists"
    named = [job.master_job_id for job in runs if job.name == given]
    if named:
        return f"it is the name of {_listed(named)}; give the id"
    similar = difflib.get_close_matches(given, [job.master_job_id for job in runs], _NAMED)
    meant = f"did you mean {_listed(similar)}? " if similar else ""
    return f"{meant}'starfish-storage runs' lists all runs"


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(map(shorten, ids[:_NAMED])) + more


def runs_that_begin(place: Place, beginning: str) -> list[GenerationMasterJob]:
    """Return the newest runs whose ids begin so; none where the store cannot be read: a shell shows no error."""

    async def found() -> list[GenerationMasterJob]:
        async with reading(place) as storage:
            newest = await storage.list_master_jobs(limit=_BATCH)
            return [job for job in newest if job.master_job_id.startswith(beginning)][:_COMPLETED]

    try:
        return asyncio.run(found())
    except StorageError:
        return []
