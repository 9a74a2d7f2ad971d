"""Reading everything in a store and comparing it with what was saved."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby

from starfish_storage.codec import content_digest, decode
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, check_record_key
from starfish_storage.data.row_log import ROW_LOG_FILE
from starfish_storage.errors import (
    DataNotFoundError,
    StorageError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.maintenance.report import Finding, VerifyReport
from starfish_storage.metadata.inspection import Inspection
from starfish_storage.uri import file_uri_of_path, path_of_file_uri

Progress = Callable[[int, int], None]
"""Told how many records have been checked, and how many there are."""

_WORKERS = min(8, 2 * (os.cpu_count() or 1))
_WAITING = 4 * _WORKERS


@dataclass
class _Tally:
    """What the checks of data add up to; one for each directory, then summed."""

    records: int = 0
    files: int = 0
    bytes: int = 0
    without_digest: int = 0
    suspects: list[str] = field(default_factory=list[str])
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, other: _Tally) -> None:
        self.records += other.records
        self.files += other.files
        self.bytes += other.bytes
        self.without_digest += other.without_digest
        self.suspects += other.suspects
        self.findings += other.findings


def verify(storage_uri: str, data_uri: str | None = None, *, progress: Progress | None = None) -> VerifyReport:
    """Check a store, which may be in use: read everything, change nothing. Blocks.

    SQLite checks the database. Every file that a record refers to must be there, whole, and have the SHA-256 that was
    noted when it was saved. What nothing refers to, and what dead writers left, is listed.

    Args:
        storage_uri: ``file://`` URI of the store.
        data_uri: ``file://`` URI of its data, where that lies elsewhere.
        progress: told how far it is.

    Raises:
        StorageError: there is no store, it is of another version or program, or its data lies elsewhere. A damaged
            one is a finding.
    """
    began = time.monotonic()
    root = path_of_file_uri(storage_uri)
    data_root = path_of_file_uri(data_uri or storage_uri)
    tally = _Tally()
    try:
        inspection = Inspection(root)
    except (StoreDamagedError, StoreOpenError) as error:
        if not _is_lost(error, data_root):
            raise
        tally.findings.append(Finding("database_unreadable", "metadata.db", str(error)))
    else:
        try:
            inspection.refuse_data_location(elsewhere=data_root != root)
            _Verification(inspection, data_root).run(tally, progress)
        except StoreDamagedError as error:
            tally.findings.append(Finding("database_unreadable", "metadata.db", str(error)))
        finally:
            inspection.close()
    return VerifyReport(
        file_uri_of_path(root),
        tally.records,
        tally.files,
        tally.bytes,
        tally.without_digest,
        time.monotonic() - began,
        tuple(tally.findings),
    )


def _is_lost(error: StorageError, data_root: str) -> bool:
    """Return whether a database that cannot be opened is that of a store of ours, and not something else."""
    if isinstance(error, StoreVersionError):
        return False
    if isinstance(error, StoreDamagedError) or os.path.isfile(f"{data_root}/{ROW_LOG_FILE}"):
        return True
    with closing(Inventory(data_root)) as inventory:
        return any(file.is_data for directory in inventory.directories() for file in inventory.files(directory))


class _Verification:
    """One run over a store whose database can be read.

    Args:
        inspection: the database.
        data_root: absolute path of the data root.
    """

    def __init__(self, inspection: Inspection, data_root: str) -> None:
        self._inspection = inspection
        self._root = data_root
        self._inventory = Inventory(data_root)
        self._data = FileSystemDataHandler(data_root)
        self._shards: set[str] = set()  # directories of record data: a row may name any other

    def run(self, tally: _Tally, progress: Progress | None) -> None:
        try:
            tally.findings += self._check_database()
            tally.findings += self._check_places()
            self._check_data(tally, progress)
            tally.findings += self._check_request_configs(tally)
            tally.findings += self._look_again(tally.suspects)
            for file in self._inventory.leftovers():
                tally.findings.append(Finding("leftover", file.key, f"{file.size} bytes of an unfinished write"))
        finally:
            self._inventory.close()
            self._data.close()

    def _check_database(self) -> Iterator[Finding]:
        inspection = self._inspection
        yield from (Finding("database_damaged", "metadata.db", text) for text in inspection.integrity())
        yield from (Finding("row_without_parent", "metadata.db", text) for text in inspection.foreign_keys())
        for kind, row_id in inspection.rows("every_unreadable_row"):
            yield Finding("row_unreadable", row_id, f"the row of this {kind} has a time or JSON that is none")
        for job, status, kept, counted in inspection.rows("every_wrong_record_count"):
            yield Finding("record_count_wrong", job, f"{kept} {status} records are kept count of, there are {counted}")
        for run, kept, counted in inspection.rows("every_wrong_total"):
            detail = f"the totals kept of {kept} attempts are not those of the {counted} there are"
            yield Finding("run_totals_wrong", run, detail)
        for job, *counts in inspection.rows("every_wrong_job_count"):
            told, counted = (dict(zip(_FOUR, some, strict=True)) for some in (counts[:4], counts[4:]))
            differ = ", ".join(
                f"{name} {told[name]}, has {counted[name]}" for name in _FOUR if told[name] != counted[name]
            )
            yield Finding("job_count_differs", job, f"the execution job reported {differ}")

    def _check_places(self) -> Iterator[Finding]:
        wanted = {DATA_DIRECTORY: "every_data_reference", CONFIG_DIRECTORY: "every_request_config_reference"}
        for directory, query in wanted.items():
            path = f"{self._root}/{directory}"
            is_there = os.path.isdir(path) and not os.path.islink(path)
            if not is_there and next(self._inspection.rows(query), None) is not None:
                yield Finding("directory_missing", directory, "rows refer to what was in it; restore it from a backup")
        if not os.path.isfile(f"{self._root}/{ROW_LOG_FILE}"):
            yield Finding("row_log_missing", ROW_LOG_FILE, "it is made anew when the store is opened")

    def _check_data(self, tally: _Tally, progress: Progress | None) -> None:
        """Check the data files directory by directory, several at a time, as they stand in the order of references."""
        total = next(self._inspection.rows("every_record_with_data"))[0]
        self._shards = {directory for directory in self._inventory.directories() if directory != CONFIG_DIRECTORY}
        unseen = set(self._shards)
        with ThreadPoolExecutor(_WORKERS, "starfish-storage-verify") as pool:
            references = groupby(self._inspection.rows("every_data_reference"), lambda row: row[0].rpartition("/")[0])
            work = ((directory, list(rows)) for directory, rows in references)
            for directory, done in _in_parallel(pool, self._check_directory, work):
                unseen.discard(directory)
                tally.add(done)
                if progress is not None:
                    progress(tally.records, total)
            rest = ((directory, ()) for directory in sorted(unseen))
            for _, done in _in_parallel(pool, self._check_directory, rest):
                tally.add(done)

    def _check_directory(self, directory: str, rows: Sequence[tuple[str, str | None]]) -> _Tally:
        tally = _Tally(records=len(rows))
        referenced: set[str] = set()
        for key, digest in rows:
            referenced.add(key)
            tally.without_digest += digest is None
            try:
                payload = self._data.read(check_record_key(key))
            except StorageError:
                tally.suspects.append(key)
                continue
            tally.files += 1
            tally.bytes += len(payload)
            if _fault_of(payload, digest) is not None:
                tally.suspects.append(key)
        for file in self._inventory.files(directory) if directory in self._shards else ():
            if not file.is_data:
                tally.findings.append(Finding("not_data", file.key, "this is no data file of a store"))
            elif file.key not in referenced:
                tally.suspects.append(file.key)
        return tally

    def _check_request_configs(self, tally: _Tally) -> Iterator[Finding]:
        there = {file.key: file for file in self._inventory.files(CONFIG_DIRECTORY)}
        for key, file in there.items():
            if not file.is_data:
                yield Finding("not_data", key, "this is no request configuration of a store")
                continue
            fault = self._fault_of_config(key, tally)
            if fault is not None:
                yield Finding("request_config_damaged", key, fault)
            elif not self._inspection.is_request_config(key):
                yield Finding("data_unreferenced", key, "no master job refers to this request configuration")
        for (key,) in self._inspection.rows("every_request_config_reference"):
            if key not in there and self._inspection.data_of(key)[1] is None:
                yield Finding("request_config_missing", key, "a master job refers to it, and it is not there")

    def _fault_of_config(self, key: str, tally: _Tally) -> str | None:
        payload = self._inspection.data_of(key)[1]
        try:
            payload = payload or self._data.read(key)
        except DataNotFoundError:
            return None  # removed since it was listed
        except StorageError as error:
            return str(error)
        tally.files += 1
        tally.bytes += len(payload)
        return _fault_of(payload, None)

    def _look_again(self, suspects: Iterable[str]) -> Iterator[Finding]:
        """Judge what did not fit by what is committed now: a writer may just have changed it."""
        for key in suspects:
            digests, payload, is_journaled = self._inspection.data_of(key)
            fault: str | None = None
            kind = "data_damaged"
            try:
                check_record_key(key)
                payload = self._data.read(key) if payload is None else payload
            except DataNotFoundError:
                kind, fault = "data_missing", "a record refers to it, and it is not there"
            except StorageError as error:
                kind, fault, payload = "data_unreadable", str(error), None
            if not digests:
                if payload is not None and not is_journaled:
                    yield Finding("data_unreferenced", key, "no record refers to it")
                continue
            if payload is not None:
                fault = next(filter(None, (_fault_of(payload, digest) for digest in digests)), None)
            if fault is not None:
                yield Finding(kind, key, fault)


_FOUR = ("completed", "filtered", "duplicate", "failed")


def _fault_of(payload: bytes, digest: str | None) -> str | None:
    """Return what is wrong with a file's content, or None."""
    if digest is not None:
        return None if content_digest(payload) == digest else "it is not what was saved: its SHA-256 differs"
    try:
        is_object = isinstance(decode(payload), dict)
    except (ValueError, RecursionError):
        return f"it is not JSON ({len(payload)} bytes)"
    return None if is_object else "it holds no JSON object"


def _in_parallel(
    pool: ThreadPoolExecutor,
    check: Callable[[str, Sequence[tuple[str, str | None]]], _Tally],
    work: Iterable[tuple[str, Sequence[tuple[str, str | None]]]],
) -> Iterator[tuple[str, _Tally]]:
    """Yield each directory with its tally, in order; only so many wait at a time, whatever the size of the store."""
    running: deque[tuple[str, Future[_Tally]]] = deque()
    for directory, rows in work:
        running.append((directory, pool.submit(check, directory, rows)))
        if len(running) >= _WAITING:
            first, future = running.popleft()
            yield first, future.result()
    for directory, future in running:
        yield directory, future.result()
