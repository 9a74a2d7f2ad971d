# Made by scripts/make_sync.py from starfish_storage.copying: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.copying`."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager

from starfish_storage import copying as asynchronous
from starfish_storage import portal
from starfish_storage.copying.archive import ArchiveReport
from starfish_storage.copying.archive_file import Manifest
from starfish_storage.copying.engine import Progress
from starfish_storage.copying.report import CopyReport
from starfish_storage.sync.storage import Storage
from starfish_storage.sync.stores import Store, with_store, with_stores


def archive(
    master_job_id: str,
    path: str | os.PathLike[str],
    *,
    store: Store,
    overwrite: bool = False,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Write a master job, whole, with its project, into one zip file, which `unarchive` opens elsewhere.

    It holds a store as ``docs/format.md`` describes it. The file appears when it is complete and on the disk.
    Beside it, room for all of the data is needed meanwhile.

    Args:
        store: where the master job is. An open one, or a path or URI, which is opened for this call.
        master_job_id: which one.
        path: the file; its directory must be there.
        overwrite: replace a file that is there already.
        skip_damaged: leave out data that is lost or damaged, as `copy` does; else that ends it.
        progress: called with how many records were copied, and how many there are.

    Raises:
        NotFoundError: the master job does not exist.
        AlreadyExistsError: there is a file already.
        StoreDamagedError: the data of a record is lost or damaged.
        StorageIOError: the system failed a read or a write. In each case, what was there before still is.
    """
    return with_store(
        store,
        lambda storage: asynchronous.archive(
            storage, master_job_id, path, overwrite=overwrite, skip_damaged=skip_damaged, progress=progress
        ),
    )


def copy(
    source: Store,
    target: Store,
    *,
    project_ids: Collection[str] = (),
    master_job_ids: Collection[str] = (),
    skip_damaged: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy projects and master jobs with everything that belongs to them; all of them, if none are named.

    An interrupted copy continues when it is repeated; a complete one that is repeated brings only what has changed in
    the source since. The source is only read. A master job, execution job or record is refused if the target has
    another one with this id, or a newer state of it, and the target keeps its own; a project with this id stays as the
    target has it, unless it is an earlier state of the same project.

    A run that is being worked on can be copied: the inputs that its workers hold arrive as pending, and `resume` of the
    copy does not pay again for steps that were stored. Records arrive under their own keys, also those that refer to
    the data of another.

    Args:
        source: where from. An open one, or a path or URI, which is opened for this call.
        target: where to. An open one, or a path or URI, which is opened for this call.
        project_ids: projects, with all of their master jobs.
        master_job_ids: master jobs, with their projects.
        skip_damaged: copy a record whose data is lost or damaged without its data, and say so in the record and in
            the report; otherwise it ends the copy.
        dry_run: read and compare, and write nothing.
        progress: called with how many records were compared, and how many there are.

    Raises:
        NotFoundError: a project or master job is not in the source.
        AlreadyExistsError: the target has something else, or something newer, of the same id.
        StoreDamagedError: the data of a record is lost or damaged.
        InvalidInputError: source and target are the same store, or the target lies in the source.
    """
    return with_stores(
        source,
        target,
        lambda source, target: asynchronous.copy(
            source,
            target,
            project_ids=project_ids,
            master_job_ids=master_job_ids,
            skip_damaged=skip_damaged,
            dry_run=dry_run,
            progress=progress,
        ),
    )


def extract(
    path: str | os.PathLike[str], directory: str | os.PathLike[str], *, most_bytes: int | None = None
) -> Manifest:
    """Make a store of its own of what an archive holds.

    Args:
        path: the file.
        directory: where to; it must be missing or empty.
        most_bytes: see `unarchive`.

    Raises:
        StoreOpenError: there is something in the directory; or as `unarchive`.
        StoreDamagedError: as `unarchive`.
    """
    return portal.call(asynchronous.extract(path, directory, most_bytes=most_bytes))


@contextmanager
def open_archive(path: str | os.PathLike[str], *, most_bytes: int | None = None) -> Generator[Storage]:
    """Open what an archive holds as a store that is only read.

    It is taken out into the directory for temporary files, beside nothing of the user's, and removed afterwards. What
    `unarchive` refuses is refused here too.

    Args:
        path: the file. It is not changed.
        most_bytes: see `unarchive`.

    Raises:
        StoreOpenError: as `unarchive`.
        StoreDamagedError: as `unarchive`.
    """
    with portal.entered(asynchronous.open_archive(path, most_bytes=most_bytes)) as found:
        yield Storage(found)


def unarchive(
    path: str | os.PathLike[str], target: Store, *, most_bytes: int | None = None, progress: Progress | None = None
) -> CopyReport:
    """Copy what an archive holds into a store.

    The archive may come from anywhere: names that escape, links, what is there twice or encrypted, what is not of a
    store, and what would fill the disk is refused before anything is written; what is not what it says, on the way.
    Then nothing of it is left behind.

    Args:
        path: the file.
        target: where to. An open one, or a path or URI, which is opened for this call.
        most_bytes: how much may come out of it; without it, a hundred times its size, and 64 MB.
        progress: called with how many records were copied, and how many there are.

    Raises:
        StoreOpenError: there is no archive, or it is of a newer release.
        StoreDamagedError: it is damaged, or made to do harm.
        AlreadyExistsError: the target has something else, or something newer, of the same id.
    """
    return with_store(
        target, lambda target: asynchronous.unarchive(path, target, most_bytes=most_bytes, progress=progress)
    )
