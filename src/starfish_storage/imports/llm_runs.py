"""Importing what `llm` has logged."""

from __future__ import annotations

import asyncio
from typing import Any

from starfish_storage.imports.into_run import RunImport
from starfish_storage.imports.llm_logs import LLMLogs
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.metadata.sqlite.foreign import ForeignDatabase, may_be_foreign

_PROJECT = "llm"
_ENDINGS = (".db", ".sqlite", ".sqlite3")


async def import_llm(
    storage: Storage,
    path: str,
    *,
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
        storage: where to.
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
    database = await asyncio.to_thread(ForeignDatabase, path)
    with database:
        source = await asyncio.to_thread(LLMLogs, database, last_name(path))
        options: dict[str, Any] = {"skip_bad": skip_bad, "progress": progress, "usual_project": _PROJECT}
        return await RunImport(storage, source, project_id, name, **options).run()


LLM = ToolForm(
    name="llm",
    title="the database in which llm logs",
    recognises=lambda path: path.lower().endswith(_ENDINGS) and may_be_foreign(path),
    run=import_llm,
)
