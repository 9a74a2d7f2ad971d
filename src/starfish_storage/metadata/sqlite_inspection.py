"""Reading the SQLite rows of a store whose data lies in an object store, in order to check them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from starfish_storage.interface import DataHandler
from starfish_storage.interface.inspection import DataReference, FoundFile, RowFault, RowInspection, Standing
from starfish_storage.metadata.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.data_owner import refuse_other_data
from starfish_storage.metadata.inspection import Inspection
from starfish_storage.metadata.locks import WriterLock
from starfish_storage.uri import file_uri_of_path


class SQLiteRowInspection(RowInspection):
    """See `RowInspection`.

    Args:
        root: absolute path of the directory of the database.

    Raises:
        StorageError: there is no database, it cannot be read, or it is of another version or program.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._inspection = Inspection(root)

    @property
    def uri(self) -> str:
        """See `RowInspection.uri`."""
        return file_uri_of_path(self._root)

    def close(self) -> None:
        """See `RowInspection.close`."""
        self._inspection.close()

    def now(self) -> int:
        """Return the time by this machine's clock: all who write are on it."""
        return time.time_ns()

    def refuse_other_data(self, data: DataHandler, *, strictly: bool) -> None:
        """See `RowInspection.refuse_other_data`."""
        self._inspection.refuse_data_location(elsewhere=True)
        owner, sample = self._inspection.owner_and_sample()
        refuse_other_data(owner, data, sample, strictly=strictly)

    def refuse_damage(self) -> None:
        """See `RowInspection.refuse_damage`."""
        self._inspection.refuse_damage()

    def faults(self) -> Iterator[RowFault]:
        """See `RowInspection.faults`."""
        return self._inspection.faults()

    def count_data(self) -> tuple[int, int]:
        """See `RowInspection.count_data`."""
        records = next(self._inspection.rows("every_record_with_data"))[0]
        return records, records

    def data_references(self) -> Iterator[Sequence[DataReference]]:
        """See `RowInspection.data_references`. Read in pages: while a statement reads, the log cannot be emptied."""
        after = ""
        while page := list(self._inspection.rows("page_of_data_references", (after,))):
            yield [DataReference(key, key, digest) for _, key, digest in page]
            after = page[-1][0]

    def request_config_references(self) -> Iterator[Sequence[str]]:
        """See `RowInspection.request_config_references`. There is one a master job."""
        yield [row[0] for row in self._inspection.rows("every_request_config_reference")]

    def locate(self, key: str) -> list[DataReference]:
        """See `RowInspection.locate`."""
        digests, payload, _ = self._inspection.data_of(key)
        if self._inspection.is_request_config(key):
            digests = [None]
        return [DataReference(key, key, digest, payload) for digest in digests]

    def standing(self, objects: Sequence[str]) -> dict[str, Standing]:
        """See `RowInspection.standing`. Data without a record has no row here, so that it is nobody's."""
        found: dict[str, Standing] = {}
        for key in objects:
            standing = self._standing_of(key)
            if standing is not None:
                found[key] = standing
        return found

    def stale_removals(self) -> Iterator[str]:
        """Nothing: the journal has them, and the next one to open the store makes them."""
        return iter(())

    def remove_unwanted(
        self, found: Sequence[FoundFile], data: DataHandler, is_old: Callable[[FoundFile], bool]
    ) -> list[FoundFile]:
        """See `RowInspection.remove_unwanted`. Writers wait."""
        lock = WriterLock(self._root, BUSY_TIMEOUT_MS / 1000)
        try:
            finished = lock.acquire()
            try:
                standing = self.standing([file.key for file in found])
                removed = [file for file in found if file.key not in standing and is_old(file)]
                data.remove_all([file.key for file in removed])
            finally:
                lock.release(finished=finished)  # as it was found: what a killed writer left is for the next one
        finally:
            lock.close()
        return removed

    def remove_stale(self, data: DataHandler) -> list[str]:  # noqa: ARG002 (see `stale_removals`)
        """See `RowInspection.remove_stale`."""
        return []

    def _standing_of(self, key: str) -> Standing | None:
        digests, payload, is_journaled = self._inspection.data_of(key)
        if digests or payload is not None or self._inspection.is_request_config(key):
            return "referenced"
        return "removed" if is_journaled else None
