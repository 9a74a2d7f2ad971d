"""Checkpoints of flows of Red Hat's sdg_hub: the rows that a flow has made so far."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.directories import found_in, names_in, noted_in
from starfish_storage.imports.into_job import TableImport, run_all
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.json_lines import JsonLinesTable
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile, shown

_CHECKPOINT = re.compile(r"checkpoint_(\d+)\.jsonl")
_METADATA = "flow_metadata.json"
_FORM = "sdg-hub"


class _Checkpoints:
    """The rows of several files of JSON Lines, one after the other."""

    form = _FORM

    def __init__(self, name: str, files: Sequence[SourceFile]) -> None:
        self.name = name
        self._files = files

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        return hashlib.sha256("".join(file.sha256 for file in self._files).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        return {"name": self.name, "files": [file.describe() for file in self._files]}

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        return []

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        for file in self._files:
            yield from JsonLinesTable(file).rows()

    def has_changed(self) -> bool:
        """See `Table.has_changed`."""
        return any(file.has_changed() for file in self._files)


def checkpoints(path: str) -> list[str]:
    """Return the directories with checkpoints of a flow: the one that is given, or those in it.

    Raises:
        InvalidInputError: a directory cannot be read.
    """
    return list(found_in(path, 2, lambda one: bool(os.path.isfile(os.path.join(one, _METADATA)) and _files(one))))


async def import_sdg_hub(
    storage: Storage,
    path: str,
    *,
    project_id: str | None = None,
    name: str | None = None,
    skip_bad: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import the checkpoints of a flow of sdg_hub, or of several: each row becomes a record; see `import_file`.

    Raises:
        InvalidInputError: the directory contains no checkpoints, or they cannot be read.
    """
    found = checkpoints(path)
    if not found:
        raise InvalidInputError(
            f"{shown(path)} contains no checkpoints of sdg_hub, with {_METADATA} and checkpoint_<number>.jsonl: give "
            "the directory that the flow got as checkpoint_dir."
        )
    with ExitStack() as stack:
        imports: list[TableImport] = []
        for directory in found:
            files = [stack.enter_context(SourceFile(os.path.join(directory, one))) for one in _files(directory)]
            table = _Checkpoints(last_name(directory), files)
            about = {"sdg_hub": noted_in(os.path.join(directory, _METADATA))}
            imports.append(
                TableImport(storage, table, project_id, name, skip_bad=skip_bad, progress=progress, about=about)
            )
        return await run_all(last_name(path), imports)


SDG_HUB = ToolForm(
    name=_FORM,
    title="checkpoints of a flow of sdg_hub",
    recognises=lambda path: bool(checkpoints(path)),
    run=import_sdg_hub,
)


def _files(path: str) -> list[str]:
    found = [match for match in map(_CHECKPOINT.fullmatch, names_in(path)) if match is not None]
    return [match[0] for match in sorted(found, key=lambda match: int(match[1]))]
