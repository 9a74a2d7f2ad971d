"""Data as JSON files below one root directory."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeVar

from starfish_storage import keys
from starfish_storage.data.directories import Directories
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.row_log import FileRowLog
from starfish_storage.data.staging import Staging
from starfish_storage.data.writes import FileCopy, FilePlace, FileRemoval, FileWrite
from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StorageError, StoreOpenError
from starfish_storage.files.atomic import FileOperations, close, opened
from starfish_storage.files.errors import translated
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.keys import ROW_LOG_FILE, STAGING_DIRECTORY

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# Not blocking: opening a planted FIFO would wait for a writer that never comes.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_AT_ONCE = 1 << 14  # bytes; larger files are asked for their size


class FileSystemDataHandler(DataHandler):
    """Keeps each key as one file, written under a temporary name and renamed into place.

    Args:
        root: absolute path of the directory that holds ``data/``, ``configs/`` and ``staging/``.
        files: the file operations; tests pass ones that count or fail.

    Attributes:
        row_log: the row log that lies beside the data, and is synced and closed with it.
    """

    def __init__(self, root: str, files: FileOperations | None = None) -> None:
        self.root = root
        self.files = files or FileOperations()
        self.directories = Directories(root, self.files)
        self.staging = Staging(self.directories, self.files)
        self._place = FilePlace(self.directories, self.staging, self.files)
        self.row_log = FileRowLog(self.directories, self.staging, self.files)
        self._roots: tuple[str, ...] = (root,)

    @property
    def parallel(self) -> int:
        """Files are read and written on the spot: a hop to another thread costs more."""
        return 1

    def setup(self) -> None:
        """See `DataHandler.setup`."""
        make_root(self.root, self.files)
        self.prepare_reading()
        with translated(self.root):
            for name in (keys.DATA_DIRECTORY, keys.CONFIG_DIRECTORY, STAGING_DIRECTORY):
                try:
                    self.directories.release(name, self.directories.acquire(name, create=True))
                except InvalidReferenceError as error:
                    reason = "it is a link or a file, not the store's own directory; put that back"
                    raise StoreOpenError(f"{self.root}/{name}", reason) from error
            root = self.directories.acquire("")
            self.files.sync(root)
            self.directories.release("", root)

    def prepare_reading(self) -> None:
        """See `DataHandler.prepare_reading`."""
        real = os.path.realpath(self.root)
        self._roots = (self.root,) if real == self.root else (self.root, real)

    def has_place(self, place: str) -> bool:
        """See `DataHandler.has_place`."""
        return os.path.isdir(f"{self.root}/{place}")

    def holds_data(self) -> bool:
        """See `DataHandler.holds_data`."""
        if not os.path.isdir(self.root):
            return False
        with translated(self.root):
            try:
                with os.scandir(f"{self.root}/{keys.DATA_DIRECTORY}") as entries:
                    return any(entries)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def sizes(self) -> Generator[Sequence[int]]:
        """See `DataHandler.sizes`."""
        inventory = Inventory(self.root)
        try:
            for page in inventory.pages():
                yield [found.size for found in page]
        finally:
            inventory.close()

    def close(self) -> None:
        """See `DataHandler.close`."""
        self.row_log.close()
        self.staging.close()
        self.directories.close()

    def to_reference(self, key: str) -> str:
        """Return the absolute path of a key."""
        return f"{self.root}/{key}"

    def to_key(self, reference: str) -> str:
        """See `DataHandler.to_key`."""
        return keys.key_of_path(reference, self._roots)

    def write(self, key: str, payload: bytes) -> DataWrite:
        """See `DataHandler.write`."""
        return FileWrite(self._place, key, payload)

    def remove(self, key: str) -> DataWrite:
        """See `DataHandler.remove`."""
        return FileRemoval(self._place, keys.check_key(key))

    def publish_all(self, calls: Sequence[Sequence[DataWrite]]) -> list[list[StorageError | None]]:
        """See `DataHandler.publish_all`."""
        return [_published(writes) for writes in calls]

    def revoke_all(self, writes: Sequence[DataWrite]) -> list[DataWrite]:
        """See `DataHandler.revoke_all`."""
        for write in reversed(writes):
            write.revoke()
        return []

    def put_new(self, items: Sequence[tuple[str, bytes]]) -> None:
        """See `DataHandler.put_new`."""
        writes = [self.write(keys.check_key(key), payload) for key, payload in items]
        try:
            for write in writes:
                write.stage()
            for write in writes:
                write.publish()
            self.sync([write.key for write in writes])
        except BaseException:
            for write in writes:
                write.discard()
                try:
                    self._place.remove(write.key)
                except StorageError:
                    pass  # nothing refers to it
            raise

    def remove_all(self, keys: Sequence[str]) -> None:
        """See `DataHandler.remove_all`."""
        for removal in [self.remove(key) for key in keys]:
            removal.publish()

    def existing(self, keys: Sequence[str]) -> set[str]:
        """See `DataHandler.existing`."""
        return {key for key in keys if self.exists(key)}

    def exists(self, key: str) -> bool:
        """See `DataHandler.exists`."""
        return self._place.exists(key)

    def read(self, key: str) -> bytes:
        """See `DataHandler.read`."""
        return self._insisting(key, lambda: self._read(key))

    def read_parts(self, key: str, length: int) -> Iterator[bytes]:
        """See `DataHandler.read_parts`."""
        descriptor, _ = self._insisting(key, lambda: self._open(key))
        try:
            with translated(f"{self.root}/{key}"):
                while part := os.read(descriptor, length):
                    yield part
        finally:
            close(descriptor)

    def read_each(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """See `DataHandler.read_each`."""
        return self._each(keys, self._read)

    def read_small(self, keys: Sequence[str], largest: int) -> Iterator[bytes | int | None]:
        """See `DataHandler.read_small`."""
        return self._each(keys, lambda key: self._read_up_to(key, largest), largest)

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
            with translated(f"{self.root}/{key}"):
                return _read_whole(descriptor, found.st_size), found.st_mtime_ns
        finally:
            os.close(descriptor)

    def put(self, key: str, payload: bytes, modified: int | None) -> None:
        """Write a file in one step, and set when it was last changed. It is not synced: see `sync`.

        Raises:
            StorageIOError: it failed; what was there is as it was.
        """
        keys.check_key(key)
        if modified is None:
            write = FileWrite(self._place, key, payload)
        else:
            write = FileCopy(self._place, key, payload, modified)
        try:
            write.stage()
            write.publish()
        except BaseException:
            write.discard()
            raise

    def sync(self, keys: Sequence[str]) -> None:
        """See `DataHandler.sync`."""
        with translated(self.root):
            by_directory: dict[str, list[str]] = {"": [ROW_LOG_FILE]}
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
            try:
                write = self.remove(key) if payload is None else self.write(keys.check_key(key), payload)
            except InvalidReferenceError as error:
                logger.warning("an entry of the journal was passed over: %s", error)
                continue
            write.stage()
            write.publish()
            restored.append(key)
        if restored:
            self.sync(restored)

    def discard_leftovers(self) -> None:
        """See `DataHandler.discard_leftovers`."""
        with translated(self.root):
            self.staging.discard_leftovers()

    def _read_at_once(self, key: str) -> bytes | None:
        """Return a file as it usually is; None where `read` has to look closer, which takes twice as long.

        It is not asked whether the file is a regular one: a device or FIFO that was planted gives nothing, or too much,
        or what its row's digest does not fit.
        """
        directory, _, name = key.rpartition("/")
        parent = self.directories.kept(directory)
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
        if self.directories.notice_replaced(key.rpartition("/")[0]):
            try:
                return read()
            except FileNotFoundError:
                pass
        raise DataNotFoundError("data", self.to_reference(key), "it was never saved, or was deleted")

    def _each(
        self, keys: Sequence[str], read: Callable[[str], Result], largest: int = _AT_ONCE
    ) -> Iterator[bytes | Result | None]:
        for key in keys:
            payload: bytes | Result | None = self._read_at_once(key)
            if payload is None or len(payload) > largest:
                try:
                    payload = self._insisting(key, lambda key=key: read(key))
                except DataNotFoundError:
                    payload = None
            yield payload

    def _read(self, key: str) -> bytes:
        descriptor, found = self._open(key)
        try:
            with translated(f"{self.root}/{key}"):
                return _read_whole(descriptor, found.st_size)
        finally:
            close(descriptor)

    def _read_up_to(self, key: str, largest: int) -> bytes | int:
        descriptor, found = self._open(key)
        try:
            if found.st_size > largest:
                return found.st_size
            with translated(f"{self.root}/{key}"):
                return _read_whole(descriptor, found.st_size)
        finally:
            close(descriptor)

    def _open(self, key: str) -> tuple[int, os.stat_result]:
        """Open a regular file. Raises a plain `FileNotFoundError` if there is none."""
        directory, _, name = key.rpartition("/")
        with translated(f"{self.root}/{key}", missing_passes=True):
            parent = self.directories.acquire(directory)
            try:
                try:
                    descriptor = opened(name, _READ, parent)
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENXIO):
                        raise InvalidReferenceError(key, "there is a link or a device, not a regular file") from error
                    raise
            finally:
                self.directories.release(directory, parent)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                close(descriptor)
                raise InvalidReferenceError(key, "what is there is not a regular file")
            return descriptor, found


def _published(writes: Sequence[DataWrite]) -> list[StorageError | None]:
    for number, write in enumerate(writes):
        try:
            write.publish(revocable=len(writes) > 1)
        except StorageError as error:
            return [None if before < number else error for before in range(len(writes))]
    return [None] * len(writes)


def make_root(root: str, files: FileOperations | None = None) -> None:
    """Make the root directory if it is not there, for its owner only.

    Raises:
        StoreOpenError: it is a file, or cannot be made or written.
    """
    try:
        (files or FileOperations()).make_root(root)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreOpenError(root, "it, or a part of its path, is a file; name a directory") from error
    except OSError as error:
        raise StoreOpenError(root, f"the directory cannot be made: {error.strerror}", error.errno) from error
    if os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        reason = "its file system is mounted read-only; mount it for writing, or name another directory"
        raise StoreOpenError(root, reason, errno.EROFS)
    reason = "the directory cannot be written; change its permissions or name another"
    raise StoreOpenError(root, reason, errno.EACCES)


def _read_whole(descriptor: int, size: int) -> bytes:
    content = os.read(descriptor, size)
    while len(content) < size:
        more = os.read(descriptor, size - len(content))
        if not more:
            break
        content += more
    return content
