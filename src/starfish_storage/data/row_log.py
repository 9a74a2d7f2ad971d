"""The row log: every row change as a line beside the data, from which a lost database can be rebuilt.

It is written in the course of each commit and never read by ordinary work, so it costs one more write a group. The
database stays the truth: a line of a commit that a kill prevented may stand here, and the last lines may be lost at a
power cut.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Self

from starfish_storage.data.directories import Directories
from starfish_storage.data.staging import Staging
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import NO_LINK_NO_WAIT, read_at
from starfish_storage.files.errors import translated
from starfish_storage.interface import RowLogHandler
from starfish_storage.keys import ROW_LOG_FILE

_HEAD = 1 << 16
_PIECE = 1 << 20
_READ = os.O_RDONLY | NO_LINK_NO_WAIT  # not waiting for a planted FIFO's writer


class FileRowLog(RowLogHandler):
    """Appends lines to ``rows.jsonl`` in a root directory.

    Args:
        directories: the directories of the root.
        staging: where a new log is written before it gets its name.
        files: the file operations.
    """

    def __init__(self, directories: Directories, staging: Staging, files: FileOperations) -> None:
        self._directories = directories
        self._staging = staging
        self._files = files
        self._descriptor = -1
        self._size_before = 0

    @property
    def is_open(self) -> bool:
        """Whether rows can be appended."""
        return self._descriptor >= 0

    def holds_rows(self) -> bool:
        """See `RowLogHandler.holds_rows`."""
        if not os.path.isdir(self._directories.root):
            return False
        with RowLogOfNow(self._directories.root) as row_log:
            return row_log.holds_rows()

    def open(self, header: bytes) -> int | None:
        """See `RowLogHandler.open`."""
        with translated(self._path):
            root = self._directories.acquire("")
            try:
                self._descriptor = self._files.open_for_appending(root, ROW_LOG_FILE)
            except FileNotFoundError:
                return None
            finally:
                self._directories.release("", root)
            size = os.fstat(self._descriptor).st_size
            if size and read_at(self._descriptor, 1, size - 1) != b"\n":
                self._append(b"\n")  # a power cut has torn the last line
            if not read_at(self._descriptor, _HEAD, 0).startswith(header):
                self._append(header)
        return size

    def create(self, lines: Iterable[bytes]) -> None:
        """See `RowLogHandler.create`."""
        self._create(lines, None)

    def copy(self, original: RowLogOfNow) -> None:
        """Make this log a copy of another, as old."""
        self._create(original.content(), original.modified)

    def append(self, lines: bytes) -> None:
        """See `RowLogHandler.append`."""
        with translated(self._path):
            self._size_before = os.fstat(self._descriptor).st_size
            try:
                self._append(lines)
            except OSError:
                self.take_back()
                raise

    def take_back(self) -> None:
        """See `RowLogHandler.take_back`."""
        try:
            os.ftruncate(self._descriptor, self._size_before)
        except OSError:
            pass

    def size(self) -> int:
        """See `RowLogHandler.size`."""
        return os.fstat(self._descriptor).st_size

    def make_safe(self) -> None:
        """See `RowLogHandler.make_safe`."""
        with translated(self._path):
            self._files.sync(self._descriptor)

    def sync(self) -> None:
        """Nothing to do: `DataHandler.sync` syncs the log with the files beside it, in one call for all."""

    def close(self) -> None:
        """See `RowLogHandler.close`."""
        self._let_go()

    @property
    def _path(self) -> str:
        return f"{self._directories.root}/{ROW_LOG_FILE}"

    def _create(self, lines: Iterable[bytes], modified: int | None) -> None:
        self._let_go()
        with translated(self._path):
            root = self._directories.acquire("")
            try:
                name = self._staging.new_name()
                self._descriptor = self._files.create_for_appending(self._staging.descriptor(), name)
                for line in lines:
                    self._append(line)
                if modified is not None:
                    self._files.set_modified(self._staging.descriptor(), name, modified)
                self._files.sync(self._descriptor)
                self._files.rename(self._staging.descriptor(), name, root, ROW_LOG_FILE)
                self._files.sync(root)
            except BaseException:
                self._let_go()
                raise
            finally:
                self._directories.release("", root)

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, lines: bytes) -> None:
        written = os.write(self._descriptor, lines)
        while written < len(lines):
            more = os.write(self._descriptor, lines[written:])
            if not more:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += more


class LoneRowLog(FileRowLog):
    """A row log in a directory that holds no data: that of the database, where the data lies in an object store.

    Args:
        root: absolute path of the directory.
        files: the file operations.
    """

    def __init__(self, root: str, files: FileOperations | None = None) -> None:
        files = files or FileOperations()
        directories = Directories(root, files)
        super().__init__(directories, Staging(directories, files), files)

    def create(self, lines: Iterable[bytes]) -> None:
        """See `RowLogHandler.create`."""
        super().create(lines)
        with translated(self._path):
            self._staging.discard_leftovers()  # of one that was killed here; nothing else is ever staged

    def sync(self) -> None:
        """Sync the file."""
        self.make_safe()

    def close(self) -> None:
        """See `RowLogHandler.close`."""
        super().close()
        self._staging.close()
        self._directories.close()


class RowLogOfNow:
    """A row log as it is at this moment, whatever is appended to it later. Use it in ``with``.

    Args:
        root: absolute path of the data root.

    Attributes:
        size: in bytes; 0 if there is no log.
        modified: when it was changed last, in nanoseconds since 1970.
    """

    def __init__(self, root: str) -> None:
        self._path = f"{root}/{ROW_LOG_FILE}"
        self._descriptor = -1
        self.size = self.modified = 0
        with translated(self._path):
            try:
                self._descriptor = os.open(self._path, _READ)
            except FileNotFoundError:
                return
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                self.close()
                raise OSError(errno.EINVAL, "what is there is not a regular file")
            self.size, self.modified = found.st_size, found.st_mtime_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def holds_rows(self) -> bool:
        """Return whether there is more in it than its header."""
        return any(b"\n[" in piece for piece in self._pieces(_HEAD))

    def lines(self) -> int:
        """Return how many lines it has."""
        return sum(piece.count(b"\n") for piece in self.content())

    def content(self) -> Iterator[bytes]:
        """Yield its content in pieces."""
        return self._pieces(self.size)

    def _pieces(self, until: int) -> Iterator[bytes]:
        position, until = 0, min(until, self.size)
        while position < until:
            with translated(self._path):
                piece = read_at(self._descriptor, min(_PIECE, until - position), position)
            if not piece:
                return  # lines that were taken back
            yield piece
            position += len(piece)

    def close(self) -> None:
        """Close it. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
