"""Samples that lm-evaluation-harness has logged (``--log_samples``), with what its results say of them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.answers import AnswerSource, ModelAnswer
from starfish_storage.imports.directories import found_in, names_in, noted_in
from starfish_storage.imports.fields import object_in, text_in
from starfish_storage.imports.into_run import RunImport, run_each
from starfish_storage.imports.json_rows import first_row, read_object
from starfish_storage.imports.places import LineFile, Places
from starfish_storage.imports.report import ImportReport, OnProgress, last_name
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.rows import BadRow
from starfish_storage.row_files.source_file import SourceFile, shown
from starfish_storage.runs import Output, Usage

_SAMPLES = re.compile(r"samples_(.+)_(\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")
_INPUT = ("doc_id", "doc", "target", "arguments")
_NEEDED = (*_INPUT, "resps", "filtered_resps")
_OF_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples")
_OF_RUN = ("config", "model_name", "model_source", "lm_eval_version", "date", "chat_template", "system_instruction")
_FORM = _PROJECT = "lm-eval"


class LMEvalSamples(AnswerSource):
    """The samples of one task.

    Args:
        file: the file with them; stays open.
        directory: where it lies, with the results.
    """

    form = _FORM

    def __init__(self, file: LineFile, directory: str) -> None:
        self._file = file
        self.name = file.file.name
        found = _SAMPLES.fullmatch(self.name)
        self._task = found[1] if found else None
        self._results = noted_in(os.path.join(directory, f"results_{found[2]}.json")) if found else {}
        self._model = text_in(self._results, "model_name")
        self._places = Places()

    @property
    def identity(self) -> str:
        """See `AnswerSource.identity`."""
        return self._file.file.sha256

    def describe(self) -> dict[str, Any]:
        """See `AnswerSource.describe`."""
        return self._file.file.describe()

    def about(self) -> dict[str, Any]:
        """Return the results of the task, and what the run was made with."""
        kept = {name: self._results[name] for name in _OF_RUN if name in self._results}
        of_task = {name: object_in(self._results.get(name)).get(self._task or "") for name in _OF_TASK}
        return {"lm_eval": {"task": self._task, **kept, **{name: one for name, one in of_task.items() if one}}}

    def notes(self) -> list[str]:
        """See `AnswerSource.notes`."""
        return [] if self._results else ["the results of the samples were not found beside them"]

    def has_changed(self) -> bool:
        """See `AnswerSource.has_changed`."""
        return self._file.file.has_changed()

    def index(self) -> Iterator[ModelAnswer | BadRow]:
        """See `AnswerSource.index`."""
        self._places = Places()
        position = 0
        for offset, place, line in self._file.lines():
            found = self._read(position, place, line)
            if isinstance(found, ModelAnswer):
                self._places[position] = 0, offset
                position += 1
            yield found

    def positions(self) -> Iterator[int]:
        """See `AnswerSource.positions`."""
        return iter(self._places)

    def answer(self, position: int) -> ModelAnswer:
        """See `AnswerSource.answer`."""
        found = self._read(position, "", self._file.line(self._places[position][1]))
        if isinstance(found, BadRow):
            raise self.changed()
        return found

    def _read(self, position: int, place: str, line: bytes) -> ModelAnswer | BadRow:
        row, conversions = read_object(place, line, allows_nan=True)
        if isinstance(row, BadRow):
            return row
        if not is_sample(row):
            return BadRow(f"{place} is no sample of lm-evaluation-harness: it needs {', '.join(_NEEDED)}")
        # Without the filter: what several of them make of one answer are answers to equal inputs.
        request = {"task": self._task} | {name: row[name] for name in _INPUT}
        usage = (Usage(self._model),) if self._model else ()
        return ModelAnswer(position, request, (Output("completed", row),), usage, conversions=conversions)


def is_sample(row: dict[str, Any]) -> bool:
    """Return whether a row is a sample."""
    return all(name in row for name in _NEEDED)


def sample_files(path: str) -> list[str]:
    """Return the files of samples in a directory, or in those of the models in it; a file is one itself.

    Raises:
        InvalidInputError: a directory cannot be read.
    """
    if not os.path.isdir(path):
        return [path]
    directories = found_in(path, 2, lambda one: bool(_names(one)))
    return [os.path.join(directory, name) for directory in directories for name in _names(directory)]


async def import_lm_eval(
    storage: Storage,
    path: str,
    *,
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
        storage: where to.
        path: a file ``samples_<task>_<time>.jsonl``, or the directory.
        project_id: the project, which is made if it is not there; ``lm-eval`` by default.
        name: the name of the master jobs, for people; those of the files by default.
        skip_bad: leave bad samples out, and report them; else the first one is an error.
        progress: called now and then, in the event loop; it must be quick.

    Raises:
        InvalidInputError: there are no samples, or they cannot be read, or one is bad: nothing was stored.
        InvalidIdError: the project's id cannot be used.
    """
    found = await asyncio.to_thread(sample_files, path)
    if not found:
        raise InvalidInputError(
            f"{shown(path)} contains no samples_<task>_<time>.jsonl: give the directory of the results of lm_eval "
            "--log_samples."
        )
    options: dict[str, Any] = {"skip_bad": skip_bad, "progress": progress, "usual_project": _PROJECT}
    return await run_each(
        last_name(path),
        [partial(_opened, one) for one in found],
        lambda source: RunImport(storage, source, project_id, name, **options),
    )


@contextmanager
def _opened(path: str) -> Generator[LMEvalSamples]:
    with SourceFile(path) as file, LineFile(file) as lines:
        yield LMEvalSamples(lines, os.path.dirname(path))


def _is_lm_eval(path: str) -> bool:
    if os.path.isdir(path):
        return bool(sample_files(path))
    row = first_row(path)
    return row is not None and is_sample(row)


LM_EVAL = ToolForm(
    name=_FORM,
    title="samples of lm-evaluation-harness",
    recognises=_is_lm_eval,
    run=import_lm_eval,
)


def _names(path: str) -> list[str]:
    return [name for name in names_in(path) if _SAMPLES.fullmatch(name)]
