"""Data as JSON files below one root directory."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Iterator, Sequence

from starfish_storage import keys
from starfish_storage.data.directories import Directories
from starfish_storage.data.file_marks import FileMarks
from starfish_storage.data.file_reader import FileReader
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.pack_files import PackFiles
from starfish_storage.data.row_log import FileRowLog
from starfish_storage.data.staging import Staging
from starfish_storage.data.writes import FileCopy, FilePlace, FileRemoval, FileWrite
from starfish_storage.errors import InvalidReferenceError, StorageError, StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.disks import is_mounted_read_only
from starfish_storage.files.errors import translated
from starfish_storage.interface import CommittedSizes, DataHandler, DataWrite
from starfish_storage.interface.marks import PlaceMarks
from starfish_storage.keys import ROW_LOG_FILE, STAGING_DIRECTORY, PackPlace, place_in_pack
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)


class FileSystemDataHandler(DataHandler):
    """Keeps each key as one file, written under a temporary name and renamed into place.

    Args:
        root: absolute path of the directory that holds ``data/``, ``configs/`` and ``staging/``.
        files: the file operations; tests pass ones that count or fail.

    Attributes:
        packs: the packs, files of many records.
        row_log: the row log that lies beside the data, and is synced and closed with it.
    """

    def __init__(self, root: str, files: FileOperations | None = None) -> None:
        self.root = root
        self.files = files or FileOperations()
        self.directories = Directories(root, self.files)
        self.staging = Staging(self.directories, self.files)
        self._place = FilePlace(self.directories, self.staging, self.files)
        self._reader = FileReader(self.directories, self.to_reference)
        self.packs = PackFiles(self.directories, self.files)
        self.row_log = FileRowLog(self.directories, self.staging, self.files)
        self._roots: tuple[str, ...] = (root,)

    @property
    def parallel(self) -> int:
        """Files are read and written on the spot: a hop to another thread costs more."""
        return 1

    @property
    def marks(self) -> PlaceMarks:
        """See `DataHandler.marks`."""
        return FileMarks(self.directories, self.staging, self.files)

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
        self.packs.close()
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

    def append(
        self, payloads: Sequence[bytes], *, safe: bool, committed: CommittedSizes | None = None
    ) -> list[PackPlace]:
        """See `DataHandler.append`."""
        return self.packs.append(payloads, committed, safe=safe)

    def take_back(self, places: Sequence[PackPlace]) -> None:
        """See `DataHandler.take_back`."""
        self.packs.take_back(places)

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

    def remove_packs(self, packs: Sequence[str]) -> list[str]:
        """See `DataHandler.remove_packs`."""
        return self.packs.remove(packs) if packs else []

    def existing(self, keys: Sequence[str]) -> set[str]:
        """See `DataHandler.existing`."""
        return {key for key in keys if self.exists(key)}

    def exists(self, key: str) -> bool:
        """See `DataHandler.exists`."""
        place = place_in_pack(key)
        return self._place.exists(key) if place is None else self.packs.holds(place)

    def read(self, key: str) -> bytes:
        """See `DataHandler.read`."""
        place = place_in_pack(key)
        return self._reader.read(key) if place is None else self.packs.read(place)

    def read_packed(self, place: PackPlace) -> bytes:
        """See `DataHandler.read_packed`."""
        return self.packs.read(place)

    def read_parts(self, key: str, length: int) -> Iterator[bytes]:
        """See `DataHandler.read_parts`."""
        place = place_in_pack(key)
        return self._reader.read_parts(key, length) if place is None else self.packs.read_parts(place, length)

    def read_each(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """See `DataHandler.read_each`."""
        places = [place_in_pack(key) for key in keys]
        packed = self.packs.read_each(place for place in places if place is not None)
        for key, place in zip(keys, places, strict=True):
            yield self._reader.read_or_none(key) if place is None else next(packed)

    def read_small(self, keys: Sequence[str], largest: int) -> Iterator[bytes | int | None]:
        """See `DataHandler.read_small`."""
        places = [place_in_pack(key) for key in keys]
        packed = self.packs.read_each(place for place in places if place is not None and place.length <= largest)
        for key, place in zip(keys, places, strict=True):
            if place is None:
                yield self._reader.read_small(key, largest)
            elif place.length <= largest:
                yield next(packed)
            else:
                yield place.length if self.packs.holds(place) else None

    def read_with_time(self, key: str) -> tuple[bytes, int] | None:
        """See `FileReader.read_with_time`."""
        return self._reader.read_with_time(key)

    def put(self, key: str, payload: bytes, modified: int | None) -> None:
        """Write a file, or a compressed pack, in one step, and set when it was last changed. Not synced: see `sync`.

        Raises:
            StorageIOError: it failed; what was there is as it was.
        """
        if keys.pack_named(key) is None:
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
        files, packs = _parted(keys)
        if files or not packs or not self.row_log.is_open:
            self._sync_files(files)
        else:
            # Not the whole file system, which may have much to write of others.
            self.row_log.make_safe()
        if packs:
            self.packs.sync(packs)

    def restore(self, writes: Iterable[tuple[str, bytes | None]]) -> None:
        """See `DataHandler.restore`."""
        restored: list[str] = []
        for key, payload in writes:
            try:
                if payload is not None and (place := place_in_pack(key)) is not None:
                    self.packs.restore(place, payload)
                    restored.append(key)
                    continue
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
        """See `DataHandler.discard_leftovers`.

        What a killed process left behind the end of a pack is cut off by who goes on with the pack.
        """
        with translated(self.root):
            self.staging.discard_leftovers()

    def _sync_files(self, keys: Sequence[str]) -> None:
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


def _parted(places: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return the keys of files, and the names of the packs that the others are in."""
    files: list[str] = []
    packs: set[str] = set()
    for key in places:
        place = place_in_pack(key)
        if place is None:
            files.append(key)
        else:
            packs.add(place.pack)
    return files, packs


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
    if is_mounted_read_only(root):
        reason = "its file system is mounted read-only; mount it for writing, or name another directory"
        raise StoreOpenError(root, reason, errno.EROFS)
    reason = "the directory cannot be written; change its permissions or name another"
    raise StoreOpenError(root, reason, errno.EACCES)
