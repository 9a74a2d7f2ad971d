"""What a file or directory holds, and importing it."""

from __future__ import annotations

import os
from typing import Any

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.imports.batches import BATCH
from starfish_storage.imports.curator_runs import CURATOR
from starfish_storage.imports.data_designer import DATA_DESIGNER
from starfish_storage.imports.datasets import DATASET, PACKED
from starfish_storage.imports.distilabel import DISTILABEL
from starfish_storage.imports.files import import_file
from starfish_storage.imports.inspect_runs import INSPECT
from starfish_storage.imports.llm_runs import LLM
from starfish_storage.imports.lm_eval import LM_EVAL
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.imports.sdg_hub import SDG_HUB
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.imports.starfish import STARFISH
from starfish_storage.interface import Storage
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.forms import FILE_FORMS, form_of
from starfish_storage.row_files.source_file import shown

TOOL_FORMS: tuple[ToolForm, ...] = (
    CURATOR,
    STARFISH,
    DISTILABEL,
    BATCH,
    DATA_DESIGNER,
    SDG_HUB,
    INSPECT,
    LM_EVAL,
    LLM,
    PACKED,
    DATASET,
)
"""The stores of other tools, in the order in which they are asked; a new one is added here.

Curator comes before Starfish: it keeps a database of the same name beside its runs. A dataset comes last, as a
directory is one that has any file of rows in it.
"""

FORMS: tuple[FileForm | ToolForm, ...] = (*FILE_FORMS, *TOOL_FORMS)
"""All that can be imported."""


def recognise(path: str) -> str:
    """Return the name of the form of a file or directory: what a tool has written by what is in it, else by the name.

    Raises:
        InvalidInputError: no form fits.
    """
    for form in TOOL_FORMS:
        if form.recognises(path):
            return form.name
    if not os.path.isdir(path):
        return form_of(path).name
    known = ", ".join(form.title for form in TOOL_FORMS)
    raise InvalidInputError(f"cannot infer what {shown(path)} is from what is in it: give a file, or {known}.")


async def import_path(
    storage: Storage,
    path: str | os.PathLike[str],
    form: str | None = None,
    *,
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
    given = os.fspath(path)
    found = form or recognise(given)
    common: dict[str, Any] = {"project_id": project_id, "name": name, "skip_bad": skip_bad, "progress": progress}
    if found in [one.name for one in FILE_FORMS]:
        return await import_file(storage, given, found, delimiter=delimiter, json_cells=json_cells, **common)
    chosen = {
        "delimiter": delimiter,
        "json_cells": json_cells,
        "config": config,
        "split": split,
        "inputs": None if inputs is None else os.fspath(inputs),
        "errors": None if errors is None else os.fspath(errors),
    }
    for tool in TOOL_FORMS:
        if tool.name == found:
            own = {option.name: chosen[option.name] for option in tool.options}
            return await tool.run(storage, given, **common, **own)
    known = ", ".join(one.name for one in FORMS)
    raise InvalidInputError(f"form {shorten(found)} cannot be imported: use one of {known}.")
