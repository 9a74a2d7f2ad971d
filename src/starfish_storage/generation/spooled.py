"""Takes what earlier workers of a run have left in spools into its store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

from starfish_storage.errors import InvalidInputError, NotFoundError, StorageIOError
from starfish_storage.generation import paid
from starfish_storage.generation.spool import RunIdentity, SpoolFile, spools_of
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)


def identity(job: GenerationMasterJob) -> RunIdentity:
    """Return which run a master job is."""
    return RunIdentity(job.master_job_id, job.creation_time.isoformat(), job.storage_uri)


async def take_in(storage: Storage, master_job_id: str, given: str | os.PathLike[str] | None = None) -> int:
    """Store what waits in the spools of a run, and remove them; return how many results were not stored before.

    Args:
        storage: holds the run.
        master_job_id: the run; one that does not exist has no spools.
        given: the spool; None for those that lie where this process would write one.

    Raises:
        InvalidInputError: the spool belongs to another run, is in use, or is damaged; the store is as it was, but for
            the results before the damage.
        StorageError: the store does not take it; the spool stays.
    """
    paths = spools_of(master_job_id) if given is None else [os.fspath(given)]
    job = await storage.get_master_job(master_job_id) if paths else None
    if job is None:
        return 0
    run, taken = identity(job), 0
    for path in paths:
        file = await asyncio.to_thread(_opened, path)
        if file is None:
            if given is not None:
                raise InvalidInputError(f"the spool {path!r} is in use by a process that works on its run: end that.")
            continue
        try:
            if given is None and not file.is_begun():
                continue  # not removed: its worker may be about to lock it
            if _belongs(file, run):
                taken += await _stored(storage, file)
                continue
        finally:
            file.close()
        if given is not None:
            raise InvalidInputError(
                f"the spool {path!r} belongs to another run than {master_job_id!r} of this store. Nothing was taken in."
            )
    return taken


def _opened(path: str) -> SpoolFile | None:
    try:
        return SpoolFile.open(path)
    except OSError as error:
        raise StorageIOError(path, error.errno, f"this spool cannot be read: {error.strerror}") from error


def _belongs(file: SpoolFile, run: RunIdentity) -> bool:
    found = file.run()
    return (found.master_job_id, found.created) == (run.master_job_id, run.created)


async def _stored(storage: Storage, file: SpoolFile) -> int:
    """Store what a spool holds and remove it; return how many results were not stored before."""
    stored = 0
    # A worker of this process may have left a call that the store has not answered: what it shows may be taken back.
    await storage.ledger.refresh_run(file.run().master_job_id, utc_now())
    for what in _paid(file):
        if await what.stored(storage.ledger) is not None:
            continue
        try:
            await what.store(storage.ledger)
        except NotFoundError as error:
            raise InvalidInputError(
                f"the spool {file.path!r} has a result for an input that the store does not have; it was deleted, or "
                "the store is an older copy. Move the spool elsewhere to go on without it."
            ) from error
        stored += 1
    await asyncio.to_thread(file.remove)
    logger.info("%d results were taken in from %s", stored, file.path)
    return stored


def _paid(file: SpoolFile) -> Iterator[paid.Paid[Any]]:
    for entry in file.entries():
        yield paid.read(entry)
