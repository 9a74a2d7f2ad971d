"""Reading everything in a store and comparing it with what was saved."""

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import timedelta

from starfish_storage.data.inventory import Inventory
from starfish_storage.errors import (
    StorageError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.keys import DATABASE_FILE, ROW_LOG_FILE
from starfish_storage.maintenance.backends import PathOrUri, is_remote, places, remote_store
from starfish_storage.maintenance.checking import OnProgress, Tally
from starfish_storage.maintenance.report import GRACE, Finding, VerifyReport
from starfish_storage.maintenance.verify_files import FileVerification
from starfish_storage.maintenance.verify_remote import RemoteVerification
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.uri import file_uri_of_path, path_of_file_uri, without_password

__all__ = ["OnProgress", "verify"]


def verify(
    storage_uri: PathOrUri,
    data_uri: PathOrUri | None = None,
    *,
    progress: OnProgress | None = None,
    grace: timedelta = GRACE,
    read_only: bool = False,
) -> VerifyReport:
    """Check a store, which may be in use: read everything, change nothing. Blocks.

    The database is checked, as far as it can be asked. All data that a record refers to must be there, whole, and have
    the SHA-256 that was noted when it was saved. What nothing refers to, and what dead writers left, is listed.

    Args:
        storage_uri: where the store lies: a directory or a URI, as `open_storage` takes them.
        data_uri: where its data lies, if elsewhere.
        progress: called with how many records were checked, and how many there are.
        grace: with rows in PostgreSQL or data in an object store, what nothing refers to is listed only if it is
            older: writers on other machines put data before they commit the row.
        read_only: write nothing beside the database either; a store that is written meanwhile is refused as busy.

    Raises:
        InvalidUriError: a URI cannot be used.
        StorageUnavailableError: a server does not answer.
        StorageError: there is no store, it belongs to another version or program, or its data lies elsewhere. A
            damaged store is a finding.
    """
    began = time.monotonic()
    uri, data_at = places(storage_uri, data_uri)
    tally = Tally()
    remote = is_remote(uri, data_at)
    if remote:
        uri = _verify_remote(uri, data_at, grace, tally, progress, read_only=read_only)
    else:
        uri = _verify_files(uri, data_at, tally, progress, read_only=read_only)
    return VerifyReport(
        uri,
        tally.records,
        tally.files,
        tally.bytes,
        tally.without_digest,
        time.monotonic() - began,
        tuple(tally.findings),
        can_be_repaired=not remote,
        packs=len(tally.packs),
        dead_bytes=tally.dead_bytes,
    )


def _verify_remote(
    storage_uri: str,
    data_uri: str | None,
    grace: timedelta,
    tally: Tally,
    progress: OnProgress | None,
    *,
    read_only: bool,
) -> str:
    try:
        with remote_store(storage_uri, data_uri, read_only=read_only) as store:
            store.rows.refuse_other_data(store.data, strictly=False)
            RemoteVerification(store, grace).run(tally, progress)
    except StoreDamagedError as error:
        tally.findings.append(Finding("database_unreadable", without_password(storage_uri), str(error)))
    return without_password(storage_uri)


def _verify_files(
    storage_uri: str, data_uri: str | None, tally: Tally, progress: OnProgress | None, *, read_only: bool
) -> str:
    root = path_of_file_uri(storage_uri)
    data_root = path_of_file_uri(data_uri or storage_uri)
    try:
        inspection = Inspection(root, read_only=read_only)
    except (StoreDamagedError, StoreOpenError) as error:
        if not _is_lost(error, data_root):
            raise
        tally.findings.append(Finding("database_unreadable", DATABASE_FILE, str(error)))
    else:
        try:
            inspection.refuse_data_location(elsewhere=data_root != root)
            FileVerification(inspection, data_root).run(tally, progress)
        except StoreDamagedError as error:
            tally.findings.append(Finding("database_unreadable", DATABASE_FILE, str(error)))
        finally:
            inspection.close()
    return file_uri_of_path(root)


def _is_lost(error: StorageError, data_root: str) -> bool:
    """Return whether a database that cannot be opened is that of a store of ours, and not something else."""
    if isinstance(error, StoreVersionError):
        return False
    if isinstance(error, StoreDamagedError) or os.path.isfile(f"{data_root}/{ROW_LOG_FILE}"):
        return True
    with closing(Inventory(data_root)) as inventory:
        return any(
            file.is_data or file.pack for directory in inventory.directories() for file in inventory.files(directory)
        )
