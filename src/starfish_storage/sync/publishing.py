# Made by scripts/make_sync.py from starfish_storage.publishing: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.publishing`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from starfish_storage import publishing as asynchronous
from starfish_storage.filtering import Condition, Sample
from starfish_storage.publishing.bundle import OnWritten
from starfish_storage.publishing.report import BundleReport
from starfish_storage.sync.stores import Store, with_store


def bundle(
    master_job_id: str,
    path: str | os.PathLike[str],
    *,
    store: Store,
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
        store: where the run is; it is not changed. An open one, or a path or URI, which is opened for this call.
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
    return with_store(
        store,
        lambda storage: asynchronous.bundle(
            storage,
            master_job_id,
            path,
            statuses=statuses,
            where=where,
            sample=sample,
            overwrite=overwrite,
            progress=progress,
        ),
    )
