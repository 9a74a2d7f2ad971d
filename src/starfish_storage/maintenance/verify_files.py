"""Verifying a store with its rows in SQLite and its data in a directory: both are walked side by side, in one order.

First the files, directory by directory, then the packs, each from its beginning to its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from typing import Any

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import Inventory
from starfish_storage.errors import DataNotFoundError, StorageError
from starfish_storage.keys import (
    CONFIG_DIRECTORY,
    DATA_DIRECTORY,
    PACKS_DIRECTORY,
    ROW_LOG_FILE,
    PackPlace,
    check_record_key,
)
from starfish_storage.maintenance.checking import WORKERS, OnProgress, Tally, fault_of, in_parallel
from starfish_storage.maintenance.report import Finding, FindingKind, finding_of
from starfish_storage.maintenance.verify_packs import NamedRange, PackPlaces, PackPortion, check_portion, portions
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.log_comparison import faults_of_log, is_of_use

_Reference = tuple[Any, ...]

_WAITING = 4 * WORKERS


class FileVerification:
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

    def run(self, tally: Tally, progress: OnProgress | None) -> None:
        """Check everything, and add it to a tally."""
        try:
            faults = list(self._inspection.faults())
            tally.findings += map(finding_of, faults)
            # The row log is compared meanwhile: that is mostly SQLite's work, which other threads need not wait for.
            with ThreadPoolExecutor(1, "starfish-storage-verify-log") as beside:
                of_log = beside.submit(self._check_log) if is_of_use(faults) else None
                tally.findings += self._check_places()
                self._check_data(tally, progress)
                tally.findings += self._check_request_configs(tally)
                tally.suspects += (key for (key,) in self._inspection.rows("every_unreferenced_packed_key"))
                tally.findings += self._look_again(dict.fromkeys(tally.suspects))
                tally.findings += PackPlaces(self._inspection, self._inventory, self._data.directories).findings()
                tally.dead_bytes = sum(max(0, fill.size - fill.live) for fill in self._inspection.packs())
                for file in self._inventory.leftovers():
                    tally.findings.append(Finding("leftover", file.key, f"{file.size} bytes of an unfinished write"))
                tally.findings += of_log.result() if of_log is not None else ()
        finally:
            self._inventory.close()
            self._data.close()

    def _check_log(self) -> list[Finding]:
        with closing(self._inspection.another()) as inspection:
            return [finding_of(fault) for fault in faults_of_log(inspection.rows, self._root)]

    def _check_places(self) -> Iterator[Finding]:
        wanted = {DATA_DIRECTORY: "every_data_reference", CONFIG_DIRECTORY: "every_request_config_reference"}
        for directory, query in wanted.items():
            path = f"{self._root}/{directory}"
            is_there = os.path.isdir(path) and not os.path.islink(path)
            if not is_there and next(self._inspection.rows(query), None) is not None:
                yield Finding("directory_missing", directory, "rows refer to files in it; restore it from a backup")
        log = f"{self._root}/{ROW_LOG_FILE}"
        if not os.path.isfile(log) or not os.path.getsize(log):
            yield Finding("row_log_missing", ROW_LOG_FILE, "it is created again when the store is opened")

    def _check_data(self, tally: Tally, progress: OnProgress | None) -> None:
        """Check files directory by directory and packs stretch by stretch, several at a time, in the order of rows."""
        total = next(self._inspection.rows("every_record_with_data"))[0]
        self._shards = set(self._inventory.directories()) - {CONFIG_DIRECTORY, PACKS_DIRECTORY}
        unseen = set(self._shards)
        with ThreadPoolExecutor(WORKERS, "starfish-storage-verify") as pool:
            for done in in_parallel(pool, self._check, self._work(unseen), _WAITING):
                tally.add(done)
                if progress is not None:
                    progress(tally.records, total)
            rest = [(directory, list[_Reference]()) for directory in sorted(unseen)]
            for done in in_parallel(pool, self._check_directory, rest, _WAITING):
                tally.add(done)

    def _work(self, unseen: set[str]) -> Iterator[tuple[str, list[_Reference]] | PackPortion]:
        rows = self._inspection.rows("every_placed_reference")
        sizes: dict[str, int] | None = None
        for (pack, directory), references in groupby(rows, lambda row: (row[2], row[2] or row[0].rpartition("/")[0])):
            if pack is None:
                unseen.discard(directory)
                yield directory, [row[:2] for row in references]
                continue
            if sizes is None:  # of now: no row of the references, which are of an earlier moment, names more
                sizes = {fill.pack: fill.size for fill in self._inspection.packs()}
            named = (NamedRange(key, sha256, PackPlace(*place)) for key, sha256, *place in references)
            yield from portions(pack, named, sizes.pop(pack, 0))
        for pack, size in (sizes or {}).items():
            if size:
                yield PackPortion(pack, 0, [], size)

    def _check(self, work: tuple[str, list[_Reference]] | PackPortion) -> Tally:
        if isinstance(work, PackPortion):
            return check_portion(self._data.directories, work)
        return self._check_directory(work)

    def _check_directory(self, work: tuple[str, Sequence[_Reference]]) -> Tally:
        directory, rows = work
        tally = Tally(records=len(rows))
        referenced: set[str] = set()
        for key, digest in rows:
            referenced.add(key)
            tally.without_digest += digest is None
            try:
                payload = self._data.read(check_record_key(key))
            except StorageError:
                tally.suspects.append(key)
                continue
            tally.count(payload)
            if fault_of(payload, digest) is not None:
                tally.suspects.append(key)
        for file in self._inventory.files(directory) if directory in self._shards else ():
            if not file.is_data:
                tally.findings.append(Finding("not_data", file.key, "this is not a data file of a store"))
            elif file.key not in referenced:
                tally.suspects.append(file.key)
        return tally

    def _check_request_configs(self, tally: Tally) -> Iterator[Finding]:
        there = {file.key: file for file in self._inventory.files(CONFIG_DIRECTORY)}
        for key, file in there.items():
            if not file.is_data:
                yield Finding("not_data", key, "this is not a request configuration of a store")
                continue
            fault = self._fault_of_config(key, tally)
            if fault is not None:
                yield Finding("request_config_damaged", key, fault)
            elif not self._inspection.is_request_config(key):
                yield Finding("data_unreferenced", key, "no master job refers to this request configuration")
        for (key,) in self._inspection.rows("every_request_config_reference"):
            if key not in there and self._inspection.data_of(key).payload is None:
                yield Finding("request_config_missing", key, "a master job refers to it, but it does not exist")

    def _fault_of_config(self, key: str, tally: Tally) -> str | None:
        payload = self._inspection.data_of(key).payload
        try:
            payload = payload or self._data.read(key)
        except DataNotFoundError:
            return None  # removed since it was listed
        except StorageError as error:
            return str(error)
        tally.count(payload)
        return fault_of(payload, None)

    def _look_again(self, suspects: Iterable[str]) -> Iterator[Finding]:
        """Judge what did not fit by what is committed now: a writer may just have changed it."""
        for key in suspects:
            committed = self._inspection.data_of(key)
            payload, place = committed.payload, committed.place
            fault: str | None = None
            kind: FindingKind = "data_damaged"
            try:
                check_record_key(key)
                payload = self._data.read(key if place is None else place.key) if payload is None else payload
            except DataNotFoundError:
                where = "" if place is None else f" at {place.key}"
                kind, fault = "data_missing", f"a record refers to it, but it does not exist{where}"
            except StorageError as error:
                kind, fault, payload = "data_unreadable", str(error), None
            if place is not None and not committed.is_journaled and self._inventory.find(key) is not None:
                yield Finding("data_unreferenced", key, "this is not its record's data any more, which lies in a pack")
            if not committed.digests:
                if payload is not None and not (committed.is_journaled and place is None):
                    yield Finding("data_unreferenced", key, "no record refers to it")
                continue
            if payload is not None:
                fault = next(filter(None, (fault_of(payload, digest) for digest in committed.digests)), None)
                fault = fault if fault is None or place is None else f"{fault}; it lies at {place.key}"
            if fault is not None:
                yield Finding(kind, key, fault)
