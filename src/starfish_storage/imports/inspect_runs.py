"""Importing what Inspect has logged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.directories import names_in
from starfish_storage.imports.inspect_logs import InspectLog, is_inspect_log
from starfish_storage.imports.into_run import RunImport, run_each
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.source_file import SourceFile, shown

_PROJECT = "inspect"


def logs(path: str) -> list[str]:
    """Return the logs in a directory; a file is one itself.

    Raises:
        InvalidInputError: the directory cannot be read.
    """
    if not os.path.isdir(path):
        return [path]
    return [one for name in names_in(path) if is_inspect_log(one := os.path.join(path, name))]


async def import_inspect(
    storage: Storage,
    path: str,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a log of Inspect (``.eval`` or ``.json``), or all in a directory.

    Each log becomes a master job with a ledger. A sample becomes an input with one attempt, which has its models,
    tokens, cost and times. The sample, with messages, output and scores, becomes a completed record; one that ended
    with an error a failed record. Importing the same log again adds nothing; an interrupted import continues. Durable.

    Args:
        storage: where to.
        path: the log or the directory.
        project_id: the project, which is made if it is not there; ``inspect`` by default.
        name: the name of the master jobs, for people; those of the files by default.
        skip_bad: leave bad samples out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: there is no log, or it cannot be read, or a sample is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
        MissingExtraError: the library that knows prices, or one that unpacks the log, is not installed.
    """
    found = await asyncio.to_thread(logs, path)
    if not found:
        raise InvalidInputError(f"{shown(path)} contains no log of Inspect: give a log, or the directory of some.")
    options: dict[str, Any] = {"skip_bad": skip_bad, "progress": progress, "usual_project": _PROJECT}
    return await run_each(
        last_name(path),
        [partial(_opened, log) for log in found],
        lambda source: RunImport(storage, source, project_id, name, **options),
    )


@contextmanager
def _opened(path: str) -> Generator[InspectLog]:
    with SourceFile(path) as file:
        yield InspectLog(file)


INSPECT = ToolForm(
    name="inspect",
    title="a log of Inspect, or a directory of some",
    recognises=lambda path: any(is_inspect_log(log) for log in logs(path)),
    run=import_inspect,
)
