"""Working directories of Curator: what it asked, what was answered, and what that cost."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidDataError, InvalidInputError
from starfish_storage.imports.answers import LONGEST_ERROR, AnswerSource, ModelAnswer
from starfish_storage.imports.places import MOST_POSITIONS, LineFile, Places
from starfish_storage.row_files.json_lines import parsed_line
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow
from starfish_storage.row_files.source_file import SourceFile, shown
from starfish_storage.runs import Output, Usage

_RESPONSES = re.compile(r"responses_(\d+)\.jsonl")
_ABOUT = (
    "model_name",
    "response_format",
    "prompt_func",
    "parse_func",
    "dataset_hash",
    "run_hash",
    "batch_mode",
    "timestamp",
)


class CuratorRun(AnswerSource):
    """The working directory of one run of Curator.

    Args:
        path: the directory, which holds ``responses_0.jsonl`` and the like.
        files: those, in their order; they stay open.

    Attributes:
        name: the directory's name, without its path: the hash by which Curator finds it again.
    """

    form = "curator"

    def __init__(self, path: str, files: Sequence[LineFile]) -> None:
        self.name = os.path.basename(os.path.abspath(path))
        self._path = path
        self._files = [file.file for file in files]
        self._lines = files
        self._places = Places()

    @property
    def identity(self) -> str:
        """See `AnswerSource.identity`."""
        return hashlib.sha256("".join(file.sha256 for file in self._files).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what is kept of it: never where it lay."""
        return {"name": self.name, "files": [file.describe() for file in self._files]}

    def about(self) -> dict[str, Any]:
        """Return what Curator itself has noted about the run; nothing if the run did not end."""
        return {"curator": self._noted()}

    def output_schema(self, first: ModelAnswer) -> dict[str, Any]:
        """Return the form of answers that was asked for."""
        schema: Any = first.request.get("response_format")
        return cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}

    def _noted(self) -> dict[str, Any]:
        try:
            with open(os.path.join(self._path, "response.json"), "rb") as file:
                found = decode(file.read(MAX_ROW_BYTES))
            noted: dict[str, Any] = found["metadata"]
            return {name: noted[name] for name in _ABOUT if name in noted}
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def has_changed(self) -> bool:
        """Return whether the responses are others than when they were opened. May block."""
        return any(file.has_changed() for file in self._files)

    def index(self) -> Iterator[ModelAnswer | BadRow]:
        """Read all responses, in the order in which they came, and note where each request's is. May block.

        Of several for one request, as after a repeated run, the last that has not failed counts.
        """
        self._places = Places()
        failed = set[int]()
        for number, file in enumerate(self._lines):
            for offset, place, line in file.lines():
                found = _parsed(place, line)
                if isinstance(found, BadRow):
                    yield found
                    continue
                position = found.position
                if found.error is not None and position in self._places and position not in failed:
                    continue
                failed.discard(position)
                if found.error is not None:
                    failed.add(position)
                self._places[position] = number, offset
                yield found

    def positions(self) -> Iterator[int]:
        """Return the positions of the requests that have a response, ascending; `index` comes first."""
        return iter(self._places)

    def answer(self, position: int) -> ModelAnswer:
        """Return the response to a request; `index` comes first. May block.

        Raises:
            InvalidInputError: it is another one by now.
        """
        number, offset = self._places[position]
        found = _parsed("", self._lines[number].line(offset))
        if isinstance(found, ModelAnswer) and found.position == position:
            return found
        raise self.changed()


@contextmanager
def curator_run(path: str) -> Generator[CuratorRun]:
    """Open the working directory of one run.

    Raises:
        InvalidInputError: it holds no responses, or they cannot be read.
    """
    names = response_files(path)
    if not names:
        raise InvalidInputError(
            f"{shown(path)} contains no responses_<number>.jsonl: give a working directory of Curator."
        )
    with ExitStack() as stack:
        opened = [stack.enter_context(SourceFile(os.path.join(path, name))) for name in names]
        files = [stack.enter_context(LineFile(file)) for file in opened]
        yield CuratorRun(path, files)


def response_files(path: str) -> list[str]:
    """Return the names of the files with responses in a directory, in their order."""
    try:
        found = [match for match in map(_RESPONSES.fullmatch, os.listdir(path)) if match is not None]
    except OSError as error:
        raise InvalidInputError(f"{shown(path)} cannot be read: {error.strerror}.") from error
    return [match[0] for match in sorted(found, key=lambda match: int(match[1]))]


def _parsed(place: str, line: bytes) -> ModelAnswer | BadRow:
    if len(line) > MAX_ROW_BYTES:
        return BadRow(f"{place} is longer than {MAX_ROW_BYTES // 2**20} MiB")
    row = parsed_line(place, line)
    if isinstance(row, BadRow):
        return row
    try:
        response = _response(row.data)
        for output in response.outputs:
            if output.data is not None:
                encode(output.data, place)
        encode(response.request, place)
    except InvalidDataError as error:
        return BadRow(str(error).rstrip("."))
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
        return BadRow(f"{place} is not a response of Curator")
    return response


def _response(found: dict[str, Any]) -> ModelAnswer:
    request: dict[str, Any] = found["generic_request"]
    position = request["original_row_idx"]
    if not isinstance(position, int) or not 0 <= position < MOST_POSITIONS:
        raise ValueError(position)
    errors: Any = found.get("response_errors")
    error = None
    if errors is not None or found.get("response_message") is None:
        texts = cast("list[object]", errors) if isinstance(errors, list) else []
        error = "; ".join(map(str, texts))[:LONGEST_ERROR] or "no response"
    start = _moment(found["created_at"])
    return ModelAnswer(
        position,
        request,
        (Output("failed", None, error),) if error is not None else _outputs(found),
        _usage(request, found),
        start,
        max(start, _moment(found["finished_at"])),
        error,
        None if error is None else "CuratorError",
    )


def _outputs(found: dict[str, Any]) -> tuple[Output, ...]:
    """Return the rows that Curator's ``parse`` made of a response; or the response itself if it made none."""
    parsed: list[object] | None = found.get("parsed_response_message")
    rows = [found["response_message"]] if parsed is None else parsed
    return tuple(
        Output("completed", cast("dict[str, Any]", row) if isinstance(row, dict) else {"response": row}) for row in rows
    )


def _usage(request: dict[str, Any], found: dict[str, Any]) -> tuple[Usage, ...]:
    tokens: dict[str, Any] = found.get("token_usage") or {}
    usage = Usage(
        request["model"], tokens.get("input") or 0, tokens.get("output") or 0, found.get("response_cost") or 0.0
    )
    return (usage.checked(),)


def _moment(text: str) -> datetime:
    """Return a time in UTC; Curator writes those of the clock on the wall, which is taken for the one here."""
    return datetime.fromisoformat(text).astimezone(UTC)
