"""A place in a JSON text that is read value by value: the text is never in memory as a whole."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator
from typing import IO

from starfish_storage.errors import InvalidInputError
from starfish_storage.row_files.rows import MAX_ROW_BYTES

_BLANK = " \t\r\n"
BLOCK = 2**20


class JsonCursor:
    """Reads JSON values from a stream, one after the other.

    Args:
        content: UTF-8, without a mark.
        shown: what it is called in messages.
        offset: the byte of the content at which to begin.
        block: how many bytes are read at a time.

    Attributes:
        what: what is being read, for messages; such as ``"item 3"``.
    """

    def __init__(self, content: IO[bytes], shown: str, offset: int = 0, block: int | None = None) -> None:
        self._content = content
        self._shown = shown
        self._block = block or BLOCK
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._behind = offset  # bytes of the content before the text that is held
        self._line, self._column = 1, 1  # where that text begins
        self._has_ended = False
        self._has_constant = False
        self._decoder = json.JSONDecoder(parse_constant=self._note_constant)
        self.what = "its text"
        _pass(content, offset, self._block)

    @property
    def offset(self) -> int:
        """The byte of the content at which the next value begins, or what else comes."""
        self.sign()
        return self._behind + len(self._text[: self._at].encode())

    def sign(self) -> str:
        """Return the next character that is not blank, without passing it; an empty text at the end."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _BLANK:
                at += 1
            self._at = at
            if at < len(text) or self._has_ended:
                return text[at : at + 1]
            self._read(self._block)

    def take(self, sign: str, problem: str) -> None:
        """Pass a character that comes next.

        Raises:
            InvalidInputError: another one comes; says the problem.
        """
        if self.sign() != sign:
            raise self.damaged(problem)
        self._at += 1

    def items(self, called: str | None = None) -> Iterator[object]:
        """Read the list that begins here, item by item, which messages call so, with its number."""
        for number, _ in enumerate(self._members("[", "]", "array"), start=1):
            self.what = f"{called} {number}" if called else self.what
            yield self.value()

    def object_keys(self) -> Iterator[str]:
        """Read the object that begins here: yield each key; whoever gets it reads its value before the next one."""
        for _ in self._members("{", "}", "object"):
            key = self.value() if self.sign() == '"' else None
            if not isinstance(key, str):
                raise self.damaged("is not JSON: a key is missing")
            self.take(":", "is not JSON: a colon is missing")
            yield key

    def values(self, called: str) -> Iterator[object]:
        """Read values that follow each other, with nothing but blanks between them, to the end of the text."""
        number = 0
        while self.sign():
            number += 1
            self.what = f"{called} {number}"
            yield self.value()

    def value(self) -> object:
        """Return the value that begins here; where it ends beyond what has been read, read on, in growing steps."""
        self.sign()
        more = self._block
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # A number at the very end may have more digits.
                if end < len(self._text) or self._has_ended:
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if self._has_ended:
                    self._at = error.pos
                    raise self.damaged("is not JSON, or ends in the middle") from None
            except (ValueError, RecursionError) as error:
                reason = (
                    "is nested too deeply" if isinstance(error, RecursionError) else "has a number of too many digits"
                )
                raise self.damaged(reason) from None
            if len(self._text) - self._at > MAX_ROW_BYTES:
                raise self.damaged(f"is not JSON, or is longer than {MAX_ROW_BYTES // 2**20} MiB")
            self._has_constant = False
            self._read(more)
            more *= 2

    def had_constant(self) -> bool:
        """Return whether there was NaN or an infinity since this was asked last."""
        had, self._has_constant = self._has_constant, False
        return had

    def damaged(self, problem: str) -> InvalidInputError:
        """Return the error of a text that cannot be read on: where the next value begins is unknown."""
        passed = self._text[: self._at]
        line = self._line + passed.count("\n")
        column = len(passed) - passed.rfind("\n") + (self._column - 1 if line == self._line else 0)
        return InvalidInputError(
            f"{self.what} of {self._shown} {problem}, at line {line}, column {column}: correct it, or write the file "
            "again."
        )

    def _members(self, opening: str, closing: str, kind: str) -> Iterator[None]:
        """Pass what stands around and between the members of a list or an object."""
        self.take(opening, f"is no {kind}")
        if self.sign() == closing:
            self._at += 1
            return
        while True:
            self.sign()
            yield
            if self.sign() == closing:
                self._at += 1
                return
            self.take(",", f"is followed by neither a comma nor the end of the {kind}")

    def _read(self, size: int) -> None:
        """Read on, and forget what is behind."""
        passed = self._text[: self._at]
        if passed:
            self._behind += len(passed.encode())
            lines = passed.count("\n")
            self._line += lines
            self._column = len(passed) - passed.rfind("\n") + (0 if lines else self._column - 1)
        self._text, self._at = self._text[self._at :], 0
        block = self._content.read(size)
        self._has_ended = not block
        try:
            self._text += self._utf8.decode(block, final=self._has_ended)
        except UnicodeDecodeError:
            raise InvalidInputError(
                f"{self._shown} is not UTF-8, in or after {self.what}: write it again as UTF-8."
            ) from None

    def _note_constant(self, _name: str) -> None:
        self._has_constant = True


def _pass(content: IO[bytes], offset: int, block: int) -> None:
    """Go forward in a stream, which may be one that cannot seek."""
    if content.seekable():
        content.seek(offset, os.SEEK_CUR)
        return
    while offset and (passed := len(content.read(min(offset, block)))):
        offset -= passed
