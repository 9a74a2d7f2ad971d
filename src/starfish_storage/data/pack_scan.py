"""Packs as they lie in a directory, read in order and in large parts: for checks, which trust no row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Self

from starfish_storage.data.compressed_packs import ENDING, CompressedPack, RecentFrames
from starfish_storage.data.directories import Directories
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.open_packs import opened_pack
from starfish_storage.errors import StorageError
from starfish_storage.files.atomic import FileOperations, close
from starfish_storage.files.descriptors import read_at
from starfish_storage.files.errors import translated
from starfish_storage.files.locking import lock_now, unlock
from starfish_storage.keys import PACKS_DIRECTORY, PackPlace, pack_key

_PART = 4 << 20  # bytes that are read in one call


class ScannedPack:
    """A pack that is open for reading, with the part that was read last. For one thread; use it in ``with``.

    Places count the bytes of its content, compressed or not. If both forms are there, it is the plain one.

    Args:
        directories: the directories of the data root.
        pack: its name.

    Raises:
        FileNotFoundError: there is none.
        InvalidReferenceError: what is there is a link or no regular file.
        StorageIOError: it cannot be opened.
        StoreDamagedError: it is compressed, and its seek table is damaged.
        MissingExtraError: it is compressed, and what decompresses it is not installed.
    """

    def __init__(self, directories: Directories, pack: str) -> None:
        self.pack = pack
        self._directories = directories
        self.key = pack_key(pack)
        self._compressed: CompressedPack | None = None
        try:
            self._descriptor = opened_pack(directories, self.key)
        except FileNotFoundError:
            self.key += ENDING
            self._descriptor = opened_pack(directories, self.key)
        self.path = f"{directories.root}/{self.key}"
        if self.key.endswith(ENDING):
            try:
                with translated(self.path):
                    self._compressed = CompressedPack(self._descriptor, self.path, RecentFrames())
            except BaseException:
                close(self._descriptor)
                raise
        self._start = 0
        self._part = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        close(self._descriptor)

    def size(self) -> int:
        """Return how many bytes its content has now. Raises nothing of its own."""
        return self._compressed.size if self._compressed is not None else os.fstat(self._descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of it; fewer if it ends before. Quick in the order of the bytes.

        Raises:
            StorageIOError: it cannot be read.
        """
        skipped = start - self._start
        if not 0 <= skipped <= len(self._part) - length:
            if length > _PART:  # a forged row may ask for any number
                return self._read_at(start, min(length, max(0, self.size() - start)))
            self._start, self._part, skipped = start, self._read_at(start, _PART), 0
        return self._part[skipped : skipped + length]

    def lines(self, start: int = 0, until: int | None = None) -> Iterator[tuple[PackPlace, bytes]]:
        """Yield what lies between two places, line by line, each with its newline, which the last one may lack.

        Raises:
            StorageIOError: it cannot be read.
        """
        until = self.size() if until is None else until
        rest = b""
        while part := self._read_at(start + len(rest), min(max(_PART, len(rest)), max(0, until - start - len(rest)))):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                yield PackPlace(self.pack, start, len(line) + 1), line + b"\n"
                start += len(line) + 1
        if rest:
            yield PackPlace(self.pack, start, len(rest)), rest

    def is_owned(self) -> bool:
        """Return whether somebody who is alive appends to it. Raises nothing of its own."""
        if not self._lock(shared=True):
            return True
        unlock(self._descriptor)
        return False

    def take(self) -> bool:
        """Keep others from appending to it, or removing it, until it is closed; return False if somebody does by now.

        Raises nothing of its own.
        """
        return self._lock() and os.fstat(self._descriptor).st_nlink == 1

    def cut(self, size: int) -> None:
        """Cut off what lies behind so many bytes of a plain pack that was taken.

        Raises:
            OSError: it failed.
        """
        parent = self._directories.acquire(PACKS_DIRECTORY)
        try:
            descriptor = FileOperations().open_for_changes(parent, self.key.rpartition("/")[2])
            try:
                FileOperations().truncate(descriptor, size)
            finally:
                close(descriptor)
        finally:
            self._directories.release(PACKS_DIRECTORY, parent)

    def _lock(self, *, shared: bool = False) -> bool:
        try:
            lock_now(self._descriptor, shared=shared)
        except OSError:  # somebody has it, or there are no locks, so that nobody can tell
            return False
        return True

    def _read_at(self, start: int, length: int) -> bytes:
        with translated(self.path):
            if self._compressed is not None:
                return self._compressed.read(start, length)
            content = read_at(self._descriptor, length, start)
            while 0 < len(content) < length:
                more = read_at(self._descriptor, length - len(content), start + len(content))
                if not more:
                    break
                content += more
        return content


def packs_backwards(directories: Directories) -> Iterator[tuple[str, Iterator[tuple[PackPlace, bytes]]]]:
    """Yield the packs that can be read, the latest first, each with its lines in their order."""
    with closing(Inventory(directories.root)) as inventory:
        names = {file.pack for file in inventory.files(PACKS_DIRECTORY) if file.pack is not None}
    for name in sorted(names, key=lambda name: (len(name), name), reverse=True):
        try:
            pack = ScannedPack(directories, name)
        except (FileNotFoundError, StorageError):
            continue  # whose data it holds has none by then, and verify tells why
        with pack:
            yield name, _as_far_as_can_be(pack.lines())


def _as_far_as_can_be(lines: Iterator[tuple[PackPlace, bytes]]) -> Iterator[tuple[PackPlace, bytes]]:
    try:
        yield from lines
    except StorageError:
        return  # a frame is damaged, or the disk
