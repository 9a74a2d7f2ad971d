"""Record data in packs: appended before the rows of its group are committed, and named by them.

What a group has appended lies behind the committed end of a pack, where nobody looks, until its rows are committed. So
nothing has to be put in place afterwards, and nothing to be undone if they are not. The ranges go into the journal as
they are, one entry for all that lies together: that makes them power-safe with the rows, by the same fsync.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal

from starfish_storage.errors import StorageError, StorageUnavailableError
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.keys import DATA_DIRECTORY, PackPlace
from starfish_storage.metadata.layout import LAYOUT
from starfish_storage.metadata.operations import WriteOperation, changes_what_is_there
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.row_writer import portions
from starfish_storage.metadata.sqlite.driver import Connection, Cursor

_MOST_ROWS = 128  # in a common statement

NewData = Literal["files", "packed", "mixed"]
"""Where new record data goes; ``"mixed"``: into packs, but there may be files of earlier data."""


class Packing:
    """Appends the record data of groups to a pack, where the store is packed, and keeps the rows that say where.

    Args:
        connection: the writing connection.
        queries: the named queries.
        data: where the data lies.
    """

    def __init__(self, connection: Connection, queries: Queries, data: DataHandler) -> None:
        self._connection = connection
        self._queries = queries
        self._data = data
        self._committed = _Committed(connection, queries)
        # On another machine, what was put is safe before its rows are committed.
        self._is_safe = data.parallel > 1
        self._layout: NewData = "files"
        self._has_packs = False
        self._appended: list[tuple[PackPlace, bytes]] = []  # for the group, in order
        self.look()

    def look(self) -> None:
        """Look where new data goes: another process may have changed it."""
        layout, pack = self._execute("look_at_layout", (LAYOUT,)).fetchone() or (None, None)
        self._layout = layout or "files"
        self._has_packs = pack is not None

    def append(self, operations: Sequence[WriteOperation]) -> None:
        """Append the record data of a group, before its transaction. What does not fit gets its error."""
        self._appended = []
        self._append(operations)

    def _append(self, operations: Sequence[WriteOperation]) -> None:
        if self._layout == "files" and not any(operation.layout for operation in operations):
            return
        packed = [
            (operation, write)
            for operation in operations
            if (operation.layout or self._layout) != "files"
            for write in operation.data
            if _can_be_packed(write)
        ]
        if not packed:
            return
        payloads = [write.payload or b"" for _, write in packed]
        try:
            places = self._data.append(payloads, safe=self._is_safe, committed=self._committed)
        except StorageError as error:
            if len(operations) == 1 or isinstance(error, StorageUnavailableError):  # all have waited as long
                for operation, _ in packed:
                    operation.error = error
                return
            for operation in operations:  # a smaller one may fit
                self._append([operation])
            return
        self._appended += zip(places, payloads, strict=True)
        for (operation, write), place in zip(packed, places, strict=True):
            operation.places[write.key] = place

    def take_back(self, operations: Sequence[WriteOperation], committed: Sequence[WriteOperation] = ()) -> None:
        """Forget what was appended for operations that were not committed, as far as nothing lies behind it.

        Args:
            operations: those that were not.
            committed: those of their group that were.
        """
        needed = {place for operation in committed for place in operation.places.values()}
        places = [place for place, _ in self._appended if place not in needed]  # of a key that came twice, both
        if self._is_safe:  # an object is removed whole, or not at all
            packs = {place.pack for place in needed}
            places = [place for place in places if place.pack not in packs]
        if places:
            self._data.take_back(places)
        for operation in operations:
            operation.places = {}

    def files_of(self, operation: WriteOperation) -> Sequence[DataWrite]:
        """Return the data of an operation that is not in a pack."""
        if not operation.places and not operation.stale:
            return operation.data
        if len(operation.places) == len(operation.data):  # nearly always
            return ()
        return [
            write for write in operation.data if write.key not in operation.places and write.key not in operation.stale
        ]

    def holds_all_of(self, operations: Sequence[WriteOperation]) -> bool:
        """Return whether no file changes with operations: then nothing of them can fail once they are committed."""
        if self._layout != "packed":
            return False
        for operation in operations:  # `any` over a generator takes twice as long
            if operation.drops or operation.layout or len(operation.places) < len(operation.data):
                return False
        return True

    def changes_files(self, operations: Sequence[WriteOperation]) -> bool:
        """Return whether operations replace or remove files, or data in object stores. The writer is locked."""
        self.look()
        return any(
            changes_what_is_there(operation, may_be_files=self._layout != "packed" or operation.layout is not None)
            for operation in operations
        )

    def save(self, operations: Sequence[WriteOperation]) -> None:
        """Save in the transaction where the data of operations lies."""
        rows = [
            (key, *place)
            for operation in operations
            for key, place in operation.places.items()
            if key not in operation.stale
        ]
        for operation in operations if rows else ():
            if self._layout != "packed" or operation.layout:
                self._drop_files(operation)
        rows.sort()  # neighbours share pages
        for part in portions(rows, _MOST_ROWS):
            text = self._queries.repeated("save_packed_data", len(part))
            self._connection.execute(text, tuple(chain.from_iterable(part)))
        if len(rows) < sum(len(operation.data) for operation in operations):
            for operation in operations:
                self._note_files(operation)

    def drop(self, keys: Sequence[str]) -> None:
        """Forget in the transaction where data lies that is removed."""
        if self._has_packs:
            for key in keys:
                self._execute("delete_packed_data", (key,))

    def put_back(self, operation: WriteOperation) -> None:
        """Say in a transaction that data lies where it lay before an operation that is taken back."""
        for row in operation.unpacked:
            self._execute("save_packed_data", row)

    def journal(self, operations: Sequence[WriteOperation]) -> int:
        """Journal what was appended up to the last of these, and note how far its packs go; return how many bytes.

        With it goes what lies between and is no data of theirs, as of a call that was refused: where a power cut takes
        the end of a pack, it would be a hole, and the pack no lines of JSON any more.
        """
        ends: dict[str, int] = {}
        for operation in operations:
            for pack, start, length in operation.places.values():
                # The last of a key that came twice stands where the first did.
                if start + length > ends.get(pack, 0):
                    ends[pack] = start + length
        size = 0
        for pack, end in ends.items():
            if not self._is_safe:
                start = only_value(self._execute("get_pack_size", (pack,)).fetchone()) or 0
                for place, payloads in _ranges(self._appended, pack, start, end):
                    size += place.length
                    self._execute("journal_data", (place.key, b"".join(payloads)))
            self._execute("save_pack", (pack, end))
        return size

    def _drop_files(self, operation: WriteOperation) -> None:
        """Have the files removed whose data lies in a pack now."""
        others = {write.key for write in operation.drops}.union(operation.stale)
        candidates = [key for key in operation.places if key not in others]
        # What is moved was read from its file; elsewhere, to ask for many at once is one wait.
        there = candidates if operation.layout else self._data.existing(candidates)
        files = [key for key in candidates if key in there]
        operation.drops = [*operation.drops, *map(self._data.remove, files)]

    def _note_files(self, operation: WriteOperation) -> None:
        """Note that data lies in files of its own, whatever was said before."""
        keys = [write.key for write in self.files_of(operation) if _can_be_packed(write)]
        if not keys:
            return
        if self._layout == "packed":
            self._execute("save_setting", (LAYOUT, "mixed"))
            self._layout = "mixed"
        if self._has_packs:
            for part in portions(keys, _MOST_ROWS):
                rows = self._connection.execute(self._queries.repeated("list_packed_data", len(part)), tuple(part))
                operation.unpacked = [*operation.unpacked, *rows.fetchall()]
            for key in keys:
                self._execute("delete_packed_data", (key,))

    def _execute(self, name: str, parameters: tuple[object, ...] = ()) -> Cursor:
        return self._connection.execute(self._queries[name], parameters)


class _Committed:
    """See `CommittedSizes`."""

    def __init__(self, connection: Connection, queries: Queries) -> None:
        self._connection = connection
        self._queries = queries

    def __call__(self, packs: Sequence[str], /) -> Mapping[str, int]:
        wanted = set(packs)
        return {pack: size for pack, size in self._connection.execute(self._queries["list_packs"]) if pack in wanted}

    def last_end(self, pack: str, /) -> int:
        (end,) = self._connection.execute(self._queries["last_end_in_pack"], (pack,)).fetchone() or (0,)
        return end


def _can_be_packed(write: DataWrite) -> bool:
    return write.payload is not None and write.key.startswith(f"{DATA_DIRECTORY}/")


def _ranges(
    appended: Sequence[tuple[PackPlace, bytes]], pack: str, start: int, end: int
) -> Iterator[tuple[PackPlace, list[bytes]]]:
    """Yield what was appended to a pack between two places, joined where it lies together."""
    payloads: list[bytes] = []
    at = start
    for (name, first, length), payload in appended:
        if name != pack or first < start or first + length > end:
            continue
        if first != at:
            if payloads:
                yield PackPlace(pack, start, at - start), payloads
            start, payloads = first, []
        at = first + length
        payloads.append(payload)
    if payloads:
        yield PackPlace(pack, start, at - start), payloads
