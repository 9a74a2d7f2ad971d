"""Removing what nothing refers to: data whose row was never saved, and what dead writers left."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import FoundFile, Inventory
from starfish_storage.data.keys import CONFIG_DIRECTORY
from starfish_storage.errors import InvalidInputError, StoreOpenError
from starfish_storage.maintenance.compact import compact_row_log, superseded_lines
from starfish_storage.metadata.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.inspection import Inspection
from starfish_storage.metadata.locks import WriterLock
from starfish_storage.uri import file_uri_of_path, path_of_file_uri

GRACE = timedelta(days=7)
"""How old something must be to be removed, unless another time is given."""

_AT_ONCE = 200  # files that are looked up and removed while writers wait
_SHOWN = 20


@dataclass(frozen=True)
class CollectReport:
    """What `collect` did, or would do.

    Attributes:
        storage_uri: the store.
        removed: the keys of data and request configurations that nothing refers to, and the files of dead writers.
        bytes: their size together.
        younger: how many files more nothing refers to, that are not older than the grace period.
        dry_run: nothing was removed.
        superseded: how many lines of the row log are of rows that have changed since, if these are most of its lines.
        compacted: the row log was written anew without them; not if somebody else has the store open.
    """

    storage_uri: str
    removed: Sequence[str]
    bytes: int
    younger: int
    dry_run: bool
    superseded: int = 0
    compacted: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return {
            "storage_uri": self.storage_uri,
            "dry_run": self.dry_run,
            "removed": list(self.removed),
            "bytes": self.bytes,
            "younger": self.younger,
            "row_log_superseded": self.superseded,
            "row_log_compacted": self.compacted,
        }

    def __str__(self) -> str:
        """Return the report for people."""
        verb = "would remove" if self.dry_run else "removed"
        lines = [f"{self.storage_uri}: {verb} {len(self.removed):,} files ({self.bytes:,} bytes)"]
        lines += [f"  {key}" for key in self.removed[:_SHOWN]]
        if len(self.removed) > _SHOWN:
            lines.append(f"  ... and {len(self.removed) - _SHOWN:,} more; --json lists them all")
        if self.younger:
            lines.append(f"kept {self.younger:,} files that nothing refers to, for they are not old enough")
        if self.superseded:
            told = verb if self.dry_run or self.compacted else "kept, for somebody has the store open,"
            lines.append(f"row log: {told} {self.superseded:,} superseded lines")
        return "\n".join(lines)


def collect(
    storage_uri: str, data_uri: str | None = None, *, grace: timedelta = GRACE, dry_run: bool = False
) -> CollectReport:
    """Remove data and request configurations that nothing refers to, and what dead writers left. Blocks.

    A row log most of whose lines are superseded is written anew, if nobody else has the store open.

    The store may be in use: data is saved before its row, so only what is older than the grace period is removed, and
    it is looked up once more while no writer can save a row that refers to it.

    Args:
        storage_uri: ``file://`` URI of the store.
        data_uri: ``file://`` URI of its data, where that lies elsewhere.
        grace: how long ago a file must have been changed last.
        dry_run: remove nothing, and say what would be removed.

    Raises:
        InvalidInputError: the grace period is negative.
        StoreDamagedError: the database is damaged; nothing was removed.
        StorageError: there is no store, it is of another version or program, or its data lies elsewhere.
    """
    if grace < timedelta(0):
        raise InvalidInputError(f"a grace period of {grace} cannot be used: give 0 or more.")
    root, data_root = path_of_file_uri(storage_uri), path_of_file_uri(data_uri or storage_uri)
    before = time.time_ns() - int(grace.total_seconds() * 1e9)  # the clock of the files, not a monotonic one
    removed: list[FoundFile] = []
    with (
        closing(Inspection(root)) as inspection,
        closing(Inventory(data_root)) as inventory,
        closing(FileSystemDataHandler(data_root)) as data,
        closing(WriterLock(root, BUSY_TIMEOUT_MS / 1000)) as lock,
    ):
        inspection.refuse_data_location(elsewhere=data_root != root)
        inspection.refuse_damage()  # an index that has lost its entries would make every file one that nothing wants
        unwanted = _unwanted(inspection, inventory)
        old = [file for file in unwanted if file.changed < before]
        for start in range(0, len(old), _AT_ONCE):
            removed += _remove(old[start : start + _AT_ONCE], inspection, data, lock, dry_run=dry_run)
        # Not from a database that has lost rows: the log may have them still.
        superseded = superseded_lines(inspection, data) if inspection.is_readable() else 0
        compacted = superseded > 0 and not dry_run and compact_row_log(root, inspection, data)
        for file in inventory.leftovers():
            if file.changed < before and _has_no_writer(data_root, file):
                removed.append(file)
                if not dry_run:
                    data.files.remove_path(f"{data_root}/{file.key}")
    size = sum(file.size for file in removed)
    keys, younger = [file.key for file in removed], len(unwanted) - len(old)
    return CollectReport(file_uri_of_path(root), keys, size, younger, dry_run, superseded, compacted)


def _unwanted(inspection: Inspection, inventory: Inventory) -> list[FoundFile]:
    """Return the files that nothing refers to.

    Raises:
        StoreOpenError: they are all there is, and the store has others: these are another store's.
    """
    unwanted: list[FoundFile] = []
    wanted = 0
    for directory in inventory.directories():
        for file in inventory.files(directory):
            if not file.is_data:
                continue
            if _is_wanted(inspection, file):
                wanted += directory != CONFIG_DIRECTORY  # master jobs of two stores may well be called the same
            else:
                unwanted.append(file)
    if unwanted and not wanted and next(inspection.rows("every_data_reference"), None) is not None:
        reason = f"none of its records has its data in {inventory.root!r}; name its own data directory, or run 'verify'"
        raise StoreOpenError(inspection.path, reason)
    return unwanted


def _remove(
    files: Sequence[FoundFile], inspection: Inspection, data: FileSystemDataHandler, lock: WriterLock, *, dry_run: bool
) -> Iterator[FoundFile]:
    finished = lock.acquire()
    try:
        for file in files:
            if not _is_wanted(inspection, file):
                if not dry_run:
                    data.remove(file.key).publish()
                yield file
    finally:
        lock.release(finished=finished)  # as it was found: what a killed writer left is for the next one to finish


def _is_wanted(inspection: Inspection, file: FoundFile) -> bool:
    digests, _, is_journaled = inspection.data_of(file.key)
    return bool(digests) or is_journaled or inspection.is_request_config(file.key)


def _has_no_writer(root: str, file: FoundFile) -> bool:
    """Return whether nobody holds the lock of the directory that a file is being written in."""
    try:
        descriptor = os.open(f"{root}/{os.path.dirname(file.key)}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
