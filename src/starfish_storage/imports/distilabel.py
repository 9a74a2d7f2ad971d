"""Cached pipelines of distilabel: the rows that their last steps made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.extras import need
from starfish_storage.imports.directories import found_in, names_in
from starfish_storage.imports.fields import object_in
from starfish_storage.imports.into_job import TableImport, run_all
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.parquet import ParquetTable
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile, shown

_PIPELINE = "pipeline.yaml"
_OUTPUTS = os.path.join("data", "steps_outputs")
_LONGEST_YAML = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a pipeline.

    Attributes:
        path: its directory, ``executions/<hash>`` below that of the pipeline.
        steps: the names of the steps whose rows it keeps: the last ones.
    """

    path: str
    steps: tuple[str, ...]


def executions(path: str) -> list[Execution]:
    """Return the executions in a directory: of an execution itself, of a signature, of a pipeline, or of several.

    Raises:
        InvalidInputError: the directory cannot be read.
    """
    found: list[Execution] = []
    for directory in found_in(path, 5, lambda one: os.path.lexists(os.path.join(one, _PIPELINE))):
        outputs = os.path.join(directory, _OUTPUTS)
        steps = tuple(name for name in names_in(outputs) if _files(os.path.join(outputs, name)))
        if steps:
            found.append(Execution(directory, steps))
    return found


async def import_distilabel(
    storage: Storage,
    path: str,
    *,
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
    found = executions(path)
    if not found:
        raise InvalidInputError(
            f"{shown(path)} contains no cached pipeline of distilabel with rows in executions/*/{_OUTPUTS}: "
            "give the directory of a pipeline."
        )
    with ExitStack() as stack:
        imports: list[TableImport] = []
        for execution in found:
            described = _description(execution.path)
            pipeline = str(described["pipeline"].get("name") or "distilabel")
            for step in execution.steps:
                directory = os.path.join(execution.path, _OUTPUTS, step)
                about = {"pipeline": pipeline, "step": step, "execution": os.path.basename(execution.path)}
                files = [stack.enter_context(SourceFile(file)) for file in _files(directory)]
                table = _StepRows(step, files, pipeline, "distilabel", about)
                title = name or f"{pipeline}: {step}"
                kept = {"distilabel": described}
                imports.append(
                    TableImport(storage, table, project_id, title, skip_bad=skip_bad, progress=progress, about=kept)
                )
        return await run_all(last_name(path), imports)


DISTILABEL = ToolForm(
    name="distilabel",
    title="a pipeline that distilabel has cached",
    recognises=lambda path: bool(executions(path)),
    run=import_distilabel,
)


class _StepRows(ParquetTable):
    """The rows of a step; one for which its model gave nothing has failed, though distilabel passes it on.

    Args:
        step: its name.
        given: as `ParquetTable` has them.
    """

    def __init__(self, step: str, *given: Any) -> None:
        super().__init__(*given)
        self._step = step

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        output = f"raw_output_{self._step}"
        for row in super().rows():
            noted = object_in(row.data.get("distilabel_metadata")) if isinstance(row, GoodRow) else {}
            if isinstance(row, GoodRow) and output in noted and noted[output] is None:
                yield replace(row, failure=f"the model of step {self._step!r} gave no output")
            else:
                yield row


def _files(path: str) -> list[str]:
    return [os.path.join(path, name) for name in names_in(path) if name.endswith(".parquet")]


def _description(path: str) -> dict[str, Any]:
    """Return a pipeline's configuration, as objects, so that secrets in it are found when it is saved."""
    file = os.path.join(path, _PIPELINE)
    yaml = need("yaml", "distilabel", "Pipelines of distilabel")
    try:
        with open(file, "rb") as opened:
            found: object = yaml.safe_load(opened.read(_LONGEST_YAML))
    except OSError as error:
        raise InvalidInputError(f"{shown(file)} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{shown(file)} is damaged: it is not YAML ({type(error).__name__}).") from None
    described = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if not isinstance(described.get("pipeline"), dict):
        raise InvalidInputError(
            f"{shown(file)} does not describe a pipeline of distilabel: give the directory of a pipeline."
        )
    return described
