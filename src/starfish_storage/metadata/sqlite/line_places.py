"""Where data lies in packs, found out again for a rebuilt database: each row gets the line that has its digest.

Which data lies where is in the database alone. Packs hold it one line a record, and rows know the SHA-256 of theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple, cast

import apsw

from starfish_storage.keys import PackPlace, place_in_pack
from starfish_storage.metadata.layout import LAYOUT
from starfish_storage.metadata.queries import Queries, sqlite_queries
from starfish_storage.metadata.sqlite.driver import Connection, Cursor, Row
from starfish_storage.metadata.sqlite.salvage import salvaged
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)


class FoundPacks(NamedTuple):
    """What lies in the place of a store's data, as far as a rebuilt database must know.

    Attributes:
        lines: yields each pack, the latest first, with its lines in their order.
        read: returns what is at a place; fewer bytes where there are fewer.
        file_has: returns whether there is a file under a key, whose content has a digest.
        has_files: whether there may be any.
    """

    lines: Callable[[], Iterable[tuple[str, Iterable[tuple[PackPlace, bytes]]]]]
    read: Callable[[PackPlace], bytes]
    file_has: Callable[[str, bytes], bool]
    has_files: bool


def _holds_nothing(_: PackPlace) -> bytes:
    return b""


def _is_no_file(_: str, __: bytes) -> bool:
    return False


NO_PACKS = FoundPacks(tuple, _holds_nothing, _is_no_file, has_files=False)


class LinePlaces:
    """Finds the places in packs of what the rows of a database refer to, within its transaction.

    Nothing is held in memory: temporary tables keep what is wanted and found.

    Args:
        connection: the database, with all rows but these.
        found: what lies there.
    """

    def __init__(self, connection: Connection, found: FoundPacks) -> None:
        self._connection = connection
        self._found = found
        self._queries = _queries()
        self._sizes: dict[str, int] = {}
        for name in ("make_wanted", "index_unplaced", "want_records", "want_versions"):
            connection.execute(self._queries[name])

    def place(self, damaged: str | None) -> None:
        """Give every row its line, and note how much of each pack is committed, and the layout.

        Args:
            damaged: a copy of the former database, if there is one, in a directory that may be written.
        """
        former = None if damaged is None else _opened(damaged)
        try:
            self._place(former)
        finally:
            if former is not None:
                former.close()

    def _place(self, damaged: Connection | None) -> None:
        for pack, lines in self._found.lines():
            self._sizes[pack] = 0
            for place, line in lines:
                if line.endswith(b"\n"):  # what is torn at the end was never committed
                    self._place_line(place, line)
                    self._sizes[pack] = place.end
        if damaged is not None:
            self._place_journaled(damaged)
        self._execute("place_alike")
        if self._found.has_files:
            self._leave_in_files()
        self._execute("keep_places")
        if damaged is not None:
            self._keep_others(damaged)
        for row in self._sizes.items():
            self._connection.execute(sqlite_queries()["save_pack"], row)
        layout = "files" if not self._sizes else "mixed" if self._found.has_files else "packed"
        self._connection.execute(sqlite_queries()["save_setting"], (LAYOUT, layout))

    def _place_line(self, place: PackPlace, line: bytes) -> bool:
        """Give a line to a row that has saved it and has none; return False if there is no such row."""
        if line.startswith(b"\0"):  # what was before it was lost in a power cut
            line = line.lstrip(b"\0")
            place = PackPlace(place.pack, place.end - len(line), len(line))
        digest = hashlib.sha256(line).digest()
        self._execute("place_line", (*place, digest, digest))
        return self._connection.changes() > 0

    def _place_journaled(self, damaged: Connection) -> None:
        """Journal those ranges anew of which a row needs a line that did not reach its pack before a power cut."""
        for key, payload in _readable(lambda: salvaged(damaged, sqlite_queries()["salvage_journal"])):
            place = place_in_pack(str(key))
            if place is None or not isinstance(payload, bytes) or place.length != len(payload):
                continue
            if self._found.read(place) == payload or self._is_placed_over(place):
                continue
            start, is_needed = place.start, False
            for line in payload.split(b"\n")[:-1]:
                is_needed = self._place_line(PackPlace(place.pack, start, len(line) + 1), line + b"\n") or is_needed
                start += len(line) + 1
            if is_needed:
                self._connection.execute(sqlite_queries()["journal_data"], (key, payload))
                self._sizes[place.pack] = max(self._sizes.get(place.pack, 0), place.end)

    def _is_placed_over(self, place: PackPlace) -> bool:
        return self._execute("is_placed_over", (place.pack, place.end, place.start)).fetchone() is not None

    def _leave_in_files(self) -> None:
        """Leave data in its file that has one; the line in the pack is of a time before it was unpacked."""
        last: Row = (b"", "")
        while page := self._execute("page_of_placed", last).fetchall():
            for sha256, key in page:
                if self._found.file_has(key, sha256):
                    self._execute("leave_in_file", (sha256, key))
            last = page[-1]

    def _keep_others(self, damaged: Connection) -> None:
        """Keep what the former database says of data that no row has the digest of, or has none of any more."""
        for key, *rest in _places_in(damaged, self._queries):
            try:
                place = PackPlace._make(rest)
                line = self._found.read(place) if place.end <= self._sizes.get(place.pack, 0) else b""
            except (TypeError, ValueError):
                continue  # damaged
            if len(line) == place.length and line.endswith(b"\n"):
                self._execute("keep_place", (key, *place))

    def _execute(self, name: str, parameters: Row = ()) -> Cursor:
        return self._connection.execute(self._queries[name], parameters)


def _places_in(damaged: Connection, queries: Queries) -> Iterator[tuple[object, ...]]:
    """Yield the rows of `packed_data` that can be read, from its beginning and from its end."""
    for name in ("salvage_places", "salvage_places_back"):
        yield from _readable(lambda name=name: damaged.execute(queries[name]))


def _readable(read: Callable[[], Iterable[tuple[object, ...]]]) -> Iterator[tuple[object, ...]]:
    try:
        yield from read()
    except (apsw.Error, UnicodeDecodeError) as error:
        logger.warning("of the damaged database not all could be read: %s", type(error).__name__)


def _opened(path: str) -> Connection:
    damaged = cast("Connection", apsw.Connection(path))
    damaged.config(apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1)  # or SQLite reads nothing of one that was cut short
    return damaged


@cache
def _queries() -> Queries:
    return Queries("sqlite", "scratch/lines.sql")
