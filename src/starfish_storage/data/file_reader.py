"""Reading data files, each of one key."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import TypeVar

from starfish_storage.data.directories import Directories
from starfish_storage.errors import DataNotFoundError, InvalidReferenceError
from starfish_storage.files.atomic import close, opened
from starfish_storage.files.descriptors import NO_LINK_NO_WAIT
from starfish_storage.files.errors import translated

Result = TypeVar("Result")

# Not blocking: opening a planted FIFO would wait for a writer that never comes.
_READ = os.O_RDONLY | NO_LINK_NO_WAIT
_AT_ONCE = 1 << 14  # bytes; larger files are asked for their size


class FileReader:
    """Reads the files of keys below one root.

    Args:
        directories: the directories of the root.
        to_reference: what callers see of a key.
    """

    def __init__(self, directories: Directories, to_reference: Callable[[str], str]) -> None:
        self._directories = directories
        self._to_reference = to_reference

    def read(self, key: str) -> bytes:
        """See `DataHandler.read`."""
        return self._insisting(key, lambda: self._read(key))

    def read_or_none(self, key: str) -> bytes | None:
        """Return a file; None if there is none."""
        payload = self._read_at_once(key)
        if payload is not None:
            return payload
        try:
            return self._insisting(key, lambda: self._read(key))
        except DataNotFoundError:
            return None

    def read_small(self, key: str, largest: int) -> bytes | int | None:
        """Return a file; its size if that is larger; None if there is none."""
        payload = self._read_at_once(key)
        if payload is not None and len(payload) <= largest:
            return payload
        try:
            return self._insisting(key, lambda: self._read_up_to(key, largest))
        except DataNotFoundError:
            return None

    def read_parts(self, key: str, length: int) -> Iterator[bytes]:
        """See `DataHandler.read_parts`."""
        descriptor, _ = self._insisting(key, lambda: self._open(key))
        try:
            with translated(self._path(key)):
                while part := os.read(descriptor, length):
                    yield part
        finally:
            close(descriptor)

    def read_with_time(self, key: str) -> tuple[bytes, int] | None:
        """Return one version of what is under a key, and when that was changed last; None if there is nothing.

        Raises:
            StorageIOError: it cannot be read.
        """
        try:
            descriptor, found = self._open(key)
        except FileNotFoundError:
            return None
        try:
            with translated(self._path(key)):
                return _read_whole(descriptor, found.st_size), found.st_mtime_ns
        finally:
            os.close(descriptor)

    def _read_at_once(self, key: str) -> bytes | None:
        """Return a file as it usually is; None where `read` has to look closer, which takes twice as long.

        It is not asked whether the file is a regular one: a device or FIFO that was planted gives nothing, or too much,
        or what its row's digest does not fit.
        """
        directory, _, name = key.rpartition("/")
        parent = self._directories.kept(directory)
        if parent is None:
            return None
        try:
            descriptor = opened(name, _READ, parent)
        except OSError:
            return None
        try:
            content = os.read(descriptor, _AT_ONCE)
        except OSError:
            return None
        finally:
            close(descriptor)
        return content if 0 < len(content) < _AT_ONCE else None

    def _insisting(self, key: str, read: Callable[[], Result]) -> Result:
        """Read, again if the directory was replaced; raise `DataNotFoundError` if there is no file."""
        try:
            return read()
        except FileNotFoundError:
            pass
        if self._directories.notice_replaced(key.rpartition("/")[0]):
            try:
                return read()
            except FileNotFoundError:
                pass
        raise DataNotFoundError("data", self._to_reference(key), "it was never saved, or was deleted")

    def _read(self, key: str) -> bytes:
        descriptor, found = self._open(key)
        try:
            with translated(self._path(key)):
                return _read_whole(descriptor, found.st_size)
        finally:
            close(descriptor)

    def _read_up_to(self, key: str, largest: int) -> bytes | int:
        descriptor, found = self._open(key)
        try:
            if found.st_size > largest:
                return found.st_size
            with translated(self._path(key)):
                return _read_whole(descriptor, found.st_size)
        finally:
            close(descriptor)

    def _open(self, key: str) -> tuple[int, os.stat_result]:
        """Open a regular file. Raises a plain `FileNotFoundError` if there is none."""
        directory, _, name = key.rpartition("/")
        with translated(self._path(key), missing_passes=True):
            parent = self._directories.acquire(directory)
            try:
                try:
                    descriptor = opened(name, _READ, parent)
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENXIO):
                        raise InvalidReferenceError(key, "there is a link or a device, not a regular file") from error
                    raise
            finally:
                self._directories.release(directory, parent)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                close(descriptor)
                raise InvalidReferenceError(key, "what is there is not a regular file")
            return descriptor, found

    def _path(self, key: str) -> str:
        return f"{self._directories.root}/{key}"


def _read_whole(descriptor: int, size: int) -> bytes:
    content = os.read(descriptor, size)
    while len(content) < size:
        more = os.read(descriptor, size - len(content))
        if not more:
            break
        content += more
    return content
