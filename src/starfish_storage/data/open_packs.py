"""Packs that are open for reading: as they were appended to, or compressed."""

from __future__ import annotations

import errno
import os
import stat

from starfish_storage import keys
from starfish_storage.data.compressed_packs import ENDING, CompressedPack, RecentFrames
from starfish_storage.data.directories import Directories
from starfish_storage.errors import InvalidReferenceError
from starfish_storage.files.atomic import close, opened
from starfish_storage.files.descriptors import NO_LINK_NO_WAIT, read_at
from starfish_storage.files.errors import translated
from starfish_storage.keys import PACKS_DIRECTORY

# Not blocking: opening a planted FIFO would wait for a writer that never comes.
_READ = os.O_RDONLY | NO_LINK_NO_WAIT


class OpenPack:
    """A pack that is open for reading until nobody refers to it: a thread may be reading what another gives up."""

    __slots__ = ("_descriptor", "_size")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it, whoever refers to it, as the trace of an error may for long. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            close(descriptor)

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._descriptor

    def size(self) -> int:
        """Return how many bytes it has now."""
        return os.fstat(self._descriptor).st_size

    def reaches(self, end: int) -> bool:
        """Return whether it has so many bytes: a row that was tampered with may say anything."""
        if end > self._size:
            self._size = self.size()
        return end <= self._size

    def is_removed(self) -> bool:
        """Return whether it has no name any more."""
        return os.fstat(self._descriptor).st_nlink == 0

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of it; fewer if it ends before."""
        content = read_at(self._descriptor, length, start)
        while 0 < len(content) < length:
            more = read_at(self._descriptor, length - len(content), start + len(content))
            if not more:
                break
            content += more
        return content


class OpenCompressedPack(OpenPack):
    """A compressed pack, whose bytes are those of its content.

    Args:
        descriptor: the open file.
        path: what errors call it.
        frames: keeps the frames that were read last.

    Raises:
        StoreDamagedError: it is no compressed pack, or its seek table is damaged.
        MissingExtraError: what decompresses it is not installed.
    """

    __slots__ = ("_content",)

    def __init__(self, descriptor: int, path: str, frames: RecentFrames) -> None:
        super().__init__(descriptor)
        self._content = CompressedPack(descriptor, path, frames)

    def size(self) -> int:
        """See `OpenPack.size`."""
        return self._content.size

    def read(self, start: int, length: int) -> bytes:
        """See `OpenPack.read`. Raises `StoreDamagedError` if a frame is damaged."""
        return self._content.read(start, length)


def open_pack(directories: Directories, name: str, frames: RecentFrames) -> OpenPack:
    """Open a pack: the plain one, or where there is none the compressed one.

    Args:
        directories: the directories of the root.
        name: of the pack.
        frames: keeps the frames of compressed packs that were read last.

    Raises:
        FileNotFoundError: there is neither; a plain error of the system.
        InvalidReferenceError: what is there is a link or no regular file.
        StoreDamagedError: it is a compressed one, and its seek table is damaged.
        MissingExtraError: it is a compressed one, and what decompresses it is not installed.
        StorageIOError: it cannot be read.
    """
    key = keys.pack_key(name)
    try:
        return OpenPack(opened_pack(directories, key))
    except FileNotFoundError:
        key += ENDING
    descriptor = opened_pack(directories, key)
    path = f"{directories.root}/{key}"
    with translated(path):
        return OpenCompressedPack(descriptor, path, frames)


def opened_pack(directories: Directories, key: str) -> int:
    """Open the file of a pack, plain or compressed, for reading, and return the descriptor.

    Raises:
        FileNotFoundError: there is none; a plain error of the system.
        InvalidReferenceError: what is there is a link or no regular file.
        StorageIOError: it cannot be opened.
    """
    with translated(f"{directories.root}/{key}", missing_passes=True):
        directory = directories.acquire(PACKS_DIRECTORY)
        try:
            descriptor = opened(key.rpartition("/")[2], _READ, directory)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise InvalidReferenceError(key, "there is a link or a device, not a regular file") from error
            raise
        finally:
            directories.release(PACKS_DIRECTORY, directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            close(descriptor)
            raise InvalidReferenceError(key, "what is there is not a regular file")
    return descriptor
