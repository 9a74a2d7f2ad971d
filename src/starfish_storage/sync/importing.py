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


def import_curator(
    path: str,
    *,
    store: Store,
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
        store: where to. An open one, or a path or URI, which is opened for this call.
        path: the directory.
        project_id: the project, which is made if it is not there; ``curator`` by default.
        name: the name of the master jobs, for people; that of the directory by default.
        skip_bad: leave bad responses out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: there are no responses, or one is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_curator(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
        ),
    )


def import_data_designer(
    path: str,
    *,
    store: Store,
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
    return with_store(
        store,
        lambda storage: asynchronous.import_data_designer(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
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


def import_distilabel(
    path: str,
    *,
    store: Store,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import a cached pipeline: each row that a last step of it made becomes a record; see `import_file`.

    Each last step of each execution has a master job of its own, with the pipeline's configuration.

    Raises:
        InvalidInputError: the directory contains no such pipeline, or it cannot be read.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_distilabel(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
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


def import_inspect(
    path: str,
    *,
    store: Store,
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
        store: where to. An open one, or a path or URI, which is opened for this call.
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
    return with_store(
        store,
        lambda storage: asynchronous.import_inspect(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
        ),
    )


def import_llm(
    path: str,
    *,
    store: Store,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import the database in which `llm` logs (``llm logs path``), as it is at this moment.

    It becomes a master job with a ledger. Each turn becomes an input, with the messages up to it, and an attempt, with
    model, tokens, cost and times; the turn, with the whole conversation as ``messages``, becomes a completed record.
    Importing it again adds nothing as long as nothing was logged since; an interrupted import continues. Durable.

    Args:
        store: where to. An open one, or a path or URI, which is opened for this call.
        path: the database; nothing is written to it, and it may be in use.
        project_id: the project, which is made if it is not there; ``llm`` by default.
        name: the name of the master job, for people; that of the file by default.
        skip_bad: leave bad turns out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: it is no database of `llm`, or cannot be read, or has no turns: nothing was stored.
        InvalidIdError: the project's id cannot be used.
        MissingExtraError: the library that knows prices is not installed.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_llm(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
        ),
    )


def import_lm_eval(
    path: str,
    *,
    store: Store,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import samples that lm-evaluation-harness has logged: of one task, or all in a directory.

    The samples of a task become a master job with a ledger, with the results of the task in its configuration. A sample
    becomes an input with one attempt, and, as it is, a completed record. Importing the same samples again adds nothing;
    an interrupted import continues. Durable.

    Args:
        store: where to. An open one, or a path or URI, which is opened for this call.
        path: a file ``samples_<task>_<time>.jsonl``, or the directory.
        project_id: the project, which is made if it is not there; ``lm-eval`` by default.
        name: the name of the master jobs, for people; those of the files by default.
        skip_bad: leave bad samples out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: there are no samples, or they cannot be read, or one is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_lm_eval(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
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


def import_sdg_hub(
    path: str,
    *,
    store: Store,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import the checkpoints of a flow of sdg_hub, or of several: each row becomes a record; see `import_file`.

    Raises:
        InvalidInputError: the directory contains no checkpoints, or they cannot be read.
    """
    return with_store(
        store,
        lambda storage: asynchronous.import_sdg_hub(
            storage, path, project_id=project_id, name=name, skip_bad=skip_bad, progress=progress
        ),
    )


def import_starfish(
    path: str, *, store: Store, skip_damaged: bool = False, progress: OnProgress | None = None
) -> ImportReport:
    """Import a store of Starfish 0.1.x whole: projects, master jobs, execution jobs and records, under their own ids.

    The store is only read. Importing it again brings only what Starfish has added since; an interrupted import
    continues. Durable.

    Args:
        store: where to. An open one, or a path or URI, which is opened for this call.
        path: the directory of the store.
        skip_damaged: take a record whose data is lost or damaged without it, and report it; else that is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: the directory is not a store of Starfish 0.1.x.
        AlreadyExistsError: there is something else of the same id in ``storage``.
        StoreDamagedError: the data of a record is lost or damaged.
    """
    return with_store(
        store, lambda storage: asynchronous.import_starfish(storage, path, skip_damaged=skip_damaged, progress=progress)
    )
