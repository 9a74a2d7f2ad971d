"""Making a store of a backup, which stays as it is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from starfish_storage.codec import content_digest
from starfish_storage.data.filesystem import FileSystemDataHandler, make_root
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.row_log import RowLogOfNow
from starfish_storage.errors import StoreDamagedError, StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.maintenance.backends import PathOrUri, directories
from starfish_storage.maintenance.pack_copies import copy_packs
from starfish_storage.metadata.sqlite.locks import KeptShut
from starfish_storage.metadata.sqlite.snapshot import Snapshot
from starfish_storage.uri import as_uri, file_uri_of_path, path_of_file_uri

_READ_AT_ONCE = 500


@dataclass(frozen=True)
class RestoreReport:
    """What `restore` did.

    Attributes:
        backup: absolute path of the backup.
        storage_uri: the store that was made.
        records: how many records with data it holds.
        files: how many data files, packs and request configurations were copied.
        bytes: their size together.
        seconds: how long it took.
    """

    backup: str
    storage_uri: str
    records: int
    files: int
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        """Return the report for people."""
        return (
            f"{self.backup!r}: {self.records:,} records with data restored to {self.storage_uri} "
            f"in {self.seconds:.1f} s\n  files: {self.files:,} copied ({self.bytes:,} bytes)"
        )


def restore(backup: PathOrUri, storage_uri: PathOrUri, *, data_uri: PathOrUri | None = None) -> RestoreReport:
    """Make a store of a backup, which is checked first and is not changed. Blocks.

    The database comes last: killed at any moment, this leaves nothing that opens as a store.

    Args:
        backup: the directory of the backup.
        storage_uri: where the store shall lie: a directory, as `open_storage` takes it, that is missing or empty.
        data_uri: another directory for its data, likewise.

    Raises:
        StoreOpenError: there is no backup of this version, or the store is to be where something lies, or in no
            directory.
        StorageBusyError: another process has the backup open.
        StoreDamagedError: the backup is damaged; no store was created.
        StorageIOError: the system failed a read or a write; no store was created.
    """
    root, data_root = directories(storage_uri, data_uri, "restore")
    began = time.monotonic()
    source = path_of_file_uri(as_uri(backup))
    if not os.path.isfile(f"{source}/{DATABASE_FILE}"):
        reason = f"it contains no {DATABASE_FILE}" if os.path.isdir(source) else "it is not a directory"
        if not os.path.lexists(source):
            reason = "it does not exist"
        raise StoreOpenError(source, f"{reason}; name the directory of a backup")
    for place in {root, data_root}:
        _refuse_occupied(place, source)
    make_root(root)
    with KeptShut(source), closing(FileSystemDataHandler(source)) as original:
        snapshot = Snapshot(root)
        try:
            snapshot.adopt(f"{source}/{DATABASE_FILE}")
            records = _check(snapshot, original)
            with closing(FileSystemDataHandler(data_root)) as data:
                data.setup()
                sizes = [*copy_packs(original, data, snapshot.packs()), *_copy_files(original, data)]
            snapshot.complete(data_elsewhere=root != data_root)
            FileOperations().replace_file(snapshot.path, f"{os.path.realpath(root)}/{DATABASE_FILE}")
        finally:
            snapshot.remove()
    return RestoreReport(source, file_uri_of_path(root), records, len(sizes), sum(sizes), time.monotonic() - began)


def _refuse_occupied(place: str, source: str) -> None:
    real, backup = os.path.realpath(place), os.path.realpath(source)
    if os.path.commonpath((real, backup)) in (real, backup):
        raise StoreOpenError(
            place, f"a store must be restored neither in its backup {backup!r} nor above it; name another directory"
        )
    if os.path.lexists(place) and (not os.path.isdir(place) or os.listdir(place)):
        raise StoreOpenError(place, "something exists there already; move it away, and restore again")


def _check(snapshot: Snapshot, original: FileSystemDataHandler) -> int:
    """See that the database is sound and has the data that its rows tell of; return how many records do."""
    found = snapshot.integrity()
    if found:
        raise StoreDamagedError(f"{original.root}/{DATABASE_FILE}", f"{found[0]}; use another backup")
    journal = snapshot.journal()
    records = 0
    for key, digest in snapshot.data_references():
        records += 1
        payload: bytes | None
        if key in journal:
            number = journal[key]
            payload = None if number is None else snapshot.payload(number)
        else:
            there = original.read_with_time(key)
            payload = None if there is None else there[0]
        _refuse_damage(f"{original.root}/{key}", payload, digest)
    packed = snapshot.packed_references()
    while some := list(islice(packed, _READ_AT_ONCE)):
        records += len(some)
        for one, payload in zip(some, original.packs.read_each([one.place for one in some]), strict=True):
            is_whole = payload is not None and one.sha256 in (None, content_digest(payload))
            found = payload if is_whole else snapshot.journaled(one.place) or payload
            _refuse_damage(f"{original.root}/{one.place.key}", found, one.sha256)
    return records


def _refuse_damage(path: str, payload: bytes | None, digest: str | None) -> None:
    if payload is None or digest not in (None, content_digest(payload)):
        what = "it is missing" if payload is None else "it is not what was saved (its SHA-256 differs)"
        raise StoreDamagedError(path, f"{what}; use another backup. No store was created")


def _copy_files(original: FileSystemDataHandler, data: FileSystemDataHandler) -> list[int]:
    """Copy everything but the database, make it safe, and return the sizes of the files."""
    sizes: list[int] = []
    keys: list[str] = []
    for key in _keys_in(original.root):
        found = original.read_with_time(key)
        if found is not None:
            data.put(key, *found)
            keys.append(key)
            sizes.append(len(found[0]))
    with RowLogOfNow(original.root) as row_log:
        if row_log.size:
            data.row_log.copy(row_log)
    data.sync(keys)
    return sizes


def _keys_in(root: str) -> Iterator[str]:
    with closing(Inventory(root)) as inventory:
        for directory in inventory.directories():
            yield from (file.key for file in inventory.files(directory) if file.is_data)
