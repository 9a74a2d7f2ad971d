"""Changes to files: staged, put in place, revoked."""

from __future__ import annotations

from starfish_storage.data.directories import Directories
from starfish_storage.data.staging import Staging
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.interface import DataWrite
from starfish_storage.keys import STAGING_DIRECTORY


class FileWrite(DataWrite):
    """A file that is written to the staging directory, then renamed."""

    __slots__ = ("_backup", "_place", "_staged")

    def __init__(self, place: FilePlace, key: str, payload: bytes) -> None:
        super().__init__(key, payload)
        self._place = place
        self._staged: str | None = None
        self._backup: str | None = None

    def stage(self) -> None:
        """Write the file under a temporary name, and see to the directory it will move to."""
        self._staged = self._place.stage(self.key, self.payload or b"")

    def replaces(self) -> bool:
        """See `DataWrite.replaces`."""
        return self._place.exists(self.key)

    def publish(self, *, revocable: bool = False) -> None:
        """Rename the file into place."""
        assert self._staged is not None, "publish() without stage()"
        if revocable:
            self._backup = self._place.keep_previous(self.key)
        self._place.move(self._staged, self.key)
        self._staged = None

    def revoke(self) -> None:
        """Rename the previous version back, or remove the file if there was none."""
        if self._backup is None:
            self._place.remove(self.key)
        else:
            self._place.move(self._backup, self.key)
            self._backup = None

    def discard(self) -> None:
        """See `DataWrite.discard`."""
        for name in (self._staged, self._backup):
            if name is not None:
                self._place.discard(name)
        self._staged = self._backup = None


class FileCopy(FileWrite):
    """A file that is a copy of another, and is as old.

    Args:
        place: the steps of a change.
        key: where it goes.
        payload: its content.
        modified: when that was last changed, in nanoseconds since 1970.
    """

    __slots__ = ("_modified",)

    def __init__(self, place: FilePlace, key: str, payload: bytes, modified: int) -> None:
        super().__init__(place, key, payload)
        self._modified = modified

    def stage(self) -> None:
        """Write the file under a temporary name, and give it its age."""
        super().stage()
        assert self._staged is not None
        self._place.set_modified(self._staged, self._modified)


class FileRemoval(DataWrite):
    """A file that is removed once its row is gone."""

    __slots__ = ("_place",)

    def __init__(self, place: FilePlace, key: str) -> None:
        super().__init__(key, None)
        self._place = place

    def stage(self) -> None:
        """Nothing can fail yet."""

    def replaces(self) -> bool:
        """A removal always changes what is there."""
        return True

    def publish(self, *, revocable: bool = False) -> None:  # noqa: ARG002 (see `revoke`)
        """Remove the file."""
        self._place.remove(self.key)

    def revoke(self) -> None:
        """Removals come last and are finished later if they fail: there is nothing to undo."""

    def discard(self) -> None:
        """Nothing was staged."""


class FilePlace:
    """The steps of a change, on the directories of one root.

    Args:
        directories: the directories of the root.
        staging: where files are written first.
        files: the file operations.
    """

    def __init__(self, directories: Directories, staging: Staging, files: FileOperations) -> None:
        self._directories = directories
        self._staging = staging
        self._files = files

    def exists(self, key: str) -> bool:
        """Return whether there is a regular file under a key."""
        directory, _, name = key.rpartition("/")
        with translated(self._path(key)):
            try:
                descriptor = self._directories.acquire(directory)
            except FileNotFoundError:
                return False
            try:
                return self._files.is_file(descriptor, name)
            finally:
                self._directories.release(directory, descriptor)

    def stage(self, key: str, payload: bytes) -> str:
        """Write a file under a temporary name, which is returned, and make the directory it will move to."""
        directory = key.rpartition("/")[0]
        with translated(self._path(key)):
            self._directories.release(directory, self._directories.acquire(directory, create=True))
            name = self._staging.new_name()
            self._files.write_new(self._staging.descriptor(), name, payload)
            return name

    def set_modified(self, staged: str, modified: int) -> None:
        """Set when a staged file's content was last changed."""
        with translated(f"{self._directories.root}/{STAGING_DIRECTORY}/{staged}"):
            self._files.set_modified(self._staging.descriptor(), staged, modified)

    def move(self, staged: str, key: str) -> None:
        """Give a staged file its final name."""
        directory, _, name = key.rpartition("/")
        with translated(self._path(key)):
            try:
                self._move_into(directory, staged, name)
            except FileNotFoundError:
                if not self._directories.notice_replaced(directory):
                    raise
                self._move_into(directory, staged, name)

    def keep_previous(self, key: str) -> str | None:
        """Keep what is under a key under a temporary name, which is returned; None if there is nothing."""
        directory, _, name = key.rpartition("/")
        with translated(self._path(key)):
            descriptor = self._directories.acquire(directory, create=True)
            try:
                backup = self._staging.new_name()
                self._files.link(descriptor, name, self._staging.descriptor(), backup)
            except FileNotFoundError:
                return None
            finally:
                self._directories.release(directory, descriptor)
            return backup

    def remove(self, key: str) -> None:
        """Remove what is under a key; nothing there is fine."""
        directory, _, name = key.rpartition("/")
        with translated(self._path(key)):
            try:
                descriptor = self._directories.acquire(directory)
            except FileNotFoundError:
                return
            try:
                self._files.remove(descriptor, name)
            finally:
                self._directories.release(directory, descriptor)

    def discard(self, staged: str) -> None:
        """Remove a staged file. Never raises: a leftover is removed when the store is opened the next time."""
        try:
            self._files.remove(self._staging.descriptor(), staged)
        except OSError:
            pass

    def _move_into(self, directory: str, staged: str, name: str) -> None:
        descriptor = self._directories.acquire(directory, create=True)
        try:
            self._files.rename(self._staging.descriptor(), staged, descriptor, name)
        finally:
            self._directories.release(directory, descriptor)

    def _path(self, key: str) -> str:
        return f"{self._directories.root}/{key}"
