"""A run as a folder of pages, to be opened from a disk or served by any web server."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starfish_storage.errors import NotFoundError, StorageError
from starfish_storage.export.destination import (
    Destination,
    places_of,
    refuse_place_of_store,
    resolved,
    writing_thread,
)
from starfish_storage.extras import need
from starfish_storage.filtering import Condition, Fitting, Sample, conditions_of, sample_of
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.publishing.choosing import Choice, Told
from starfish_storage.publishing.cleaning import Cleaner
from starfish_storage.publishing.report import BundleReport
from starfish_storage.runs import Annotation, RunState
from starfish_storage.runs.annotations import holding

OnWritten = Callable[[int, int, int], None]
"""Takes how many records are written, of how many at most, and how many bytes they take."""


async def bundle(
    storage: Storage,
    master_job_id: str,
    path: str | os.PathLike[str],
    *,
    statuses: Sequence[str] = (),
    where: Sequence[str | Condition] = (),
    sample: Sample | None = None,
    overwrite: bool = False,
    progress: OnWritten | None = None,
) -> BundleReport:
    """Write the records of a run as a folder of pages that opens from a disk, or from any web server.

    It holds the data of the records, with their inputs, attempts and costs, and can be searched. Secrets, and what
    tells about the machines (paths, hosts, users), are left out: see ``docs/how-to/viewer.md``. The folder appears
    once it is complete. Memory does not grow with the number of records.

    Args:
        storage: where the run is, set up; it is not changed.
        master_job_id: the run.
        path: the folder to make.
        statuses: only records in one of these; none: in any.
        where: only records that fit all of these conditions, such as ``"score>=0.5"``: see `filtering.Condition`.
        sample: so many of these records, drawn at random; None: all.
        overwrite: replace a bundle that is there; nothing else is replaced.
        progress: called now and then with how many records are written, how many there are at most, and the bytes
            that those written take.

    Raises:
        NotFoundError: the run does not exist.
        InvalidInputError: an argument makes no sense, or the folder cannot be made there.
        InvalidStatusError: a status is unknown.
        AlreadyExistsError: there is something of that name.
        StorageIOError: writing failed; what was there before still is.
        MissingExtraError: the extra ``viewer`` is not installed.
    """
    for module in ("jinja2", "markdown_it", "starlette"):
        need(module, "viewer", "Pages")
    job = await storage.get_master_job(master_job_id)
    if job is None:
        raise NotFoundError("run", master_job_id, "'starfish-storage runs' lists all runs")
    choice = Choice(storage, master_job_id, tuple(statuses), conditions_of(where), sample_of(sample))
    place = resolved(path)
    refuse_place_of_store(storage, place)
    return await _written(choice, job, place, overwrite=overwrite, progress=progress)


async def _written(
    choice: Choice, job: GenerationMasterJob, place: str, *, overwrite: bool, progress: OnWritten | None
) -> BundleReport:
    from starfish_storage.publishing.writing import BundleWriter, is_bundle

    storage = choice.storage
    counts = await storage.count_records_for_master_job(job.master_job_id)
    cleaner = Cleaner(places_of(storage))
    writer = BundleWriter(job, cleaner.text(str(choice)) or "", counts, cleaner)
    with Destination(place, is_directory=True, overwrite=overwrite, is_own=is_bundle) as destination:
        async with writing_thread(place) as call:
            await call(lambda: writer.begin(Path(destination.partial)))
            async for batch in choice.batches():
                told = await _told(storage, batch)
                await call(lambda told=told: writer.add(told))
                if progress is not None:
                    progress(writer.records, choice.most(counts), writer.bytes)
            about = await _about(storage, job)
            await call(lambda: writer.finish(*about))
            await call(destination.put)
    return writer.report(place)


async def _told(storage: Storage, batch: Sequence[Fitting]) -> list[Told]:
    ids = list(dict.fromkeys(one.record.job_id for one in batch))
    jobs = dict(zip(ids, await asyncio.gather(*map(storage.get_execution_job, ids)), strict=True))
    attempts = dict(zip(ids, await asyncio.gather(*map(storage.ledger.list_attempts, ids)), strict=True))
    said: dict[str, list[Annotation]] = defaultdict(list)
    for one in holding(await storage.annotations.list([one.record.record_uid for one in batch])):
        said[one.record_uid].append(one)
    return [
        Told(one, jobs[one.record.job_id], attempts[one.record.job_id], said[one.record.record_uid]) for one in batch
    ]


async def _about(
    storage: Storage, job: GenerationMasterJob
) -> tuple[RunState | None, dict[str, Any] | None, StorageError | None]:
    """Return how the run stands, and its configuration, or why that cannot be read."""
    state = await storage.ledger.get_run(job.master_job_id)
    try:
        return state, await storage.get_request_config(job.request_config_ref), None
    except StorageError as error:
        return state, None, error
