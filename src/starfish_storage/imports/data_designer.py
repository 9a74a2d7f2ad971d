"""Datasets that NVIDIA's DataDesigner has made, as its artifacts have them."""

from __future__ import annotations

import os
from contextlib import ExitStack

from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.directories import found_in, names_in, noted_in
from starfish_storage.imports.into_job import TableImport, run_all
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.parquet import ParquetTable
from starfish_storage.row_files.source_file import SourceFile, shown

_ROWS, _CONFIG, _METADATA = "parquet-files", "builder_config.json", "metadata.json"
_FORM = "data-designer"


def datasets(path: str) -> list[str]:
    """Return the directories of datasets: the one that is given, or those in it, such as in ``artifacts``.

    Raises:
        InvalidInputError: a directory cannot be read.
    """
    return list(found_in(path, 2, lambda one: bool(os.path.isfile(os.path.join(one, _CONFIG)) and _files(one))))


async def import_data_designer(
    storage: Storage,
    path: str,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a dataset of DataDesigner, or several: each row becomes a record; see `import_file`.

    Each dataset has a master job of its own, with its columns, models and what DataDesigner noted of it.

    Raises:
        InvalidInputError: the directory contains no such dataset, or it cannot be read.
    """
    found = datasets(path)
    if not found:
        raise InvalidInputError(
            f"{shown(path)} contains no dataset of DataDesigner, with {_CONFIG} and {_ROWS}: give the directory of one."
        )
    with ExitStack() as stack:
        imports: list[TableImport] = []
        for directory in found:
            config, metadata = (noted_in(os.path.join(directory, one)) for one in (_CONFIG, _METADATA))
            files = [stack.enter_context(SourceFile(file)) for file in _files(directory)]
            table = ParquetTable(files, last_name(directory), _FORM)
            about = {"data_designer": {"config": config, "metadata": metadata}}
            imports.append(
                TableImport(storage, table, project_id, name, skip_bad=skip_bad, progress=progress, about=about)
            )
        return await run_all(last_name(path), imports)


DATA_DESIGNER = ToolForm(
    name=_FORM,
    title="a dataset of DataDesigner",
    recognises=lambda path: bool(datasets(path)),
    run=import_data_designer,
)


def _files(path: str) -> list[str]:
    rows = os.path.join(path, _ROWS)
    return [os.path.join(rows, name) for name in names_in(rows) if name.endswith(".parquet")]
