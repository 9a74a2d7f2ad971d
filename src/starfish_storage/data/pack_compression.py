"""Compressing a pack in place: at any moment there is one whole form of it, which readers find."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from starfish_storage.data.compressed_packs import ENDING, CompressedPack, RecentFrames, compressed_frames, frame_chunks
from starfish_storage.data.directories import Directories
from starfish_storage.data.staging import Staging
from starfish_storage.errors import StorageIOError, StoreDamagedError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import read_at
from starfish_storage.files.errors import translated
from starfish_storage.files.locking import lock_now


class Compressed(NamedTuple):
    """What became of a pack, in bytes.

    Attributes:
        before: its size.
        after: its size now.
    """

    before: int
    after: int


class PackCompression:
    """Compresses packs that nobody appends to.

    Args:
        directories: the directories of the root.
        staging: where files are written first.
        files: the file operations.
    """

    def __init__(self, directories: Directories, staging: Staging, files: FileOperations) -> None:
        self._directories = directories
        self._staging = staging
        self._files = files

    def compress(self, key: str, committed: Callable[[], int | None]) -> Compressed | None:
        """Put a compressed pack in the place of a pack. Idempotent. Durable. Blocks.

        The compressed form is written beside it, read back, made safe and given its name; the plain one is removed
        last. Whoever is killed in between leaves both, of which readers take the plain one, and the next call goes on.

        Args:
            key: the pack's.
            committed: returns the pack's committed end, asked for once nobody can append to it any more; None if it is
                to stay as it is, because the journal still holds some of it.

        Returns: None where it stays as it is: somebody appends to it, or it is compressed.

        Raises:
            StoreDamagedError: it is shorter than what was committed.
            StorageFullError: no space was left.
            StorageIOError: it failed.
            MissingExtraError: what compresses it is not installed.
        """
        path = f"{self._directories.root}/{key}"
        directory, _, name = key.rpartition("/")
        with translated(path):
            try:
                parent = self._directories.acquire(directory)
            except FileNotFoundError:
                return None
            try:
                descriptor = self._files.open_for_appending(parent, name)
            except FileNotFoundError:
                self._directories.release(directory, parent)
                return None
            try:
                if not lock_out_writers(descriptor):
                    return None
                size = committed() if os.fstat(descriptor).st_nlink else None
                return None if size is None else self._replace(parent, name, descriptor, size, path)
            finally:
                os.close(descriptor)
                self._directories.release(directory, parent)

    def _replace(self, parent: int, name: str, descriptor: int, size: int, path: str) -> Compressed:
        before = os.fstat(descriptor).st_size
        if before < size:
            raise StoreDamagedError(path, f"it has {before:,} bytes of the {size:,} that were committed")
        staging, staged = self._staging.descriptor(), self._staging.new_name()
        try:
            after = self._write(staging, staged, descriptor, size, path)
            self._files.rename(staging, staged, parent, name + ENDING)
        except BaseException:
            self._files.remove(staging, staged)
            raise
        self._files.sync(parent)
        self._files.remove(parent, name)
        self._files.sync(parent)
        return Compressed(before, after)

    def _write(self, staging: int, staged: str, source: int, size: int, path: str) -> int:
        """Write the compressed form under a temporary name, compare what it holds, sync it, and return its size."""
        digest = hashlib.sha256()
        target = self._files.create_for_appending(staging, staged)
        try:
            for piece in compressed_frames(_noted(frame_chunks(_reader(source, size)), digest.update)):
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(target, rest) :]
            again = hashlib.sha256()
            for part in CompressedPack(target, path, RecentFrames()).parts(0, size):
                again.update(part)
            if again.digest() != digest.digest():
                raise StorageIOError(path, None, "its compressed form does not hold what it does")
            self._files.sync(target)
            return os.fstat(target).st_size
        finally:
            os.close(target)


def lock_out_writers(descriptor: int) -> bool:
    """Lock an open pack until it is closed; return False if somebody appends to it, or may.

    The writer of this process is locked out, too: a lock is of the descriptor. Where the file system knows no locks,
    anybody may append.
    """
    try:
        lock_now(descriptor)
    except OSError:
        return False
    return True


def _reader(descriptor: int, size: int) -> Callable[[int], bytes]:
    """Return a function that reads on, up to a size."""
    position = 0

    def read(length: int) -> bytes:
        nonlocal position
        found = read_at(descriptor, min(length, size - position), position)
        position += len(found)
        return found

    return read


def _noted(chunks: Iterator[bytes], note: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        note(chunk)
        yield chunk
