"""Where lines stand in files, so that each can be read again: eight bytes of memory a line."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Iterator
from functools import cached_property
from typing import IO, Self

from starfish_storage.row_files.rows import MAX_ROW_BYTES
from starfish_storage.row_files.source_file import SourceFile

MOST_POSITIONS = 100_000_000

_NOWHERE = 2**64 - 1
_OFFSET_BITS = 48
_BOM = b"\xef\xbb\xbf"


class LineFile:
    """A file whose lines can be read again.

    One that is compressed, or in UTF-16, is unpacked into a temporary file for that. Usable with ``with``.

    Args:
        file: the file; it stays open.

    Attributes:
        file: likewise.
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self._unpacked: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._unpacked is not None:
            self._unpacked.close()

    def lines(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield where each line begins, what it is called, and the line; the first part of one that is too long."""
        stream, offset, number = self._stream, 0, 0
        while True:
            stream.seek(offset)  # others read in between
            line = stream.readline(MAX_ROW_BYTES + 1)
            if not line:
                return
            number += 1
            begin, offset = offset, offset + len(line)
            part = line
            while not part.endswith(b"\n") and (part := stream.readline(MAX_ROW_BYTES + 1)):
                offset += len(part)
            if number == 1:
                line = line.removeprefix(_BOM)
            if line.strip():
                yield begin, f"line {number} of {self.file.shown}", line

    def line(self, offset: int) -> bytes:
        """Return the line that begins at a place, as `lines` has it."""
        self._stream.seek(offset)
        line = self._stream.readline(MAX_ROW_BYTES + 1)
        return line.removeprefix(_BOM) if offset == 0 else line

    @cached_property
    def _stream(self) -> IO[bytes]:
        if not self.file.is_compressed and self.file.encoding == "utf-8":
            return self.file.raw
        self._unpacked = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this; it has no name)
        with self.file.text() as content:
            shutil.copyfileobj(content, self._unpacked)
        return self._unpacked


class Places:
    """Which line of which file belongs to a position."""

    def __init__(self) -> None:
        self._places = array("Q")

    def __setitem__(self, position: int, place: tuple[int, int]) -> None:
        """Note the number of the file, and where in it the line begins."""
        if position >= len(self._places):
            self._places.extend([_NOWHERE] * (position + 1 - len(self._places)))
        self._places[position] = place[0] << _OFFSET_BITS | place[1]

    def __contains__(self, position: object) -> bool:
        """Return whether there is a line for a position."""
        if not isinstance(position, int) or position >= len(self._places):
            return False
        return self._places[position] != _NOWHERE

    def __getitem__(self, position: int) -> tuple[int, int]:
        """Return the number of the file and the offset.

        Raises:
            KeyError: there is no line for the position.
        """
        if position not in self:
            raise KeyError(position)
        place = self._places[position]
        return place >> _OFFSET_BITS, place & (1 << _OFFSET_BITS) - 1

    def __iter__(self) -> Iterator[int]:
        """Yield the positions that have a line, ascending."""
        return (position for position, place in enumerate(self._places) if place != _NOWHERE)
