"""Data as JSON files below one root directory."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Sequence

from starfish_storage.data import keys
from starfish_storage.data.atomic import PRIVATE_DIRECTORY, FileOperations
from starfish_storage.data.directories import Directories
from starfish_storage.data.file_errors import translated
from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StoreOpenError
from starfish_storage.interface import DataHandler, DataWrite

STAGING_DIRECTORY = "staging"

# Not blocking: opening a planted FIFO would wait for a writer that never comes.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class FileSystemDataHandler(DataHandler):
    """Keeps each key as one file, written under a temporary name and renamed into place.

    Args:
        root: absolute path of the directory that holds ``data/``, ``configs/`` and ``staging/``.
        files: the file operations; tests pass ones that count or fail.
    """

    def __init__(self, root: str, files: FileOperations | None = None) -> None:
        self.root = root
        self.files = files or FileOperations()
        self.directories = Directories(root, self.files)
        self._roots: tuple[str, ...] = (root,)
        self._session = uuid.uuid4().hex
        self._numbers = itertools.count()

    @property
    def staging_directory(self) -> str:
        """The directory, relative to the root, where this object writes files before they get their names."""
        return f"{STAGING_DIRECTORY}/{self._session}"

    def next_staging_name(self) -> str:
        """Return a file name that is new in `staging_directory`."""
        return str(next(self._numbers))

    def setup(self) -> None:
        """See `DataHandler.setup`."""
        make_root(self.root)
        real = os.path.realpath(self.root)
        self._roots = (self.root,) if real == self.root else (self.root, real)
        with translated(self.root):
            for name in (keys.DATA_DIRECTORY, keys.CONFIG_DIRECTORY, STAGING_DIRECTORY):
                self.directories.release(name, self.directories.acquire(name, create=True))
            root = self.directories.acquire("")
            self.files.sync(root)
            self.directories.release("", root)

    def close(self) -> None:
        """See `DataHandler.close`."""
        try:
            staging = self.directories.acquire(STAGING_DIRECTORY)
            os.rmdir(self._session, dir_fd=staging)
            self.directories.release(STAGING_DIRECTORY, staging)
        except OSError:
            pass  # never made, or not empty: the next one to have the store alone removes it
        self.directories.close()

    def record_key(self, record_uid: str) -> str:
        """See `DataHandler.record_key`."""
        return keys.record_key(record_uid)

    def request_config_key(self, master_job_id: str) -> str:
        """See `DataHandler.request_config_key`."""
        return keys.request_config_key(master_job_id)

    def to_reference(self, key: str) -> str:
        """Return the absolute path of a key."""
        return f"{self.root}/{key}"

    def to_key(self, reference: str) -> str:
        """See `DataHandler.to_key`."""
        return keys.key_of_path(reference, self._roots)

    def check_record_key(self, key: str) -> str:
        """See `DataHandler.check_record_key`."""
        return keys.check_record_key(key)

    def check_request_config_key(self, key: str) -> str:
        """See `DataHandler.check_request_config_key`."""
        return keys.check_request_config_key(key)

    def write(self, key: str, payload: bytes) -> DataWrite:
        """See `DataHandler.write`."""
        return FileWrite(self, key, payload)

    def remove(self, key: str) -> DataWrite:
        """See `DataHandler.remove`."""
        return FileRemoval(self, key)

    def exists(self, key: str) -> bool:
        """See `DataHandler.exists`."""
        directory, _, name = key.rpartition("/")
        with translated(self.to_reference(key)):
            try:
                descriptor = self.directories.acquire(directory)
                try:
                    mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
                finally:
                    self.directories.release(directory, descriptor)
            except FileNotFoundError:
                return False
        return stat.S_ISREG(mode)

    def read(self, key: str) -> bytes:
        """See `DataHandler.read`."""
        try:
            return self._read(key)
        except FileNotFoundError:
            pass
        # Once more by the path itself: the directory may have been replaced under us, by a restored backup say.
        self.directories.forget(key.rpartition("/")[0])
        try:
            return self._read(key)
        except FileNotFoundError as error:
            raise DataNotFoundError("data", self.to_reference(key), "no such file; was it ever saved?") from error

    def sync(self, keys: Sequence[str]) -> None:
        """See `DataHandler.sync`."""
        with translated(self.root):
            by_directory: dict[str, list[str]] = {"": [], STAGING_DIRECTORY: []}
            for key in keys:
                directory, _, name = key.rpartition("/")
                by_directory.setdefault(directory, []).append(name)
                by_directory.setdefault(directory.partition("/")[0], [])
            opened: dict[str, int] = {}
            try:
                for directory in by_directory:
                    opened[directory] = self.directories.acquire(directory, create=True)
                self.files.sync_all(
                    opened[""],
                    ((opened[directory], name) for directory, names in by_directory.items() for name in names),
                    opened.values(),
                )
            finally:
                for directory, descriptor in opened.items():
                    self.directories.release(directory, descriptor)

    def restore(self, writes: Iterable[tuple[str, bytes | None]]) -> None:
        """See `DataHandler.restore`."""
        restored: list[str] = []
        for key, payload in writes:
            write = self.remove(key) if payload is None else self.write(key, payload)
            write.stage()
            write.publish()
            restored.append(key)
        if restored:
            self.sync(restored)

    def discard_leftovers(self) -> None:
        """See `DataHandler.discard_leftovers`."""
        staging = f"{self.root}/{STAGING_DIRECTORY}"
        for name in os.listdir(staging):
            if name != self._session:
                shutil.rmtree(f"{staging}/{name}", ignore_errors=True)

    def _read(self, key: str) -> bytes:
        directory, _, name = key.rpartition("/")
        with translated(f"{self.root}/{key}"):
            parent = self.directories.acquire(directory)
            try:
                try:
                    descriptor = os.open(name, _READ, dir_fd=parent)
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENXIO):
                        raise InvalidReferenceError(key, "there is a link or a device, not a regular file") from error
                    raise
            finally:
                self.directories.release(directory, parent)
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise InvalidReferenceError(key, "what is there is not a regular file")
                return _read_whole(descriptor, found.st_size)
            finally:
                os.close(descriptor)


class FileWrite(DataWrite):
    """A file that is written to the staging directory, then renamed."""

    __slots__ = ("_backup", "_handler", "_staged")

    def __init__(self, handler: FileSystemDataHandler, key: str, payload: bytes) -> None:
        super().__init__(key, payload)
        self._handler = handler
        self._staged: str | None = None
        self._backup: str | None = None

    def stage(self) -> None:
        """Write the file under a temporary name, and see to the directory it will move to."""
        handler = self._handler
        directories = handler.directories
        with translated(handler.to_reference(self.key)):
            directory = self.key.rpartition("/")[0]
            directories.release(directory, directories.acquire(directory, create=True))
            staging = directories.acquire(handler.staging_directory, create=True)
            try:
                name = handler.next_staging_name()
                handler.files.write_new(staging, name, self.payload or b"")
                self._staged = name
            finally:
                directories.release(handler.staging_directory, staging)

    def replaces(self) -> bool:
        """See `DataWrite.replaces`."""
        return self._handler.exists(self.key)

    def publish(self, *, revocable: bool = False) -> None:
        """Rename the file into place."""
        assert self._staged is not None, "publish() without stage()"
        if revocable:
            self._keep_previous()
        self._move(self._staged)
        self._staged = None

    def revoke(self) -> None:
        """Rename the previous version back, or remove the file if there was none."""
        if self._backup is not None:
            self._move(self._backup)
            self._backup = None
        else:
            _remove(self._handler, self.key)

    def discard(self) -> None:
        """See `DataWrite.discard`."""
        for name in (self._staged, self._backup):
            if name is not None:
                try:
                    _remove(self._handler, f"{self._handler.staging_directory}/{name}")
                except OSError:
                    pass  # a leftover, which the next one to have the store alone removes
        self._staged = self._backup = None

    def _move(self, name: str) -> None:
        handler = self._handler
        directories = handler.directories
        directory, _, final_name = self.key.rpartition("/")
        with translated(handler.to_reference(self.key)):
            staging = directories.acquire(handler.staging_directory)
            target = directories.acquire(directory)
            try:
                handler.files.rename(staging, name, target, final_name)
            finally:
                directories.release(directory, target)
                directories.release(handler.staging_directory, staging)

    def _keep_previous(self) -> None:
        handler = self._handler
        directories = handler.directories
        directory, _, final_name = self.key.rpartition("/")
        with translated(handler.to_reference(self.key)):
            staging = directories.acquire(handler.staging_directory)
            target = directories.acquire(directory)
            try:
                name = handler.next_staging_name()
                handler.files.link(target, final_name, staging, name)
                self._backup = name
            except FileNotFoundError:
                self._backup = None
            finally:
                directories.release(directory, target)
                directories.release(handler.staging_directory, staging)


class FileRemoval(DataWrite):
    """A file that is removed once its row is gone."""

    __slots__ = ("_handler",)

    def __init__(self, handler: FileSystemDataHandler, key: str) -> None:
        super().__init__(key, None)
        self._handler = handler

    def stage(self) -> None:
        """Nothing can fail yet."""

    def replaces(self) -> bool:
        """A removal always changes what is there."""
        return True

    def publish(self, *, revocable: bool = False) -> None:  # noqa: ARG002 (see `revoke`)
        """Remove the file."""
        _remove(self._handler, self.key)

    def revoke(self) -> None:
        """Removals come last and are finished later if they fail: there is nothing to undo."""

    def discard(self) -> None:
        """Nothing was staged."""


def make_root(root: str) -> None:
    """Make the root directory if it is not there, for its owner only.

    Raises:
        StoreOpenError: it is a file, or cannot be made or written.
    """
    try:
        os.makedirs(root, PRIVATE_DIRECTORY, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreOpenError(root, "it, or a part of its path, is a file; name a directory") from error
    except OSError as error:
        raise StoreOpenError(root, f"the directory cannot be made: {error.strerror}") from error
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise StoreOpenError(root, "the directory cannot be written; change its permissions or name another")


def _remove(handler: FileSystemDataHandler, key: str) -> None:
    directory, _, name = key.rpartition("/")
    with translated(handler.to_reference(key)):
        try:
            descriptor = handler.directories.acquire(directory)
        except FileNotFoundError:
            return
        try:
            handler.files.remove(descriptor, name)
        finally:
            handler.directories.release(directory, descriptor)


def _read_whole(descriptor: int, size: int) -> bytes:
    content = os.read(descriptor, size)
    while len(content) < size:
        more = os.read(descriptor, size - len(content))
        if not more:
            break
        content += more
    return content
