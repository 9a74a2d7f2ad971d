"""Importing what Curator has stored."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.curator import curator_run, response_files
from starfish_storage.imports.into_run import RunImport, run_each
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.source_file import shown

_PROJECT = "curator"


def curator_directories(path: str) -> list[str]:
    """Return the working directories of runs that lie in a directory.

    Raises:
        InvalidInputError: the directory cannot be read.
    """
    try:
        below = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    except OSError as error:
        raise InvalidInputError(f"{shown(path)} cannot be read: {error.strerror}.") from error
    return [one for one in below if os.path.isdir(one) and not os.path.islink(one) and response_files(one)]


async def import_curator(
    storage: Storage,
    path: str,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import the working directory of a run of Curator, or of several that lie in one directory.

    Each run becomes a master job with a ledger. A response becomes an input with one attempt, which has its model,
    tokens, cost and times; the rows that were made of it become completed records, and one that failed a failed record.
    Importing the same source again adds nothing; an interrupted import continues. Durable.

    Args:
        storage: where to.
        path: the directory.
        project_id: the project, which is made if it is not there; ``curator`` by default.
        name: the name of the master jobs, for people; that of the directory by default.
        skip_bad: leave bad responses out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: there are no responses, or one is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
    """
    directories = [path] if response_files(path) else curator_directories(path)
    options: dict[str, Any] = {"skip_bad": skip_bad, "progress": progress, "usual_project": _PROJECT}
    return await run_each(
        last_name(path),
        [partial(curator_run, one) for one in directories or [path]],
        lambda source: RunImport(storage, source, project_id, name, **options),
    )


CURATOR = ToolForm(
    name="curator",
    title="a working directory of Curator",
    recognises=lambda path: os.path.isdir(path) and bool(response_files(path) or curator_directories(path)),
    run=import_curator,
)
