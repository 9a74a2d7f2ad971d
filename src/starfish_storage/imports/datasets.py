"""Importing datasets: directories and packed files, each split of which becomes a run."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from typing import Any

from starfish_storage.form_option import FormOption
from starfish_storage.imports.into_job import TableImport, run_all
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.csv_rows import CSV
from starfish_storage.row_files.dataset_files import Split, is_dataset, splits_of
from starfish_storage.row_files.folders import Directory
from starfish_storage.row_files.many_files import folder_at, table_of
from starfish_storage.row_files.packed import is_packed

_OPTIONS = (
    FormOption("config", "Of a dataset with several configurations: which one.", "NAME"),
    FormOption("split", "Of a dataset with splits: only this one.", "NAME"),
    *CSV.options,
)


async def import_dataset(
    storage: Storage,
    path: str,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    config: str | None = None,
    split: str | None = None,
    delimiter: str | None = None,
    json_cells: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a dataset: a directory, or a zip or tar file of it; see `import_file`.

    It is what `datasets.save_to_disk` wrote, what the hub of Hugging Face has, or any files of rows. Each split becomes
    a master job of its own, which keeps the name of the split; the rows stay as they are. All splits are checked before
    the first one is stored.

    Args:
        storage: where to.
        path: the directory or file.
        project_id: the project, created if needed; the name of the directory or file by default.
        name: the name of the master jobs, for people, to which that of the split is added.
        skip_bad: leave bad rows out and report them; otherwise the first one is an error.
        config: the configuration, if the dataset has several.
        split: only this split; None for all.
        delimiter: of CSV; see `import_file`.
        json_cells: of CSV; see `import_file`.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: there is no dataset, it cannot be read, or a row is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
    """
    options: dict[str, Any] = {"delimiter": delimiter, "json_cells": json_cells}
    with ExitStack() as stack:
        folder = await asyncio.to_thread(folder_at, path, stack)
        splits = await asyncio.to_thread(splits_of, folder, config, split)
        imports: list[TableImport] = []
        for one in splits:
            table = await asyncio.to_thread(table_of, folder, one, stack, options)
            title = ": ".join([name or folder.name, *_labels(one, splits)])
            imports.append(TableImport(storage, table, project_id, title, skip_bad=skip_bad, progress=progress))
        return await run_all(last_name(path), imports)


def _labels(split: Split, splits: list[Split]) -> list[str]:
    """Return what tells a split from the others, for people."""
    about = split.about()
    return [about[key] for key in ("config", "split") if key in about] if len(splits) > 1 or split.config else []


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and is_dataset(Directory(path))


DATASET = ToolForm(
    name="dataset",
    title="a directory of a dataset",
    recognises=_is_directory,
    run=import_dataset,
    options=_OPTIONS,
)

PACKED = ToolForm(
    name="packed",
    title="a zip or tar file of a dataset",
    recognises=lambda path: not os.path.isdir(path) and is_packed(path),
    run=import_dataset,
    options=_OPTIONS,
)
