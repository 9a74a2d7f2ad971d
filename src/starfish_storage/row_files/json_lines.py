"""Rows of JSON Lines files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, cast

from starfish_storage.codec import decode_known
from starfish_storage.errors import InvalidInputError
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile, encoding_of, notes_on_encoding

_BLOCK = 2**20


class JsonLinesTable:
    """The objects of a JSON Lines file in UTF-8, or in UTF-16 with a mark; one a line. Blank lines are skipped.

    Args:
        file: the file.
    """

    form = "jsonl"

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = file.name
        self.has_changed = file.has_changed

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        return self._file.sha256

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        return self._file.describe() | encoding_of(self._file)

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        return notes_on_encoding(self._file)

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        with self._file.text() as content:
            number = 0
            is_first = True
            while line := content.readline(MAX_ROW_BYTES + 1):
                number += 1
                place = f"line {number} of {self._file.shown}"
                if len(line) > MAX_ROW_BYTES:
                    _skip_line(content, line)
                    yield BadRow(f"{place} is longer than {MAX_ROW_BYTES // 2**20} MiB")
                    continue
                if not line.strip():
                    continue
                row = parsed_line(place, line)
                if is_first and isinstance(row, BadRow) and (line.lstrip()[:1] == b"[" or line.strip() == b"{"):
                    # Leaving bad lines out would make rows of some of its lines.
                    raise InvalidInputError(
                        f"{row.reason}: this is JSON, but not one object a line. Name the file .json, or read it "
                        'with form="json" (--from json).'
                    )
                is_first = False
                yield row


JSON_LINES = FileForm(name="jsonl", title="JSON Lines", endings=(".jsonl", ".ndjson"), table=JsonLinesTable)


def parsed_line(place: str, line: bytes) -> GoodRow | BadRow:
    """Return the row of a line."""
    try:
        # With the line end of the codec, which then need not look twice.
        found, is_storable = decode_known(line.rstrip() + b"\n")
    except json.JSONDecodeError as error:
        # Not `colno`: where the line ends too early, that is the first one after the line end.
        return BadRow(f"{place} is not JSON, at column {min(error.pos, len(error.doc.rstrip())) + 1}")
    except RecursionError:
        return BadRow(f"{place} is nested too deeply")
    except ValueError as error:
        return BadRow(f"{place} cannot be read: {error}")  # not UTF-8, or a number of thousands of digits
    if not isinstance(found, dict):
        return BadRow(f"{place} is not a JSON object, but {kind_of(found)}")
    return GoodRow(place, cast("dict[str, Any]", found), is_storable=is_storable)


def kind_of(value: object) -> str:
    """Return what JSON calls a value.

    >>> kind_of([1]), kind_of(None)
    ('a list', 'null')
    """
    names: dict[type, str] = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _skip_line(content: IO[bytes], line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = content.readline(_BLOCK)
