"""The records between the two passes: one JSON object a line in a file that nobody else sees."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from starfish_storage.files.errors import translated

_BUFFER = 1 << 20


class Spool:
    """A file without a name, which is gone with the process, however that ends.

    So the store is read once, and both passes see the same records, though it may be written to meanwhile.

    Args:
        directory: where it lies; it takes as much space as the records' JSON.
        shard_bytes: of JSON, after which another shard begins; None for one shard.

    Attributes:
        rows: how many lines it has.
        exact: whether only the exact parser reads some of them as they are.
        on_read: called with each list of lines that is read again, how many they are; it may raise, to end that.
    """

    def __init__(self, directory: str, shard_bytes: int | None = None) -> None:
        self._directory = directory
        self._most = sys.maxsize if shard_bytes is None else shard_bytes
        self._file: BinaryIO | None = None
        self.rows = 0
        self.exact = False
        self._full: list[tuple[int, int]] = []  # shards
        self._start = self._end = 0  # of the last one
        self.on_read: Callable[[int], object] | None = None

    def add(self, line: bytes, exact: bool = False) -> None:
        """Append a line.

        Args:
            line: its JSON, which ends with its only newline.
            exact: only the exact parser reads that as it is.

        Raises:
            StorageIOError: it cannot be written; `StorageFullError` if there is no space.
        """
        if self._file is None:
            with translated(self._directory):
                self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=self._directory, buffering=_BUFFER))  # noqa: SIM115 (closed by `close`)
        try:
            self._file.write(line)
        except OSError:
            with translated(self._directory):
                raise
        self.rows += 1
        if exact:
            self.exact = True
        before = self._end
        self._end = before + len(line)
        if self._end - self._start > self._most and before > self._start:
            self._full.append((self._start, before))
            self._start = before

    @property
    def shards(self) -> list[tuple[int, int]]:
        """Where each begins and ends, in bytes."""
        return [*self._full, (self._start, self._end)]

    def batches(self, most_bytes: int, most_rows: int, shard: int = 0) -> Iterator[list[bytes]]:
        """Yield the lines of a shard in order, in lists of about so many bytes and at most so many rows.

        Args:
            most_bytes: of a list; a longer line is a list of its own.
            most_rows: of a list.
            shard: its number.

        Raises:
            StorageIOError: it cannot be read, or what is buffered cannot be written.
        """
        start, end = self.shards[shard]
        left = end - start
        if self._file is not None and left:
            with translated(self._directory):
                self._file.seek(start)
        while self._file is not None and left > 0:
            with translated(self._directory):
                lines = self._file.readlines(min(most_bytes, left) - 1)  # stops behind the line that exceeds this
            left -= sum(map(len, lines))
            for first in range(0, len(lines), most_rows):
                some = lines[first : first + most_rows]
                if self.on_read is not None:
                    self.on_read(len(some))
                yield some

    def close(self) -> None:
        """Remove it. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass  # what was buffered could not be written, and is not wanted any more
