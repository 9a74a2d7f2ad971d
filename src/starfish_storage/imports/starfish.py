"""Stores that Starfish 0.1.x wrote, whole."""

from __future__ import annotations

import os
import time

from starfish_storage.copying import copy
from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.report import MOST_NAMED, ImportProgress, ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.sqlite.starfish_copy import may_be_starfish
from starfish_storage.opening import open_storage
from starfish_storage.row_files.source_file import shown
from starfish_storage.uri import file_uri_of_path


def is_store(path: str) -> bool:
    """Return whether a directory is a store, of Starfish or of this library."""
    return os.path.isfile(os.path.join(path, DATABASE_FILE))


async def import_starfish(
    storage: Storage, path: str, *, skip_damaged: bool = False, progress: OnProgress | None = None
) -> ImportReport:
    """Import a store of Starfish 0.1.x whole: projects, master jobs, execution jobs and records, under their own ids.

    The store is only read. Importing it again brings only what Starfish has added since; an interrupted import
    continues. Durable.

    Args:
        storage: where to.
        path: the directory of the store.
        skip_damaged: take a record whose data is lost or damaged without it, and report it; else that is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: the directory is not a store of Starfish 0.1.x.
        AlreadyExistsError: there is something else of the same id in ``storage``.
        StoreDamagedError: the data of a record is lost or damaged.
    """
    began = time.monotonic()
    if not may_be_starfish(os.path.join(path, DATABASE_FILE)):
        raise InvalidInputError(
            f"{shown(path)} is not a store of Starfish 0.1.x: give the directory of one. To copy a store of "
            "starfish-storage, run 'starfish-storage copy'."
        )
    name = last_name(path)

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(ImportProgress(name, "importing", done, total))

    async with open_storage(file_uri_of_path(os.path.abspath(path))) as source:  # noqa: ASYNC240 (no I/O)
        jobs = await source.list_master_jobs()
        records = 0
        for job in jobs:
            records += sum((await source.count_records_for_master_job(job.master_job_id)).values())
        projects = await source.list_projects()
        copied = await copy(source, storage, skip_damaged=skip_damaged, progress=tell)
    return ImportReport(
        name,
        "starfish",
        tuple(project.project_id for project in projects),
        tuple(job.master_job_id for job in reversed(jobs)),
        records,
        copied.records,
        copied.lost,
        tuple(f"record {lost.record_uid!a} has lost its data: {lost.reason}" for lost in copied.named[:MOST_NAMED]),
        not (copied.projects or copied.master_jobs or copied.execution_jobs or copied.records),
        time.monotonic() - began,
    )


async def _import_whole(
    storage: Storage,
    path: str,
    *,
    project_id: str | None,
    name: str | None,
    skip_bad: bool,
    progress: OnProgress | None,
) -> ImportReport:
    if project_id is not None or name is not None:
        raise InvalidInputError(
            "a store of Starfish keeps its own projects and names: leave out project_id and name (--project, --name)."
        )
    return await import_starfish(storage, path, skip_damaged=skip_bad, progress=progress)


STARFISH = ToolForm(name="starfish", title="a store of Starfish", recognises=is_store, run=_import_whole)
