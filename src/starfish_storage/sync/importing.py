# Made by scripts/make_sync.py from starfish_storage.imports: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.imports`."""

from __future__ import annotations

import os

from starfish_storage import imports as asynchronous
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.sync.stores import Store, with_store


def import_batch(
    path: str,
    *,
    store: Store,
    inputs: str | None = None,
    errors: str | None = None,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import what a batch of OpenAI, of a server that speaks like it, or of Anthropic has answered.

    It becomes a master job with a ledger. Each request becomes an input with one attempt, which has its model, tokens
    and cost; the line with its answer becomes a completed record, and one with an error a failed record. Importing the
    same files again adds nothing; an interrupted import continues. Durable.

    Args:
        store: where to. An open one, or a path or URI, which is opened for this call.
        path: the file with the answers, JSON Lines; or that with the errors, if there are no answers.
        inputs: the file with the requests, JSON Lines: a request is the input then, and one that is not answered has
            failed. Without it, the input is ``{"custom_id": ...}``.
        errors: the file with the errors, where the provider has a file of its own for them.
        project_id: the project, created if needed; the file's name by default.
        name: the name of the master job, for people; the file's name by default.
        skip_bad: leave bad lines out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: a file cannot be read, or a line is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
        MissingExtraError: the library that knows prices is not installed.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_batch(
            storage,
            path,
            inputs=inputs,
            errors=errors,
            project_id=project_id,
            name=name,
            skip_bad=skip_bad,
            progress=progress,
        ),
    )


def import_dataset(
    path: str,
    *,
    store: Store,
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
        store: where to. An open one, or a path or URI, which is opened for this call.
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
    return with_store(
        store,
        lambda storage: asynchronous.import_dataset(
            storage,
            path,
            project_id=project_id,
            name=name,
            skip_bad=skip_bad,
            config=config,
            split=split,
            delimiter=delimiter,
            json_cells=json_cells,
            progress=progress,
        ),
    )


def import_file(
    path: str | os.PathLike[str],
    form: str | None = None,
    *,
    store: Store,
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
        store: where to. An open one, or a path or URI, which is opened for this call.
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
    return with_store(
        store,
        lambda storage: asynchronous.import_file(
            storage,
            path,
            form,
            project_id=project_id,
            name=name,
            skip_bad=skip_bad,
            delimiter=delimiter,
            json_cells=json_cells,
            progress=progress,
        ),
    )


def import_path(
    path: str | os.PathLike[str],
    form: str | None = None,
    *,
    store: Store,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    delimiter: str | None = None,
    json_cells: bool = False,
    config: str | None = None,
    split: str | None = None,
    inputs: str | os.PathLike[str] | None = None,
    errors: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a file or directory, whatever it is: see `import_file` and the others.

    Raises:
        InvalidInputError: no form fits, or it cannot be imported.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_path(
            storage,
            path,
            form,
            project_id=project_id,
            name=name,
            skip_bad=skip_bad,
            delimiter=delimiter,
            json_cells=json_cells,
            config=config,
            split=split,
            inputs=inputs,
            errors=errors,
            progress=progress,
        ),
    )
