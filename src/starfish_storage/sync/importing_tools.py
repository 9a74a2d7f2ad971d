# Made by scripts/make_sync.py from starfish_storage.imports: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.imports`."""

from __future__ import annotations

from starfish_storage import imports as asynchronous
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.sync.stores import Store, with_store


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
