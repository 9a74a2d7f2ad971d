"""Rows of JSON arrays, read item by item: the file is never in memory as a whole."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.json_lines import JsonLinesTable, kind_of
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow, GoodRow

_START = 4096
_BLOCK = 2**20
_BLANK = " \t\r\n"
_BOM = b"\xef\xbb\xbf"


class JsonArrayTable(JsonLinesTable):
    """The objects of a file with one JSON array; a text in it is the row ``{"text": ...}``.

    A file that is no array, but has an object a line, is read as JSON Lines.

    Args:
        file: the file.
    """

    form = "json"

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        with self._file.content() as content:
            start = content.read(_START).removeprefix(_BOM)
            if start.lstrip().startswith(b"["):
                yield from _Items(content, start, self._file.shown)
                return
        yield from self._lines()

    def _lines(self) -> Iterator[GoodRow | BadRow]:
        for number, row in enumerate(super().rows()):
            if number == 0 and isinstance(row, BadRow):
                raise InvalidInputError(
                    f"{self._file.shown} holds neither a JSON array nor a JSON object a line: write it as one of these."
                )
            yield row


JSON_ARRAY = FileForm(name="json", title="JSON", endings=(".json",), table=JsonArrayTable)


class _Items:
    """Reads the items of an array that begins in a block of bytes and goes on in a file."""

    def __init__(self, content: IO[bytes], start: bytes, shown: str) -> None:
        self._content = content
        self._shown = shown
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._has_ended = False
        self._number = 0
        self._has_constant = False
        self._decoder = json.JSONDecoder(parse_constant=self._note_constant)
        self._take(start)

    def __iter__(self) -> Iterator[GoodRow | BadRow]:
        self._at = self._next_sign() + 1  # the bracket, which the caller has seen
        if self._sign() == "]":
            self._at += 1
            self._refuse_more()
            return
        while True:
            self._number += 1
            yield self._row(self._item())
            sign = self._sign()
            self._at += 1
            if sign == "]":
                self._refuse_more()
                return
            if sign != ",":
                raise self._damaged("is followed by neither a comma nor the end of the array")
            self._sign()

    def _row(self, item: object) -> GoodRow | BadRow:
        place = f"item {self._number} of {self._shown}"
        if self._has_constant:
            self._has_constant = False
            return BadRow(f"{place} is not JSON: it contains NaN or an infinity")
        if isinstance(item, str):
            return GoodRow(place, {"text": item})
        if not isinstance(item, dict):
            return BadRow(f"{place} is not a JSON object, but {kind_of(item)}")
        return GoodRow(place, cast("dict[str, Any]", item))

    def _item(self) -> object:
        """Return the item that begins here; where it ends beyond what has been read, read on, in growing steps."""
        more = _BLOCK
        while True:
            try:
                item, end = self._decoder.raw_decode(self._text, self._at)
                # A number at the very end may have more digits.
                if end < len(self._text) or self._has_ended:
                    self._at = end
                    return item
            except json.JSONDecodeError:
                if self._has_ended:
                    raise self._damaged("is not JSON, or ends in the middle") from None
            except (ValueError, RecursionError) as error:
                reason = (
                    "is nested too deeply" if isinstance(error, RecursionError) else "has a number of too many digits"
                )
                raise self._damaged(reason) from None
            if len(self._text) - self._at > MAX_ROW_BYTES:
                raise self._damaged(f"is not JSON, or is longer than {MAX_ROW_BYTES // 2**20} MiB")
            self._has_constant = False
            self._read(more)
            more *= 2

    def _sign(self) -> str:
        """Return the next character that is not blank, without passing it; an empty text at the end."""
        self._at = self._next_sign()
        return self._text[self._at : self._at + 1]

    def _next_sign(self) -> int:
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _BLANK:
                at += 1
            if at < len(text) or self._has_ended:
                return at
            self._read(_BLOCK)

    def _refuse_more(self) -> None:
        if self._sign():
            raise InvalidInputError(f"{self._shown} goes on after the end of its JSON array: write it again.")

    def _read(self, size: int) -> None:
        """Read on, and forget what is behind."""
        self._text, self._at = self._text[self._at :], 0
        self._take(self._content.read(size))

    def _take(self, block: bytes) -> None:
        self._has_ended = not block
        try:
            self._text += self._utf8.decode(block, final=self._has_ended)
        except UnicodeDecodeError:
            raise InvalidInputError(f"{self._shown} is not UTF-8, in or after item {self._number}.") from None

    def _note_constant(self, _name: str) -> None:
        self._has_constant = True

    def _damaged(self, what: str) -> InvalidInputError:
        # Where the next item begins is unknown after this, so the item cannot be left out.
        return InvalidInputError(f"item {self._number} of {self._shown} {what}: correct it, or write the file again.")
