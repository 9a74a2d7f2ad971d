"""Copying a store that may be in use to another directory, again and again, and never leaving half a copy there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from starfish_storage.codec import content_digest
from starfish_storage.data.filesystem import FileSystemDataHandler, make_root
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.row_log import RowLogOfNow
from starfish_storage.errors import SEE_DAMAGE, StorageBusyError, StorageError, StoreDamagedError, StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.keys import DATABASE_FILE, place_in_pack
from starfish_storage.maintenance.backends import PathOrUri, directories
from starfish_storage.maintenance.pack_copies import PackCopies
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.locks import HeldAlone, WriterLock
from starfish_storage.metadata.sqlite.snapshot import EarlierBackup, Snapshot, finish, settle
from starfish_storage.metadata.sqlite.untouched import keeps_from_writing, states_of_files
from starfish_storage.uri import as_uri, file_uri_of_path, path_of_file_uri

BACKUP_FILE = "backup.json"
"""Marks a directory as a backup."""

OnProgress = Callable[[int, int], None]
"""Called with how many files have been checked, and how many there are."""

_MARK = b'{"starfish_storage_backup":1}\n'
_PASSES = 3  # while others write; then one more while they wait
_LOCK_SECONDS = BUSY_TIMEOUT_MS / 1000


@dataclass(frozen=True)
class BackupReport:
    """What `backup` did.

    Attributes:
        storage_uri: the store.
        destination: absolute path of the backup.
        records: how many records with data it holds.
        copied: how many data files, packs and request configurations were copied; of packs those that were appended to,
            too.
        kept: how many were there already.
        removed: how many were removed, because the store no longer has them.
        bytes: the size of what was copied; of packs what was appended.
        passes: how often the store was gone through, because it changed meanwhile.
        seconds: how long it took.
    """

    storage_uri: str
    destination: str
    records: int
    copied: int
    kept: int
    removed: int
    bytes: int
    passes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        """Return the report for people."""
        return (
            f"{self.storage_uri}: {self.records:,} records with data backed up to {self.destination!r} "
            f"in {self.seconds:.1f} s\n"
            f"  files: {self.copied:,} copied ({self.bytes:,} bytes), {self.kept:,} kept, {self.removed:,} removed"
        )


def backup(
    storage_uri: PathOrUri,
    destination: PathOrUri,
    *,
    data_uri: PathOrUri | None = None,
    progress: OnProgress | None = None,
    read_only: bool = False,
) -> BackupReport:
    """Make, or bring up to date, a consistent copy of a store that may be in use. Blocks.

    The copy is a store, power-safe when this returns; a kill leaves the earlier backup or the new one. Every record in
    it has its data. What is there already is not copied again. Writers wait only if they keep changing what is copied.

    Args:
        storage_uri: where the store lies: a directory, as `open_storage` takes it.
        destination: a directory that is missing, empty, or an earlier backup.
        data_uri: the directory of the store's data, if that lies elsewhere.
        progress: called with how many files were checked, and how many there are.
        read_only: write nothing beside the database either; a store that is written meanwhile is refused as busy.

    Raises:
        StoreOpenError: there is no store of this version in a directory, or the destination cannot be used.
        StorageBusyError: another process has the destination open.
        StoreDamagedError: data that a record refers to is lost or damaged; the earlier backup is as it was.
        StorageIOError: the system failed a read or a write; the earlier backup is as it was, or the new one.
    """
    root, data_root = directories(storage_uri, data_uri, "backup")
    began, target = time.monotonic(), path_of_file_uri(as_uri(destination))
    with closing(Inspection(root, read_only=read_only)) as inspection:
        inspection.refuse_data_location(elsewhere=data_root != root)
        _refuse_nested(target, (root, data_root))
        _claim(target)
        with (
            HeldAlone(target, _LOCK_SECONDS) as lock,
            closing(_Backup(inspection, data_root, target, progress)) as copy,
        ):
            copy.settle(lock)
            _copy_until_consistent(copy, root)
            copy.put_in_place()
            return BackupReport(
                file_uri_of_path(root),
                target,
                copy.records,
                len(copy.copied) + len(copy.packs.copied),
                copy.kept + copy.packs.kept,
                len(copy.gone) + copy.packs_gone,
                sum(copy.copied.values()) + sum(copy.packs.copied.values()),
                copy.passes,
                time.monotonic() - began,
            )


class _Backup:
    """One run: the state of the destination, and what has been found out about it.

    Attributes:
        records, copied, kept, gone, passes: see `BackupReport`; of copied files the sizes, of those gone the keys.
        packs: the packs, which are not among these.
        packs_gone: how many of them were removed.
    """

    def __init__(self, inspection: Inspection, data_root: str, target: str, progress: OnProgress | None) -> None:
        self._inspection = inspection
        self._data_root = data_root
        self._target_root = target
        self._progress = progress
        self._source = FileSystemDataHandler(data_root)
        self._target = FileSystemDataHandler(target)
        self._target.setup()
        self._snapshot = Snapshot(target)
        self._earlier = EarlierBackup(None)
        self.packs = PackCopies(self._source, self._target, self._earlier)
        self._row_log: RowLogOfNow | None = None
        self._journal: dict[str, int | None] = {}
        self._there: dict[str, tuple[int, int]] = {}
        self._digests: dict[str, str] = {}  # of files that were put in the destination in this run
        self._changed: dict[str, tuple[str, int]] = {}  # digest and time of what replaces a file there
        self._suspects: set[str] = set()
        self._unlike_packs: dict[str, str] = {}
        self.packs_gone = 0
        self.records = self.kept = self.passes = 0
        self.copied: dict[str, int] = {}
        self.gone: set[str] = set()

    def settle(self, lock: WriterLock) -> None:
        """Finish what an earlier run has left, and see what the destination holds."""
        self._target.discard_leftovers()
        if os.path.lexists(f"{self._target_root}/{DATABASE_FILE}"):
            settle(self._target_root, self._target, self._target.row_log, lock)
            self._earlier = EarlierBackup(self._target_root)
            self.packs = PackCopies(self._source, self._target, self._earlier)
        self._there = _files_in(self._target_root)

    def go_through(self) -> bool:
        """Take a snapshot and copy what it needs; return whether everything in it is as its rows say."""
        self.passes += 1
        self._snapshot.take(self._inspection)
        self._journal = self._snapshot.journal()
        self._note_row_log()
        # After the snapshot: what was committed before it is there, in its version or a later one, or in its journal.
        packs = self.packs.copy(self._snapshot)
        found = _files_in(self._data_root)
        self._changed = {}
        for number, (key, version) in enumerate(found.items(), start=packs + 1):
            if version != self._there.get(key) or key in self._suspects:
                self._copy(key)
            if self._progress is not None:
                self._progress(number, packs + len(found))
        self.gone = self._there.keys() - found.keys()
        for key in self.gone:
            self.copied.pop(key, None)  # in an earlier pass
        self.kept = len(found.keys() - self.copied.keys())
        self._suspects = self._unlike_their_rows()
        packed, self._unlike_packs = self.packs.unlike_their_rows(self._snapshot, self._journal)
        self.records += packed
        return not self._suspects and not self._unlike_packs

    def refuse_damage(self) -> None:
        """Raise for the data that is not as its rows say, though nobody was writing."""
        damaged = sorted([*self._suspects, *self._unlike_packs.values()])
        raise StoreDamagedError(
            f"{self._data_root}/{damaged[0]}",
            f"this and {len(damaged) - 1:,} more files are missing or not what was saved; {SEE_DAMAGE}. "
            "The earlier backup is as it was",
        )

    def put_in_place(self) -> None:
        """Make the snapshot the destination's database, and its files those of the snapshot."""
        self._target.sync(list(self.copied))
        self._earlier.close()
        self._snapshot.complete(data_elsewhere=False)
        FileOperations().replace_file(self._snapshot.path, f"{os.path.realpath(self._target_root)}/{DATABASE_FILE}")
        # From here on it is the new backup: its journal holds what replaces files, and whoever opens it does the rest.
        for key in self.gone:
            self._target.remove(key).publish()
        self._copy_row_log()
        finish(self._target_root, self._put, lambda keys: self._target.sync([*keys, *self.gone]))
        self.packs_gone = self.packs.tidy()

    def close(self) -> None:
        """Close everything, and remove a snapshot that was not put in place."""
        self._snapshot.remove()
        self._earlier.close()
        if self._row_log is not None:
            self._row_log.close()
        self._source.close()
        self._target.close()

    def _note_row_log(self) -> None:
        if self._row_log is not None:
            self._row_log.close()
        self._row_log = RowLogOfNow(self._data_root)

    def _copy_row_log(self) -> None:
        assert self._row_log is not None
        with RowLogOfNow(self._target_root) as there:
            if self._row_log.size and (there.size, there.modified) != (self._row_log.size, self._row_log.modified):
                self._target.row_log.copy(self._row_log)

    def _copy(self, key: str) -> None:
        """Copy a file that is new; journal one that replaces another: it must not be there before its row."""
        found = self._source.read_with_time(key)
        if found is None:
            return  # deleted since it was listed
        payload, modified = found
        digest = content_digest(payload)
        self.copied[key] = len(payload)
        if key in self._there:
            self._changed[key] = (digest, modified)
            if key not in self._journal:  # what is, goes with its row; the file may be of a later one
                self._snapshot.journal_data(key, payload)
            return
        self._target.put(key, payload, modified)
        self._there[key] = (len(payload), modified)
        self._digests[key] = digest

    def _unlike_their_rows(self) -> set[str]:
        """Return the keys that the snapshot's rows refer to and whose data would be another, or none."""
        suspects: set[str] = set()
        self.records = 0
        for key, digest in self._snapshot.data_references():
            self.records += 1
            if not self._is_as_told(key, digest):
                suspects.add(key)
            self.gone.discard(key)
        for key in self._snapshot.request_config_references():
            self.gone.discard(key)
            if key not in self._journal and key not in self._there and not self._inspection.is_request_config(key):
                suspects.add(key)  # deleted with its master job since the snapshot was taken
        return suspects

    def _is_as_told(self, key: str, digest: str | None) -> bool:
        if key in self._journal:
            return self._journal[key] is not None
        if key in self._changed:
            return digest in (None, self._changed[key][0])
        if key not in self._there:
            return False
        if key in self._digests:
            return digest in (None, self._digests[key])
        if digest is None or digest in self._earlier.of(key):
            return True
        # Not put there in this run, and no row of the earlier backup tells what it is.
        found = self._target.read_with_time(key)
        return found is not None and content_digest(found[0]) == digest

    def _put(self, key: str, payload: bytes | None) -> None:
        if payload is None:
            self._target.remove(key).publish()
            return
        place = place_in_pack(key)
        if place is not None:
            self._target.packs.restore(place, payload)
            return
        digest = content_digest(payload)
        there = self._target.read_with_time(key)
        if key not in self._changed and there is not None and content_digest(there[0]) == digest:
            return
        changed = self._changed.get(key)
        self._target.put(key, payload, changed[1] if changed is not None and changed[0] == digest else None)


def _copy_until_consistent(copy: _Backup, root: str) -> None:
    for _ in range(_PASSES):
        if copy.go_through():
            return
    database = f"{os.path.realpath(root)}/{DATABASE_FILE}"
    with _writers_waiting(root) as do_wait:
        before = states_of_files(database)
        if copy.go_through():
            return
        if not do_wait and states_of_files(database) != before:
            raise StorageBusyError(
                f"{root!r} has changed each time it was gone through, and this user cannot let its writers wait; "
                "nothing was changed. Call again, or let its owner make the backup."
            )
        copy.refuse_damage()


@contextmanager
def _writers_waiting(root: str) -> Generator[bool]:
    """Hold the writer lock. What a killed holder has left stays for the next one: the journal has it.

    Yields:
        whether writers wait: the lock cannot be held where nothing can be written.
    """
    with ExitStack() as stack:
        try:
            lock = WriterLock(os.path.realpath(root), _LOCK_SECONDS)
            stack.callback(lock.close)
            finished = lock.acquire()
        except StorageError as error:
            if not keeps_from_writing(error, root):
                raise
            do_wait = False
        else:
            stack.callback(lambda: lock.release(finished=finished))
            do_wait = True
        yield do_wait


def _files_in(root: str) -> dict[str, tuple[int, int]]:
    with closing(Inventory(root)) as inventory:
        return {
            file.key: (file.size, file.modified)
            for directory in inventory.directories()
            for file in inventory.files(directory)
            if file.is_data
        }


def _refuse_nested(target: str, roots: tuple[str, str]) -> None:
    target = os.path.realpath(target)
    for root in map(os.path.realpath, roots):
        if os.path.commonpath((target, root)) in (target, root):
            raise StoreOpenError(
                target, f"a backup must lie neither in its store {root!r} nor above it; name another directory"
            )


def _claim(target: str) -> None:
    """Make the destination, or see that it is an earlier backup."""
    make_root(target)
    if os.path.isfile(f"{target}/{BACKUP_FILE}"):
        return
    if os.listdir(target):
        raise StoreOpenError(target, "it is neither empty nor an earlier backup; name another directory")
    files = FileOperations()
    with translated(f"{target}/{BACKUP_FILE}"):
        descriptor = files.open_directory(os.path.realpath(target))
        try:
            files.write_new(descriptor, BACKUP_FILE, _MARK)
            files.sync_all(descriptor, [(descriptor, BACKUP_FILE)], [descriptor])
        finally:
            os.close(descriptor)
