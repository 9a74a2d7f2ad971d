"""What callers hand to the writer: one operation for each call, and the group that commits them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starfish_storage.errors import StorageError
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataWrite, Layout
from starfish_storage.interface.rows import RecordRow
from starfish_storage.keys import DATA_DIRECTORY, PackPlace, owner_uid
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter

NOTE_DATA = "note_data"
"""The batch of operations that save the data of a record without its row."""
SAVE_ROWS = "save_rows_of_records"
"""The batch of operations that save the row of a record whose data, if it has any, was saved before."""

_RECORD_DATA = f"{DATA_DIRECTORY}/"


@dataclass(slots=True, eq=False, repr=False)
class WriteOperation:
    """One call's changes, which take effect together or not at all.

    Without a ``repr`` of its own: in its debug mode the event loop logs what its callbacks are given.

    Attributes:
        apply: makes row changes, in the writer's thread, inside the group's transaction; may return what takes them
            back, which is needed where data could fail to be put in place.
        records: rows of records that are saved together with their data.
        data: the data that is written; of `records`, in the same order.
        refers_to: keys of data that its rows refer to, which has to be in place.
        decides: names of what its rows decide for operations after it, such as who has a unique key: no two of one
            name share a group.
        future: resolved when the changes are durable, or failed with the reason.
        error: why it failed, once it has.
        done: it is committed, and its data is in place.
        undo: row changes that take it back after the commit.
        drops: the removals of data that it replaces by none, made once its own data is in place.
        numbers: the journal entries of its data, and of these.
        removals: the journal entries, after the first number and up to the second, of what it deletes.
        took: for how long its group kept others from writing, in seconds; of one that deletes, once it is done.
        shares: though it deletes, other groups may be written meanwhile: it locks the rows that it looks at.
        batch: what `apply` does, as the name of a change and its argument, where an engine can make many at once.
        versions: of the data that was put under keys of their own before, by key.
        places: of the data that was appended to a pack before, by key.
        unpacked: where the data lay in packs before that it puts into files, as rows that say so.
        stale: keys of data that was only to be put elsewhere, and was replaced or removed meanwhile: it stays as it is.
        layout: where its record data goes; None: where new data of the store does.
        accepted: when the writer took it, by the monotonic clock.
    """

    apply: Callable[[RowWriter], Sequence[Change] | None] | None = None
    records: Sequence[RecordRow] = ()
    data: Sequence[DataWrite] = ()
    refers_to: Sequence[str] = ()
    decides: Sequence[str] = ()
    future: asyncio.Future[None] | None = None
    error: StorageError | None = None
    done: bool = False
    undo: Sequence[Change] = ()
    drops: Sequence[DataWrite] = ()
    numbers: Sequence[int] = ()
    removals: tuple[int, int] | None = None
    took: float = 0.0
    shares: bool = False
    batch: tuple[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict[str, str])
    places: dict[str, PackPlace] = field(default_factory=dict[str, PackPlace])
    unpacked: Sequence[tuple[object, ...]] = ()
    stale: Collection[str] = frozenset()
    layout: Layout | None = None
    accepted: float = field(default_factory=time.monotonic)


def runs(operations: Sequence[WriteOperation]) -> Iterator[list[WriteOperation]]:
    """Split operations, in order, into runs about distinct records, and single other operations.

    Distinct means distinct on every file system: uids that differ only in case are checked one after the other. What
    the operations of a run do is the same in any order.
    """
    single = {fold(operation.records[0].record_uid) for operation in operations if len(operation.records) == 1}
    if len(single) == len(operations):  # nearly always
        yield list(operations)
        return
    run: list[WriteOperation] = []
    uids: set[str] = set()
    for operation in operations:
        own = _uids(operation)
        if run and not (own and uids.isdisjoint(own)):
            yield run
            run, uids = [], set()
        if own:
            run.append(operation)
            uids.update(own)
        else:
            yield [operation]
    if run:
        yield run


def _uids(operation: WriteOperation) -> Collection[str]:
    """Return the uids of records that an operation is about, folded; none if it has to be alone."""
    records = operation.records
    if len(records) == 1:
        return (fold(records[0].record_uid),)
    if records:
        uids = {fold(row.record_uid) for row in records}
        return uids if len(uids) == len(records) else ()
    if operation.batch is None:
        return ()
    name, given = operation.batch
    if name == NOTE_DATA and given[1].key.startswith(_RECORD_DATA):
        return (fold(given[0]),)
    if name == SAVE_ROWS:
        return {fold(given.record_uid), *(fold(owner_uid(key)) for key in operation.refers_to)}
    return ()


def distinct(rows: Sequence[RecordRow]) -> bool:
    """Return whether no two rows are of one uid, to any file system."""
    return len({fold(row.record_uid) for row in rows}) == len(rows)


def changes_what_is_there(operation: WriteOperation, *, may_be_files: bool) -> bool:
    """Return whether an operation replaces or removes data in its place; what lies in a pack is never changed.

    Args:
        operation: whose data is appended.
        may_be_files: there may be files in whose place it puts data into packs. They are removed.
    """
    if operation.removals is not None or operation.drops:
        return True
    return any(write.replaces() for write in operation.data if may_be_files or write.key not in operation.places)


def discard(operation: WriteOperation) -> None:
    """Forget what an operation staged, and what it kept to be put back."""
    for write in operation.data:
        write.discard()


def resolve(operations: Sequence[WriteOperation]) -> None:
    """Tell the callers: one call into each event loop for the whole group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[WriteOperation]] = {}
    for operation in operations:
        if operation.future is not None:
            by_loop.setdefault(operation.future.get_loop(), []).append(operation)
    for loop, theirs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_results, theirs)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more, and the write stands


def _set_results(operations: Sequence[WriteOperation]) -> None:
    for operation in operations:
        future = operation.future
        if future is None or future.done():
            continue  # cancelled: the caller has stopped waiting
        if operation.error is None:
            future.set_result(None)
        else:
            future.set_exception(operation.error)
