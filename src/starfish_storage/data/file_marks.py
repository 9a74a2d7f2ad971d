"""The marks that say whose data lies in a directory."""

from __future__ import annotations

import os

from starfish_storage.data.directories import Directories
from starfish_storage.data.staging import Staging
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.interface.marks import PlaceMarks, holds_no_places

_MOST_LOOKED_AT = 200  # directories below


class FileMarks(PlaceMarks):
    """See `PlaceMarks`. A name is given by a link, which only one of several gets, also over a network.

    Args:
        directories: the directories of the root.
        staging: where files are written first.
        files: the file operations.
    """

    def __init__(self, directories: Directories, staging: Staging, files: FileOperations) -> None:
        self._directories = directories
        self._staging = staging
        self._files = files

    def put(self, key: str, payload: bytes) -> None:
        """See `PlaceMarks.put`."""
        self.put_if_absent(key, payload)

    def put_if_absent(self, key: str, payload: bytes) -> bool:
        """See `PlaceMarks.put_if_absent`."""
        directory, _, name = key.rpartition("/")
        with translated(f"{self._directories.root}/{key}"):
            parent = self._directories.acquire(directory, create=True)
            staging, staged = self._staging.descriptor(), self._staging.new_name()
            try:
                self._files.write_new(staging, staged, payload)
                try:
                    self._sync_file(staging, staged)
                    self._files.link(staging, staged, parent, name)
                except FileExistsError:
                    return False
                finally:
                    self._files.remove(staging, staged)
                self._files.sync(parent)
                if directory:
                    root = self._directories.acquire("")
                    self._files.sync(root)
                    self._directories.release("", root)
            finally:
                self._directories.release(directory, parent)
        return True

    def remove(self, key: str) -> None:
        """See `PlaceMarks.remove`."""
        with translated(f"{self._directories.root}/{key}"):
            self._files.remove_path(f"{self._directories.root}/{key}")

    def below(self, directory: str) -> list[str]:
        """See `PlaceMarks.below`."""
        path = f"{self._directories.root}/{directory}"
        with translated(path):
            try:
                return [f"{directory}/{name}" for name in sorted(os.listdir(path))]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def around(self, name: str) -> list[str]:
        """See `PlaceMarks.around`."""
        root = os.path.realpath(self._directories.root)
        found: list[str] = []
        above = root
        while (above := os.path.dirname(above)) != os.path.dirname(above):
            if os.path.isfile(f"{above}/{name}"):
                found.append(f"{above}/{name}")
        for looked_at, (directory, directories, names) in enumerate(os.walk(root)):
            if looked_at >= _MOST_LOOKED_AT:
                break
            place = os.path.relpath(directory, root)
            if name in names and place != ".":
                found.append(f"{directory}/{name}")
            directories[:] = [
                one for one in sorted(directories) if not holds_no_places(os.path.normpath(f"{place}/{one}"))
            ]
        return found

    def _sync_file(self, directory: int, name: str) -> None:
        descriptor = self._files.open_for_appending(directory, name)
        try:
            self._files.sync(descriptor)
        finally:
            os.close(descriptor)
