"""Importing what batches of OpenAI, of those that speak like it, and of Anthropic have answered."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from starfish_storage.codec import readable_text
from starfish_storage.form_option import FormOption
from starfish_storage.imports.answers import AnswerSource, ModelAnswer
from starfish_storage.imports.batch_lines import BatchLine, is_batch_line, read_batch_line
from starfish_storage.imports.fields import object_in, text_in
from starfish_storage.imports.into_run import RunImport
from starfish_storage.imports.json_rows import first_row, read_object
from starfish_storage.imports.places import LineFile, Places
from starfish_storage.imports.prices import pricing
from starfish_storage.imports.report import ImportReport, OnProgress
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.interface import Storage
from starfish_storage.row_files.rows import BadRow
from starfish_storage.row_files.source_file import SourceFile
from starfish_storage.runs import Output, Usage
from starfish_storage.runs.calls import UNPRICED
from starfish_storage.wording import number_of

_LONGEST_LINE = 10_000  # of a failure, as it is kept

NO_ANSWER = "NoAnswer"
"""The kind of failure of requests that no file has an answer to."""


class BatchSource(AnswerSource):
    """The answers of one batch.

    Args:
        outputs: the files with answers and errors, the first one gives the name; they stay open.
        requests: the file that the batch was made of, if it is there; it stays open.
    """

    form = "batch"

    def __init__(self, outputs: Sequence[LineFile], requests: LineFile | None) -> None:
        self.name = outputs[0].file.name
        self._outputs = outputs
        self._requests = requests
        self._pricing = pricing(in_batches=True)
        self._start()

    def _start(self) -> None:
        self._positions = dict[str, int]()
        self._asked, self._places = Places(), Places()
        self._unpriced = 0

    @property
    def identity(self) -> str:
        """See `AnswerSource.identity`."""
        return hashlib.sha256("".join(file.sha256 for file in self._files()).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """See `AnswerSource.describe`."""
        first, *more = ({"bytes": file.size, "sha256": file.sha256} for file in self._files())
        names = ["requests"] if self._requests else []
        return {"name": self.name, **first} | dict(zip(["errors"][: len(self._outputs) - 1] + names, more, strict=True))

    def notes(self) -> list[str]:
        """See `AnswerSource.notes`."""
        missing = sum(1 for position in self._positions.values() if position not in self._places)
        told = ["costs at the published prices of batches"]
        if self._unpriced:
            told.append(f"{number_of(self._unpriced, 'answer')} without a published price")
        if missing:
            told.append(f"{number_of(missing, 'request')} without an answer")
        return told

    def has_changed(self) -> bool:
        """See `AnswerSource.has_changed`."""
        return any(file.has_changed() for file in self._files())

    def index(self) -> Iterator[ModelAnswer | BadRow]:
        """See `AnswerSource.index`. If a request failed and was answered as well, the answer counts."""
        self._start()
        yield from self._index_requests()
        failed = set[int]()
        for number, file in enumerate(self._outputs):
            for offset, place, line in file.lines():
                found = read_batch_line(place, line)
                answer = found if isinstance(found, BadRow) else self._indexed(found, place, failed)
                if isinstance(answer, ModelAnswer):
                    self._places[answer.position] = number, offset
                    self._unpriced += any(UNPRICED in one.counts for one in answer.usage)
                if answer is not None:
                    yield answer

    def _index_requests(self) -> Iterator[BadRow]:
        if self._requests is None:
            return
        for offset, place, line in self._requests.lines():
            row, _ = read_object(place, line)
            if isinstance(row, BadRow):
                yield row
                continue
            custom_id = row.get("custom_id")
            if not isinstance(custom_id, str):
                yield BadRow(f'{place} is no request of a batch: it has no "custom_id"')
            elif custom_id in self._positions:
                yield BadRow(f"{place} has the custom_id of a request before it")
            else:
                position = self._positions[custom_id] = len(self._positions)
                self._asked[position] = 0, offset

    def _indexed(self, found: BatchLine, place: str, failed: set[int]) -> ModelAnswer | BadRow | None:
        """Return an answer with its place in the run; None if there is a better one to that request."""
        position = self._positions.get(found.custom_id)
        if position is None:
            if self._requests is not None:
                return BadRow(f"{place} answers none of the requests in {self._requests.file.shown}")
            position = self._positions[found.custom_id] = len(self._positions)
        elif position in self._places and position not in failed:
            if found.error is not None:
                return None
            return BadRow(f"{place} answers a request that a line before it has answered: import each batch by itself")
        failed.discard(position)
        if found.error is not None:
            failed.add(position)
        return self._answer(position, found)

    def positions(self) -> Iterator[int]:
        """See `AnswerSource.positions`. Requests without an answer have failed, if there are answers at all."""
        has_answers = next(iter(self._places), None) is not None
        return iter(self._asked) if self._requests is not None and has_answers else iter(self._places)

    def answer(self, position: int) -> ModelAnswer:
        """See `AnswerSource.answer`."""
        if position not in self._places:
            error = "the files with answers have none to this request"
            request = self._request(position, "")
            return ModelAnswer(position, request, (Output("failed", None, error),), error=error, error_type=NO_ANSWER)
        number, offset = self._places[position]
        found = read_batch_line("", self._outputs[number].line(offset))
        if isinstance(found, BadRow) or self._positions.get(found.custom_id) != position:
            raise self.changed()
        return self._answer(position, found)

    def _answer(self, position: int, found: BatchLine) -> ModelAnswer:
        request = self._request(position, found.custom_id)
        usage = self._usage(found, request)
        if found.error is None:
            outputs = (Output("completed", found.row),)
            return ModelAnswer(position, request, outputs, usage, found.when, found.when)
        # A failed record with data would be one that a check has refused: the line is kept with the attempt.
        outputs = (Output("failed", None, found.error),)
        line = readable_text(found.row, 2)[:_LONGEST_LINE]
        return ModelAnswer(
            position, request, outputs, usage, error=found.error, error_type=found.error_type, traceback=line
        )

    def _request(self, position: int, custom_id: str) -> dict[str, Any]:
        if self._requests is None:
            return {"custom_id": custom_id}
        row, _ = read_object("", self._requests.line(self._asked[position][1]))
        if isinstance(row, BadRow):
            raise self.changed()
        return row

    def _usage(self, found: BatchLine, request: dict[str, Any]) -> tuple[Usage, ...]:
        if found.body is None:
            return ()
        asked = object_in(request.get("body")) or object_in(request.get("params"))
        address = text_in(request, "url") or found.address
        used = self._pricing.usage(address, found.body, text_in(asked, "model"))
        if used is None:
            return ()
        if found.is_of_own_server:
            used = replace(used, cost=0.0, counts={**used.counts, UNPRICED: 1})
        return (used,)

    def _files(self) -> list[SourceFile]:
        return [one.file for one in (*self._outputs, self._requests) if one is not None]


async def import_batch(
    storage: Storage,
    path: str,
    *,
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
        storage: where to.
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
    with ExitStack() as stack:

        def opened(given: str) -> LineFile:
            file = stack.enter_context(SourceFile(given))
            _ = file.sha256  # reads it to its end: what is there now is what is imported
            return stack.enter_context(LineFile(file))

        outputs = [await asyncio.to_thread(opened, one) for one in (path, errors) if one is not None]
        requests = None if inputs is None else await asyncio.to_thread(opened, inputs)
        source = BatchSource(outputs, requests)
        return await RunImport(storage, source, project_id, name, skip_bad=skip_bad, progress=progress).run()


def _is_batch(path: str) -> bool:
    row = first_row(path)
    return row is not None and is_batch_line(row)


BATCH = ToolForm(
    name="batch",
    title="a file of what a batch of OpenAI or Anthropic has answered",
    recognises=_is_batch,
    run=import_batch,
    options=(
        FormOption("inputs", "Of batch: the file of its requests, which become the inputs.", metavar="FILE"),
        FormOption("errors", "Of batch: the file of its errors, if that is another.", metavar="FILE"),
    ),
)
