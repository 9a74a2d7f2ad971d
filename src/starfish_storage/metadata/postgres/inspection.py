"""Reading a store in PostgreSQL in order to check it: nothing is migrated, and no transaction is kept open.

Everything long is read in pages, each in a transaction of its own. One snapshot of all would have to be kept for as
long as all data is read: the server could not clean up behind a store in use for hours, and the older the snapshot,
the more of what it says has been replaced meanwhile, and has to be looked up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from starfish_storage.codec import decode
from starfish_storage.errors import StoreDamagedError, StoreOpenError
from starfish_storage.interface import DataHandler, Layout
from starfish_storage.interface.inspection import (
    DataReference,
    FoundFile,
    RowFault,
    RowInspection,
    Standing,
)
from starfish_storage.keys import PackPlace, named_version, owner_uid, place_in_pack, versions_named
from starfish_storage.metadata.data_owner import refuse_other_data
from starfish_storage.metadata.inspected_rows import FAULT_QUERIES, faults_of_rows
from starfish_storage.metadata.migrations import migrations, older_release
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.cleaning import PostgresCleaning, owner_and_sample
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.errors import is_lost
from starfish_storage.metadata.postgres.migrate import schema_version, settled_layout
from starfish_storage.metadata.postgres.retrying import insist
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import Row, only_values

Result = TypeVar("Result")

_STALE_SECONDS = 600.0  # whoever notes a removal makes it within seconds, or the time a data place is waited for
_NUMBERS = frozenset({"after_number", "after_call", "after_reply"})
_JSON = (
    "page_of_master_job_json",
    "page_of_execution_job_json",
    "page_of_attempt_json",
    "page_of_step_json",
    "page_of_segment_json",
    "page_of_annotation_json",
)
_KIND_OF_JSON = ("master job", "execution job", "attempt", "step", "segment", "annotation")


class PostgresInspection(RowInspection):
    """See `RowInspection`.

    Args:
        address: where the store lies.
        patience: for how long a server that does not answer is waited for, in seconds.

    Raises:
        StoreOpenError: there is no store, or it is of another version or program.
        StorageUnavailableError: the server does not answer.
    """

    def __init__(self, address: PostgresAddress, patience: float) -> None:
        self._address = address
        self._patience = patience
        self._queries = postgres_queries()
        # A thread of its own: the connection runs an event loop, and the caller's thread may be running one already.
        self._thread = ThreadPoolExecutor(1, "starfish-storage-inspection")
        self._connection = PostgresConnection(address, patience)
        self._cleaning = PostgresCleaning(self._connection, self._queries, address)
        try:
            self._run(self._check_version, opening=True)
        except BaseException:
            self.close()
            raise

    @property
    def uri(self) -> str:
        """See `RowInspection.uri`."""
        return self._address.uri

    def close(self) -> None:
        """See `RowInspection.close`."""
        try:
            self._thread.submit(self._connection.close).result()
        except RuntimeError:
            return  # closed before
        self._thread.shutdown()

    def now(self) -> int:
        """Return the time by the server's clock, as leases do."""
        return int(only_values(self._rows("get_now")).pop().timestamp() * 1e9)

    def refuse_other_data(self, data: DataHandler, *, strictly: bool) -> None:
        """See `RowInspection.refuse_other_data`."""
        self.check_of_data(data, strictly=strictly)()

    def check_of_data(self, data: DataHandler, *, strictly: bool = False) -> Callable[[], None]:
        """Return what does `refuse_other_data`, and needs no rows for it any more."""
        owner, sample = self._run(lambda: owner_and_sample(self._connection, self._queries, self._address))

        def check() -> None:
            refuse_other_data(owner, data, sample, strictly=strictly)

        return check

    def layout(self) -> Layout:
        """Return where the store puts new record data."""
        return self._run(lambda: settled_layout(self._connection, self._queries, self._address, None))

    def refuse_damage(self) -> None:
        """See `RowInspection.refuse_damage`. The server does not tell of all damage to an index."""
        for fault in self._database_faults():
            raise StoreDamagedError(self.uri, f"{fault.detail} ({fault.subject}); nothing was removed")

    def faults(self) -> Iterator[RowFault]:
        """See `RowInspection.faults`."""
        yield from self._database_faults()
        for table, row_id, parent in self._rows("every_orphan"):
            yield RowFault("row_without_parent", row_id, f"this row of {table} has no parent in {parent}")
        for kind, row_id in self._rows("every_bad_time"):
            yield RowFault("row_unreadable", row_id, f"the row of this {kind} has an invalid time")
        for query, kind in zip(_JSON, _KIND_OF_JSON, strict=True):
            yield from self._json_faults(query, kind)
        yield from faults_of_rows({name: self._rows(name) for name in FAULT_QUERIES})

    def count_data(self) -> tuple[int, int]:
        """See `RowInspection.count_data`."""
        ((records, loose),) = self._rows("count_data")
        return records, records + loose

    def data_references(self) -> Iterator[Sequence[DataReference]]:
        """See `RowInspection.data_references`."""
        for query in ("page_of_records", "page_of_loose_data", "page_of_borrowed_data"):
            for page in self._pages(query, ("",)):
                yield [self._reference(key, version, digest) for _, key, version, digest in page]
        for page in self._pages("page_of_versions", ("", 0)):
            yield [self._version_reference(key, version, digest) for *_, key, version, digest in page]
        for query in ("page_of_packed_records", "page_of_packed_loose_data"):
            for page in self._pages(query, ("",)):
                yield _in_order(self._reference(key, version, digest) for _, key, version, digest in page)
        for page in self._pages("page_of_packed_versions", ("",)):
            yield _in_order(self._version_reference(key, version, digest) for _, key, version, digest in page)

    def request_config_references(self) -> Iterator[Sequence[str]]:
        """See `RowInspection.request_config_references`."""
        for page in self._pages("page_of_request_configs", ("",)):
            yield only_values(page)

    def locate(self, key: str) -> list[DataReference]:
        """See `RowInspection.locate`."""
        place = place_in_pack(key)
        if place is not None:
            return [self._version_reference(*row) for row in self._rows("locate_packed_version", (place.version,))]
        found = self._rows("locate_data", ([key], [owner_uid(key)], [key]))
        keys, versions = map(list, zip(*versions_named(key), strict=True))
        kept = self._rows("locate_version", (keys, list(map(owner_uid, keys)), versions))
        if found or kept:
            return [self._reference(*row) for row in found] + [self._version_reference(*row) for row in kept]
        borrowed = self._rows("get_borrower", (key,)) or self._rows("get_master_job_of_request_config", (key,))
        return [DataReference(key, key, None)] if borrowed else []

    def standing(self, objects: Sequence[str]) -> dict[str, Standing]:
        """See `RowInspection.standing`."""
        return self._run(lambda: self._cleaning.standing(objects))

    def stale_removals(self) -> Iterator[str]:
        """See `RowInspection.stale_removals`."""
        for page in self._stale_pages():
            standing = self.standing(page)
            yield from (name for name in page if standing.get(name) == "removed")

    def remove_stale(self, data: DataHandler) -> list[str]:
        """See `RowInspection.remove_stale`."""
        pages = list(self._stale_pages())
        return [name for page in pages for name in self._run(partial(self._cleaning.remove_noted, page, data))]

    def packs_in_use(self, packs: Sequence[str]) -> dict[str, int]:
        """See `RowInspection.packs_in_use`."""
        found: dict[str, int] = dict(self._rows("measure_packs", (list(packs),)))
        return found

    def remove_unwanted(
        self, found: Sequence[FoundFile], data: DataHandler, is_old: Callable[[FoundFile], bool]
    ) -> list[FoundFile]:
        """See `RowInspection.remove_unwanted`."""
        return self._run(lambda: self._cleaning.remove_unwanted(found, data, is_old))

    def _stale_pages(self) -> Iterator[list[str]]:
        after = ""
        while page := self._rows("list_stale_removals", (_STALE_SECONDS, after)):
            names = only_values(page)
            yield names
            after = names[-1]

    def _database_faults(self) -> Iterator[RowFault]:
        for (index,) in self._rows("every_invalid_index"):
            yield RowFault("database_damaged", index, "this index is not valid, and finds nothing; run REINDEX on it")
        for table, trigger in self._rows("every_idle_trigger"):
            detail = f"its trigger {trigger} is switched off; run ALTER TABLE ... ENABLE TRIGGER"
            yield RowFault("database_damaged", table, detail)

    def _json_faults(self, query: str, kind: str) -> Iterator[RowFault]:
        names = self._queries.parameters(query)
        # Numbers of attempts, calls and replies begin with 1.
        after = tuple(0 if name in _NUMBERS else "" for name in names)
        for page in self._pages(query, after):
            for *key, texts in page:
                if not all(_is_json(text) for text in texts):
                    row_id = ", ".join(str(part) for part in key if part != "")  # most steps are no requests
                    yield RowFault("row_unreadable", row_id, f"the row of this {kind} has bad JSON")

    def _reference(self, key: str, version: str | None, digest: str | None) -> DataReference:
        return DataReference(key, named_version(key, version), digest)

    def _version_reference(self, key: str, version: str | None, digest: str | None) -> DataReference:
        """Return a reference that goes by the name of the object: the key is that of the record's current data."""
        place = named_version(key, version)
        return DataReference(place, place, digest)

    def _pages(self, query: str, after: Row) -> Iterator[list[Row]]:
        """Yield the pages of a query whose rows begin with what its parameters are compared with."""
        while page := self._rows(query, after):
            yield page
            after = page[-1][: len(after)]

    def _rows(self, query: str, parameters: Row = ()) -> list[Row]:
        text = self._queries[query]
        return self._run(lambda: self._connection.execute(text, parameters).fetchall())

    def _check_version(self) -> None:
        version = schema_version(self._connection, self._queries, self._address)
        if version is None:
            reason = (
                f"the schema {self._address.schema!a} does not hold a store; name the right one with '?schema=my_store'"
            )
            raise StoreOpenError(self.uri, reason)
        if version != len(migrations("postgres")):
            raise older_release(self.uri, version, len(migrations("postgres")))

    def _run(self, step: Callable[[], Result], *, opening: bool = False) -> Result:
        """Do something in the thread, again on a new connection when that is lost."""

        def attempt() -> Result:
            try:
                if not self._connection.is_open:
                    self._connection.open()
                    self._connection.end_lost_session()  # it may have the store alone, and keep all others waiting
                return step()
            except Exception as error:
                if is_lost(error):
                    self._connection.give_up()
                raise

        return self._thread.submit(lambda: insist(attempt, self.uri, self._patience, opening=opening)).result()


def _in_order(references: Iterable[DataReference]) -> list[DataReference]:
    """Return references to data in packs in the order in which it lies there."""
    return sorted(references, key=lambda one: place_in_pack(one.place) or PackPlace("", 0, 0))


def _is_json(text: str | None) -> bool:
    try:
        return text is None or decode(text.encode()) is not Ellipsis
    except (ValueError, RecursionError):
        return False
