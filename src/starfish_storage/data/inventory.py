"""What lies in a store's data root, found by looking and not from the rows. Links are seen and never followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice

from starfish_storage.data.directories import Directories
from starfish_storage.errors import InvalidReferenceError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import DIRECTORY_NO_LINK
from starfish_storage.files.errors import translated
from starfish_storage.files.locking import lock_now
from starfish_storage.interface.inspection import DataInventory, FoundFile
from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, STAGING_DIRECTORY, is_key, pack_named

__all__ = ["FoundFile", "Inventory"]

_PAGE = 1000


class Inventory(DataInventory):
    """Walks ``data/``, ``configs/`` and ``staging/``.

    Args:
        root: absolute path of the data root.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._directories = Directories(root, FileOperations())

    @property
    def place(self) -> str:
        """See `DataInventory.place`."""
        return self.root

    def pages(self) -> Iterator[Sequence[FoundFile]]:
        """See `DataInventory.pages`; a page may be of several directories."""
        files = self._everything()
        while page := list(islice(files, _PAGE)):
            yield page

    def find(self, key: str) -> FoundFile | None:
        """See `DataInventory.find`."""
        try:
            status = os.stat(f"{self.root}/{key}", follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _described(key, status, is_file=stat.S_ISREG(status.st_mode))

    def directories(self) -> Iterator[str]:
        """Yield the directories that may hold data files: ``configs`` and all below ``data``, one after the other."""
        yield CONFIG_DIRECTORY
        pending = [DATA_DIRECTORY]
        while pending:
            directory = pending.pop()
            below, _ = self._look_into(directory)
            pending += [f"{directory}/{name}" for name in sorted(below, reverse=True)]
            yield directory

    def files(self, directory: str) -> list[FoundFile]:
        """Return what lies in a directory, except directories; nothing where there is none, or a link."""
        return self._look_into(directory)[1]

    def leftovers(self) -> list[FoundFile]:
        """Return what is being written, or was when its writer died."""
        sessions, files = self._look_into(STAGING_DIRECTORY)
        return files + [file for session in sessions for file in self.files(f"{STAGING_DIRECTORY}/{session}")]

    def close(self) -> None:
        """Close what was opened. Idempotent."""
        self._directories.close()

    def has_writer(self, found: FoundFile) -> bool:
        """See `DataInventory.has_writer`: it holds the lock of the directory that it writes in."""
        try:
            descriptor = os.open(f"{self.root}/{os.path.dirname(found.key)}", DIRECTORY_NO_LINK)
        except OSError:
            return True  # not known to have none
        try:
            lock_now(descriptor)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def remove_leftover(self, found: FoundFile) -> None:
        """See `DataInventory.remove_leftover`."""
        FileOperations().remove_path(f"{self.root}/{found.key}")

    def _everything(self) -> Iterator[FoundFile]:
        pending = [DATA_DIRECTORY, CONFIG_DIRECTORY]
        while pending:
            directory = pending.pop()
            below: list[str] = []
            yield from self._each(directory, below)
            pending += [f"{directory}/{name}" for name in sorted(below, reverse=True)]

    def _look_into(self, directory: str) -> tuple[list[str], list[FoundFile]]:
        """Return the names of the directories in a directory, and everything else in it."""
        below: list[str] = []
        return below, list(self._each(directory, below))

    def _each(self, directory: str, below: list[str]) -> Iterator[FoundFile]:
        """Yield what lies in a directory, except directories, whose names are added to ``below``."""
        with translated(f"{self.root}/{directory}"):
            try:
                descriptor = self._directories.acquire(directory)
            except (FileNotFoundError, InvalidReferenceError):
                return  # it is missing, or a link or a file
            try:
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            below.append(entry.name)
                        else:
                            yield from _found(f"{directory}/{entry.name}", entry)
            finally:
                self._directories.release(directory, descriptor)


def _found(key: str, entry: os.DirEntry[str]) -> list[FoundFile]:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return []  # removed since it was listed
    return [_described(key, status, is_file=entry.is_file(follow_symlinks=False))]


def _described(key: str, status: os.stat_result, *, is_file: bool) -> FoundFile:
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    pack = pack_named(key) if is_file else None
    return FoundFile(key, status.st_size, status.st_mtime_ns, changed, is_file and is_key(key), pack)
