"""What lies in a store's data root, found by looking and not from the rows. Links are seen and never followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from starfish_storage.data.atomic import FileOperations
from starfish_storage.data.directories import Directories
from starfish_storage.data.file_errors import translated
from starfish_storage.data.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, is_key
from starfish_storage.data.staging import STAGING_DIRECTORY
from starfish_storage.errors import InvalidReferenceError


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file, or what stands in the place of one.

    Attributes:
        key: its path relative to the root, with ``/``.
        size: in bytes.
        modified: when its content was last changed, in nanoseconds since 1970.
        changed: when its content or its name was, or that it was made.
        is_data: it is a regular file under a key of record data or of a request configuration.
    """

    key: str
    size: int
    modified: int
    changed: int
    is_data: bool


class Inventory:
    """Walks ``data/``, ``configs/`` and ``staging/``.

    Args:
        root: absolute path of the data root.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._directories = Directories(root, FileOperations())

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

    def _look_into(self, directory: str) -> tuple[list[str], list[FoundFile]]:
        """Return the names of the directories in a directory, and everything else in it."""
        below: list[str] = []
        files: list[FoundFile] = []
        with translated(f"{self.root}/{directory}"):
            try:
                descriptor = self._directories.acquire(directory)
            except (FileNotFoundError, InvalidReferenceError):
                return below, files  # it is missing, or a link or a file
            try:
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            below.append(entry.name)
                        else:
                            files += _found(f"{directory}/{entry.name}", entry)
            finally:
                self._directories.release(directory, descriptor)
        return below, files


def _found(key: str, entry: os.DirEntry[str]) -> list[FoundFile]:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return []  # removed since it was listed
    is_data = entry.is_file(follow_symlinks=False) and is_key(key)
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return [FoundFile(key, status.st_size, status.st_mtime_ns, changed, is_data)]
