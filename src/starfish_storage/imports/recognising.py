"""What a file or directory holds, and importing it."""

from __future__ import annotations

import os
from typing import get_args

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.imports.curator import response_files
from starfish_storage.imports.curator_runs import curator_directories, import_curator
from starfish_storage.imports.distilabel import executions, import_distilabel
from starfish_storage.imports.files import form_of, import_file
from starfish_storage.imports.report import Form, ImportReport, OnProgress
from starfish_storage.imports.source_file import shown
from starfish_storage.imports.starfish import import_starfish, is_store
from starfish_storage.interface import Storage

FORMS: tuple[Form, ...] = get_args(Form)


def recognise(path: str) -> Form:
    """Return what a file or directory is: a file by its ending, a directory by what is in it.

    Raises:
        InvalidInputError: that cannot be told.
    """
    if not os.path.isdir(path):
        return form_of(path)
    if response_files(path) or curator_directories(path):
        return "curator"
    if is_store(path):  # not before: Curator keeps a database of that name beside its runs
        return "starfish"
    if executions(path):
        return "distilabel"
    raise InvalidInputError(
        f"what {shown(path)} is cannot be told from what is in it: give a store of Starfish, a working directory of "
        "Curator, a pipeline that distilabel has cached, or a file."
    )


async def import_path(
    storage: Storage,
    path: str | os.PathLike[str],
    form: Form | None = None,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    delimiter: str | None = None,
    json_cells: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a file or directory, whatever it is: see `import_file` and the others.

    Raises:
        InvalidInputError: what it is cannot be told, or it cannot be imported.
    """
    given = os.fspath(path)
    found = form or recognise(given)
    if found == "starfish":
        if project_id is not None or name is not None:
            raise InvalidInputError("a store of Starfish keeps its own projects and names: leave those out.")
        return await import_starfish(storage, given, skip_damaged=skip_bad, progress=progress)
    if found == "curator":
        return await import_curator(
            storage, given, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
        )
    if found == "distilabel":
        return await import_distilabel(
            storage, given, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
        )
    if found in ("jsonl", "csv", "parquet"):
        return await import_file(
            storage,
            given,
            found,
            project_id=project_id,
            name=name,
            skip_bad=skip_bad,
            delimiter=delimiter,
            json_cells=json_cells,
            progress=progress,
        )
    raise InvalidInputError(f"form {shorten(found)} cannot be imported: use one of {', '.join(FORMS)}.")
