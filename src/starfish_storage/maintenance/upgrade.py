"""Bringing a store in a directory to the format of this release, one that Starfish 0.1.x wrote above all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from glob import escape, glob
from typing import Any, cast

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import Inventory
from starfish_storage.errors import (
    StorageError,
    StorageFullError,
    StoreDamagedError,
    StoreOpenError,
    StoreReadOnlyError,
)
from starfish_storage.files.planted import refuse_planted_database
from starfish_storage.interface.inspection import FoundFile
from starfish_storage.keys import DATABASE_FILE, ROW_LOG_FILE
from starfish_storage.maintenance.backends import PathOrUri, directories
from starfish_storage.maintenance.checking import OnProgress, unwanted
from starfish_storage.maintenance.starfish_files import ASIDE_DIRECTORY, StarfishFiles, set_aside
from starfish_storage.maintenance.upgrade_report import Repaired, UpgradeKind, UpgradeReport
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.sqlite.inspection import SQLiteRowInspection
from starfish_storage.metadata.sqlite.locks import HeldAlone
from starfish_storage.metadata.sqlite.starfish_migration import BACKUP_SUFFIX, RowRepair
from starfish_storage.metadata.sqlite.starfish_upgrade import (
    UpgradedCopy,
    format_of,
    refuse_open_elsewhere,
    upgrade_database,
)
from starfish_storage.metadata.sqlite.untouched import refusal_of_writing
from starfish_storage.storage.local import LocalStorage
from starfish_storage.wording import REPAIR_OR_RESTORE

_NO_ROOM = "the disk is full: an upgrade copies the database and much of the data; make room, then call again"


def upgrade(
    storage_uri: PathOrUri,
    data_uri: PathOrUri | None = None,
    *,
    dry_run: bool = False,
    progress: OnProgress | None = None,
) -> UpgradeReport:
    """Bring a store in a directory, which nobody has open, to the format of this release, and return what was done.

    A store of Starfish 0.1.x is read whole. Its database is copied beside it as ``metadata.db.starfish-0.1``, and
    changed in one transaction: paths become keys, and what Starfish left damaged is repaired. The files that no row
    names after that move to the directory ``starfish-0.1``. If this is interrupted, the store is as it was, or
    upgraded; a repetition finishes. Blocks. Durable.

    Args:
        storage_uri: the directory of the store, or its URI.
        data_uri: that of its data, if it lies elsewhere.
        dry_run: return what would be done, and write nothing.
        progress: called with how many records were read, and how many there are.

    Raises:
        StorageBusyError: another program has the store open, Starfish say.
        StoreVersionError: a newer release wrote it.
        StorageError: there is no store, it cannot be read or written, or there is no room; it is as it was.
    """
    root, data_root = directories(storage_uri, data_uri, "upgrade")
    root = os.path.realpath(root)
    found = _format_of(root)
    if dry_run and found == 0:
        return _Upgrade(root, data_root).plan(progress)
    if dry_run or found == latest_version():
        moved = [] if dry_run else _finish(root, data_root)
        aside = f"{data_root}/{ASIDE_DIRECTORY}" if moved else None
        return UpgradeReport(root, found, latest_version(), dry_run=dry_run, set_aside=aside, repairs=moved)
    try:
        if found == 0:
            return _Upgrade(root, data_root).carry_out(progress)
        with HeldAlone(root, BUSY_TIMEOUT_MS / 1000, as_found=True):
            pass
        _open_once(root, data_root)
    except StorageFullError as error:
        raise StorageFullError(root, error.errno, _NO_ROOM) from error
    except StorageError as error:
        raise refusal_of_writing(error, root) from error
    return UpgradeReport(root, found, latest_version())


def _format_of(root: str) -> int:
    path = f"{root}/{DATABASE_FILE}"
    if not os.path.lexists(path):
        raise StoreOpenError(root, f"there is no {DATABASE_FILE} in it; name the directory of a store")
    refuse_planted_database(path)
    if os.path.getsize(path) == 0:
        raise StoreDamagedError(path, f"it is empty; {REPAIR_OR_RESTORE}")
    return format_of(path)


class _Upgrade:
    """The upgrade of one store of Starfish's.

    Args:
        root: real path of its directory.
        data_root: absolute path of that of its data.
    """

    def __init__(self, root: str, data_root: str) -> None:
        self._root = root
        self._data_root = data_root
        self._path = f"{root}/{DATABASE_FILE}"
        self._data = FileSystemDataHandler(data_root)
        self._files = StarfishFiles(self._data, data_root)
        self._rows: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._repairs: list[Repaired] = []
        self._left: list[Repaired] = []

    def plan(self, progress: OnProgress | None) -> UpgradeReport:
        """Return what would be done, and write nothing."""
        try:
            in_rows = self._look(progress, writes=False)
        finally:
            self._data.close()
        return self._report(in_rows, dry_run=True)

    def carry_out(self, progress: OnProgress | None) -> UpgradeReport:
        """Upgrade the store."""
        in_rows: list[RowRepair] = []
        refuse_open_elsewhere(self._path)  # before a lock is made beside it
        with HeldAlone(self._root, BUSY_TIMEOUT_MS / 1000, as_found=True):
            try:
                self._data.setup()
                self._look(progress, writes=True)
                backup = upgrade_database(self._path, self._data, self._files.states, in_rows)
            except BaseException:
                self._files.forget_written()
                raise
            finally:
                self._data.close()
        moved = _finish(self._root, self._data_root)
        aside = f"{self._data_root}/{ASIDE_DIRECTORY}" if moved else None
        return self._report(in_rows, dry_run=False, backup=backup, aside=aside)

    def _look(self, progress: OnProgress | None, *, writes: bool) -> list[RowRepair]:
        """Read everything, and put data under its own keys; return what is repaired in rows."""
        with UpgradedCopy(self._path, self._data) as copy:
            self._rows = cast("tuple[int, int, int, int]", tuple(next(copy.rows("count_rows"))))
            records: list[tuple[str, str]] = [(uid, key) for uid, key in copy.rows("every_data_of_starfish")]
            runs: list[tuple[str, str]] = [(run, key) for run, key in copy.rows("every_config_of_starfish")]
            unfinished = list(copy.rows("every_unfinished_input"))
            repeated = list(copy.rows("every_run_with_repeated_inputs"))
        self._files.check(records, progress, writes=writes)
        self._repairs = [*self._files.repairs, *self._files.without_row(records)]
        for one in self._files.configs(runs):
            (self._left if one.kind == "request_config_missing" else self._repairs).append(one)
        self._left += (Repaired("input_unfinished", job, f"it is {status}") for job, status in unfinished)
        self._left += (
            Repaired("input_repeated", run, f"{count} of its inputs were tried again or resumed; all are kept")
            for run, count in repeated
        )
        return copy.repairs

    def _report(
        self, in_rows: Sequence[RowRepair], *, dry_run: bool, backup: str | None = None, aside: str | None = None
    ) -> UpgradeReport:
        rows = [Repaired(cast("UpgradeKind", one.kind), one.subject, one.detail) for one in in_rows]
        return UpgradeReport(
            self._root,
            0,
            latest_version(),
            dry_run=dry_run,
            rows=self._rows,
            backup=backup,
            set_aside=aside,
            repairs=[*rows, *self._repairs],
            left=self._left,
        )


def _open_once(root: str, data_root: str) -> None:
    """Open a store for writing, which migrates one of ours, and makes what stands beside the database."""

    async def opened() -> None:
        async with LocalStorage(root, data_root):
            pass

    _in_thread(lambda: asyncio.run(opened()))
    if format_of(f"{root}/{DATABASE_FILE}") != latest_version():  # it was opened, but only to be read
        raise StoreReadOnlyError(root, "its database cannot be written; see to its permissions, then call again")


def _in_thread(call: Callable[[], Any]) -> None:
    """Run an event loop in a thread of its own: the caller's may have one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(call).result()


def _finish(root: str, data_root: str) -> list[Repaired]:
    """Make what stands beside the database of an upgraded store, and set aside what no row names, if need be."""
    if not glob(f"{escape(root)}/{DATABASE_FILE}{BACKUP_SUFFIX}*"):
        return []
    if not os.path.exists(f"{data_root}/{ROW_LOG_FILE}"):
        _open_once(root, data_root)
    with closing(SQLiteRowInspection(root)) as rows, closing(FileSystemDataHandler(data_root)) as data:
        moved = set_aside(data, data_root, _unnamed(rows, data_root))
    return [Repaired("set_aside", key, f"no row names it; it is kept in {ASIDE_DIRECTORY}") for key in moved]


def _unnamed(rows: SQLiteRowInspection, data_root: str) -> Iterator[Sequence[FoundFile]]:
    with closing(Inventory(data_root)) as inventory:
        for page in inventory.pages():
            yield unwanted(rows, page)
