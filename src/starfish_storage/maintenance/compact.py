"""Writing the row log anew from the rows as they are, once most of its lines are of rows that have changed since."""

from __future__ import annotations

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.row_log import RowLogOfNow
from starfish_storage.errors import StorageBusyError
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.locks import HeldAlone


def superseded_lines(inspection: Inspection, data: FileSystemDataHandler) -> int:
    """Return how many lines of the row log are superseded, if they are most of them, else 0."""
    with RowLogOfNow(data.root) as row_log:
        superseded = row_log.lines() - inspection.count_row_log_lines()
        return superseded if 2 * superseded > row_log.lines() else 0


def compact_row_log(root: str, inspection: Inspection, data: FileSystemDataHandler) -> bool:
    """Write the row log anew, whole or not at all; return False if it was left because the store is in use.

    Nobody else may have the store open: writers keep the log open, and would go on in the one that was replaced.
    (Looking for another file before each write would cost every commit, for the sake of a rare command.)

    Args:
        root: absolute path of the directory of the database.
        inspection: the database.
        data: where the data lies.
    """
    try:
        with HeldAlone(root, BUSY_TIMEOUT_MS / 1000, as_found=True) as lock:
            data.row_log.create(inspection.row_log_lines())
            lock.mark(data.row_log.size())
    except StorageBusyError:
        return False
    return True
