"""Removing what nothing refers to: data whose row was never saved, and what dead writers left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import FoundFile, Inventory
from starfish_storage.errors import InvalidInputError, StorageError, StoreOpenError
from starfish_storage.keys import CONFIG_DIRECTORY
from starfish_storage.maintenance.backends import PathOrUri, is_remote, places
from starfish_storage.maintenance.collect_packs import PackCollector, has_own_packs
from starfish_storage.maintenance.collect_remote import collect_remote
from starfish_storage.maintenance.compact import compact_row_log, superseded_lines
from starfish_storage.maintenance.report import GRACE, CollectReport, grace_of_remote
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.locks import WriterLock
from starfish_storage.metadata.sqlite.untouched import refusal_of_writing
from starfish_storage.opening import open_storage
from starfish_storage.uri import file_uri_of_path, path_of_file_uri

_AT_ONCE = 200  # files that are looked up and removed while writers wait


def collect(
    storage_uri: PathOrUri,
    data_uri: PathOrUri | None = None,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    read_only: bool = False,
    versions_older_than: timedelta | None = None,
) -> CollectReport:
    """Remove data and request configurations that nothing refers to, and what dead writers left. Blocks.

    A pack of which more than 30 % is of data that was replaced or deleted is written anew without it.

    A row log most of whose lines are superseded is written anew, if nobody else has the store open.

    The store may be in use: data is saved before its row, so only what is older than the grace period is removed, and
    it is looked up once more while no writer can save a row that refers to it.

    Args:
        storage_uri: where the store lies: a directory or a URI, as `open_storage` takes them.
        data_uri: where its data lies, if elsewhere.
        grace: how long ago a file must have been changed last; with rows in PostgreSQL, at least an hour.
        dry_run: remove nothing, and say what would be removed.
        read_only: in a dry run, write nothing beside the database either, as for `verify`.
        versions_older_than: also remove the versions of records that stopped being current longer ago than this, with
            their data. Nothing else does: they were paid for.

    Raises:
        InvalidInputError: an age is negative, or the grace period too short for writers on other machines.
        InvalidUriError: a URI cannot be used.
        StoreDamagedError: the database is damaged; nothing was removed.
        StorageError: there is no store, it is of another version or program, or its data lies elsewhere.
    """
    read_only = read_only and dry_run
    for name, age in (("grace period", grace), ("age of versions", versions_older_than)):
        if age is not None and age < timedelta(0):
            raise InvalidInputError(f"a {name} of {age} cannot be used: give 0 or more.")
    uri, data_at = places(storage_uri, data_uri)
    if is_remote(uri, data_at):
        run = partial(collect_remote, uri, data_at, grace_of_remote(grace), read_only=read_only)
    else:
        run = partial(_collect_files, uri, data_at, grace, read_only=read_only)
    if versions_older_than is None:
        return run(dry_run=dry_run)
    # Only looked at before: then it is known that there is a store, and that its rows are sound. Collected after: packs
    # would be written anew with the data of the versions.
    report = run(dry_run=True)
    versions = _remove_versions(uri, data_at, versions_older_than, dry_run=dry_run)
    return replace(report if dry_run else run(dry_run=False), versions=versions)


def _remove_versions(storage_uri: str, data_uri: str | None, age: timedelta, *, dry_run: bool) -> int:
    """Remove versions as every other writer does, and return how many; other processes may use the store meanwhile."""

    async def remove() -> int:
        async with open_storage(storage_uri, data_uri, read_only=dry_run) as storage:
            before = await storage.ledger.now() - age
            return len(await storage.ledger.remove_versions(before, dry_run=dry_run))

    with ThreadPoolExecutor(1) as thread:  # the caller's own may run an event loop
        return thread.submit(lambda: asyncio.run(remove())).result()


def _collect_files(
    storage_uri: str, data_uri: str | None, grace: timedelta, *, dry_run: bool, read_only: bool
) -> CollectReport:
    root, data_root = path_of_file_uri(storage_uri), path_of_file_uri(data_uri or storage_uri)
    before = time.time_ns() - int(grace.total_seconds() * 1e9)  # the clock of the files, not a monotonic one
    removed: list[FoundFile] = []
    with (
        closing(Inspection(root, read_only=read_only)) as inspection,
        closing(Inventory(data_root)) as inventory,
        closing(FileSystemDataHandler(data_root)) as data,
        closing(_lock_of(root)) as lock,
    ):
        inspection.refuse_data_location(elsewhere=data_root != root)
        inspection.refuse_damage()  # an index that has lost its entries would make every file one that nothing wants
        has_packs = has_own_packs(inspection, data)
        unwanted = _unwanted(inspection, inventory, is_ours=has_packs)
        old = [file for file in unwanted if file.changed < before]
        for start in range(0, len(old), _AT_ONCE):
            removed += _remove(old[start : start + _AT_ONCE], inspection, data, lock, dry_run=dry_run)
        packs = PackCollector(inspection, inventory, (root, data_root), before).run(dry_run=dry_run)
        # Not from a database that has lost rows: the log may have them still.
        superseded = superseded_lines(inspection, data) if inspection.is_readable() else 0
        compacted = superseded > 0 and not dry_run and compact_row_log(root, inspection, data)
        for file in inventory.leftovers():
            if file.changed < before and not inventory.has_writer(file):
                removed.append(file)
                if not dry_run:
                    inventory.remove_leftover(file)
    return CollectReport(
        file_uri_of_path(root),
        [*(file.key for file in removed), *packs.removed],
        sum(file.size for file in removed) + packs.size,
        len(unwanted) - len(old) + packs.younger,
        dry_run,
        superseded,
        compacted,
        packs_rewritten=packs.rewritten,
        bytes_freed=packs.freed,
        lines=packs.lines,
        younger_lines=packs.younger_lines,
        packs_decompressed=packs.decompressed,
    )


def _lock_of(root: str) -> WriterLock:
    try:
        return WriterLock(root, BUSY_TIMEOUT_MS / 1000)
    except StorageError as error:
        raise refusal_of_writing(error, root) from error


def _unwanted(inspection: Inspection, inventory: Inventory, *, is_ours: bool) -> list[FoundFile]:
    """Return the files that nothing refers to, in a place that is known to be the store's, or that is to be seen.

    Raises:
        StoreOpenError: they are all there is, and the store has others: these are another store's.
    """
    unwanted: list[FoundFile] = []
    wanted = int(is_ours)
    for directory in inventory.directories():
        for file in inventory.files(directory):
            if not file.is_data:
                continue
            if _is_wanted(inspection, file):
                wanted += directory != CONFIG_DIRECTORY  # master jobs of two stores may well be called the same
            else:
                unwanted.append(file)
    if unwanted and not wanted and next(inspection.rows("every_data_reference"), None) is not None:
        elsewhere = f"none of its records has its data in {inventory.root!r}"
        reason = f"{elsewhere}; name the store's own data directory, or run 'verify'"
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
    committed = inspection.data_of(file.key)
    is_the_data = bool(committed.digests) and committed.place is None  # else it lies in a pack by now
    return is_the_data or committed.is_journaled or inspection.is_request_config(file.key)
