"""Importing one file."""

from __future__ import annotations

import asyncio
import os

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.imports.csv_rows import CSV
from starfish_storage.imports.into_job import TableImport
from starfish_storage.imports.json_lines import JSON_LINES
from starfish_storage.imports.parquet import PARQUET
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.imports.source_file import SourceFile, shown
from starfish_storage.imports.source_forms import FileForm
from starfish_storage.interface import Storage

FILE_FORMS: tuple[FileForm, ...] = (JSON_LINES, CSV, PARQUET)
"""The forms of files; a new one is added here."""

_COMPRESSED = (".gz", ".zst")


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
        path: the file; plain, or compressed with gzip or zstd.
        form: ``"jsonl"``, ``"csv"`` or ``"parquet"``; None to go by the ending of its name.
        project_id: the project, created if needed; the file's name by default.
        name: the name of the master job, for people; the file's name by default.
        skip_bad: leave bad rows out and report them; otherwise the first one is an error.
        delimiter: of CSV: the character between cells; by default a tab in ``.tsv`` files, else a comma.
        json_cells: of CSV: cells that hold a JSON object or list become that; else each cell stays text.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: the file cannot be read, or a row is bad: nothing was stored. Or the file changed
            meanwhile: the master job has become ``failed``.
        InvalidIdError: the project's id cannot be used.
    """
    given = os.fspath(path)
    found = _named(form) if form else form_of(given)
    chosen = {"delimiter": delimiter, "json_cells": json_cells}
    opened = await asyncio.to_thread(SourceFile, given)
    with opened:
        table = found.table(opened, **{option.name: chosen[option.name] for option in found.options})
        return await TableImport(storage, table, project_id, name, skip_bad=skip_bad, progress=progress).run()


def form_of(path: str) -> FileForm:
    """Return what a file is, by the ending of its name.

    Raises:
        InvalidInputError: no form has that ending.

    >>> form_of("answers.jsonl.gz").name, form_of("DATA.CSV").name
    ('jsonl', 'csv')
    """
    name = os.path.basename(path).lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    for form in FILE_FORMS:
        if os.path.splitext(name)[1] in form.endings:
            return form
    endings = ", ".join(ending for form in FILE_FORMS for ending in form.endings)
    raise InvalidInputError(
        f"cannot infer the form of {shown(path)} from its name: end it in {endings}, or pass form= (--from), "
        f"one of {_names()}."
    )


def _named(name: str) -> FileForm:
    for form in FILE_FORMS:
        if form.name == name:
            return form
    raise InvalidInputError(f"a file of the form {shorten(name)} cannot be imported: use one of {_names()}.")


def _names() -> str:
    return ", ".join(form.name for form in FILE_FORMS)
