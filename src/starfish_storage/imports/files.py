"""Importing one file."""

from __future__ import annotations

import asyncio
import os

from starfish_storage.imports.into_job import TableImport
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.interface import Storage
from starfish_storage.row_files.forms import form_named, form_of
from starfish_storage.row_files.source_file import SourceFile


async def import_file(
    storage: Storage,
    path: str | os.PathLike[str],
    form: str | None = None,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    delimiter: str | None = None,
    json_cells: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a file into a master job of its own: each row becomes a completed record.

    It is read twice, and never held in memory: first all rows are checked, then they are stored. The ids of the master
    job and of its records follow from the content of the file, so importing it again adds nothing, and an import that
    was interrupted or killed continues. Durable.

    Args:
        storage: where to.
        path: the file; plain, or compressed with gzip, zstd, bzip2 or xz.
        form: ``"jsonl"``, ``"json"``, ``"csv"`` or ``"parquet"``; None to go by the ending of its name.
        project_id: the project, created if needed; the file's name by default.
        name: the name of the master job, for people; the file's name by default.
        skip_bad: leave bad rows out and report them; otherwise the first one is an error.
        delimiter: of CSV: the character between cells; None to recognise comma, semicolon, tab and vertical bar.
        json_cells: of CSV: cells that hold a JSON object or list become that; else each cell stays text.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: the file cannot be read, or a row is bad: nothing was stored. Or the file changed
            meanwhile: the master job has become ``failed``.
        InvalidIdError: the project's id cannot be used.
    """
    given = os.fspath(path)
    found = form_named(form) if form else form_of(given)
    chosen = {"delimiter": delimiter, "json_cells": json_cells}
    opened = await asyncio.to_thread(SourceFile, given)
    with opened:
        await asyncio.to_thread(lambda: opened.sha256)  # reads it to its end
        table = found.table(opened, **{option.name: chosen[option.name] for option in found.options})
        return await TableImport(storage, table, project_id, name, skip_bad=skip_bad, progress=progress).run()
