"""Importing one file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.imports.csv_rows import CsvTable
from starfish_storage.imports.into_job import TableImport
from starfish_storage.imports.json_lines import JsonLinesTable
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.imports.rows import Table
from starfish_storage.imports.source_file import SourceFile, shown
from starfish_storage.interface import Storage

FileForm = Literal["jsonl", "csv", "parquet"]

_FORMS: dict[str, FileForm] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSED = (".gz", ".zst")


async def import_file(
    storage: Storage,
    path: str | os.PathLike[str],
    form: FileForm | None = None,
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
    job and of its records follow from the content of the file, so importing it again adds nothing; an import that was
    interrupted or killed goes on where it was. Durable.

    Args:
        storage: where to.
        path: the file; plain, or compressed with gzip or zstd.
        form: ``"jsonl"``, ``"csv"`` or ``"parquet"``; None to go by the ending of its name.
        project_id: the project, which is made if it is not there; the file's name by default.
        name: the name of the master job, for people; the file's name by default.
        skip_bad: leave bad rows out, and report them; else the first one is an error.
        delimiter: of CSV: what stands between cells; by default a tab in ``.tsv`` files, else a comma.
        json_cells: of CSV: cells that hold a JSON object or list become that; else each cell stays text.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: the file cannot be read, or a row is bad: nothing was stored. Or the file was changed
            meanwhile: the master job has become ``failed``.
        InvalidIdError: the project's id cannot be used.
    """
    given = os.fspath(path)
    found = form or form_of(given)
    opened = await asyncio.to_thread(SourceFile, given)
    with opened, _table(opened, found, delimiter, json_cells=json_cells) as table:
        return await TableImport(storage, table, project_id, name, skip_bad=skip_bad, progress=progress).run()


def form_of(path: str) -> FileForm:
    """Return what a file is, by the ending of its name.

    Raises:
        InvalidInputError: it has another one.

    >>> form_of("answers.jsonl.gz"), form_of("DATA.CSV")
    ('jsonl', 'csv')
    """
    name = os.path.basename(path).lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    found = _FORMS.get(os.path.splitext(name)[1])
    if found is None:
        raise InvalidInputError(
            f"what {shown(path)} is cannot be told from its name: say its form (jsonl, csv or parquet), or give "
            f"it one of the endings {', '.join(_FORMS)}."
        )
    return found


@contextmanager
def _table(file: SourceFile, form: FileForm, delimiter: str | None, *, json_cells: bool) -> Generator[Table]:
    if form == "jsonl":
        yield JsonLinesTable(file)
    elif form == "csv":
        yield CsvTable(file, delimiter, json_cells=json_cells)
    elif form == "parquet":
        from starfish_storage.imports.parquet import ParquetTable

        yield ParquetTable([file])
    else:
        raise InvalidInputError(f"a file of the form {shorten(form)} cannot be imported: use jsonl, csv or parquet.")
