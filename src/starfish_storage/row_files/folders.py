"""Folders of files: a directory, or what a zip or tar file holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

from starfish_storage.errors import InvalidInputError
from starfish_storage.row_files.source_file import SourceFile, shown


class Folder(Protocol):
    """Files that belong together.

    Attributes:
        name: what people call it, without its path.
        shown: what it is called in messages.
    """

    name: str
    shown: str

    def names(self) -> list[str]:
        """Return the names of the files, with ``/`` between directories, sorted. What begins with a dot is left out."""
        ...

    def open(self, name: str) -> SourceFile:
        """Open a file.

        Raises:
            InvalidInputError: it cannot be read.
        """
        ...


class Directory:
    """A directory of the file system.

    Args:
        path: where it is.

    Raises:
        InvalidInputError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.name = os.path.basename(os.path.abspath(path))
        self.shown = shown(path)
        try:
            with os.scandir(path):
                pass
        except OSError as error:
            raise InvalidInputError(f"the directory {self.shown} cannot be read: {error.strerror}.") from error

    def names(self) -> list[str]:
        """See `Folder.names`."""
        return sorted(self._names())

    def open(self, name: str) -> SourceFile:
        """See `Folder.open`."""
        return SourceFile(os.path.join(self._path, name))

    def _names(self) -> Iterator[str]:
        for directory, below, files in os.walk(self._path):
            below[:] = [name for name in below if not name.startswith(".")]
            inside = os.path.relpath(directory, self._path)
            for name in files:
                if not name.startswith("."):
                    yield os.path.normpath(os.path.join(inside, name)).replace(os.sep, "/")
