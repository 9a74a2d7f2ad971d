"""Records gathered for a table: each is looked at and put aside, and read again once all of them are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from starfish_storage.codec import decode, decode_line, json_line, json_text, needs_exact_parser
from starfish_storage.errors import InvalidInputError, StoreDamagedError, shorten
from starfish_storage.export.inference import MOST_COLUMNS, Seen, is_utf8
from starfish_storage.export.schema import Conflict, Plan, Planner, arrow_type, json_paths, with_json_text
from starfish_storage.export.spool import Spool
from starfish_storage.extras import RecordBatch, Schema, arrow, arrow_errors

JSON_COLUMNS = "starfish_storage.json_columns"
"""The key of a file's metadata under which the paths are listed whose values are JSON text."""

_PIECE = 1 << 20  # bytes of JSON that are parsed at a time: as Python objects they take several times as much
_MOST_CELLS = 2_000_000  # of a piece: where there are many columns, few records fill it with nulls


class Rows:
    """Records put aside, of one table or of a split of it.

    Args:
        directory: for the file they are put in.
        shard_bytes: of JSON, after which another file begins; None for one file.

    Attributes:
        count: how many there are.
        shards: where each file begins and ends, in bytes of JSON.
    """

    def __init__(self, directory: str, shard_bytes: int | None = None) -> None:
        self._spool = Spool(directory)
        self._most = sys.maxsize if shard_bytes is None else shard_bytes
        self._exact = False
        self.shards: list[tuple[int, int]] = [(0, 0)]
        self.close = self._spool.close

    @property
    def count(self) -> int:
        """How many there are."""
        return self._spool.rows

    def add(self, line: bytes, exact: bool) -> None:
        """Put a record aside.

        Args:
            line: its JSON.
            exact: only the exact parser reads that as it is.

        Raises:
            StorageIOError: it cannot be written.
        """
        self._spool.add(line)
        self._exact = self._exact or exact
        start, end = self.shards[-1]
        if start < end and end - start + len(line) > self._most:
            self.shards.append((end, end + len(line)))
        else:
            self.shards[-1] = (start, end + len(line))

    def pieces(self, table: UnifiedTable, shard: int = 0) -> Iterator[tuple[RecordBatch, int]]:
        """Yield those of a shard in order as Arrow data of bounded size, and how many bytes of JSON each piece was.

        Raises:
            StorageIOError: they cannot be read again.
        """
        parse = decode if self._exact else orjson.loads
        for lines in self._spool.batches(_PIECE, table.most_rows, *self.shards[shard]):
            yield table.batch([parse(line) for line in lines]), sum(map(len, lines))


class UnifiedTable:
    """The schema of all records together.

    Args:
        plan: what becomes of each path.
        conflicts: where no one type fits.

    Attributes:
        plan: what becomes of each path.
        conflicts: where no one type fits.
        most_rows: of a piece that is made at a time.
    """

    def __init__(self, plan: Plan, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = list(conflicts)
        self.most_rows = max(1, _MOST_CELLS // max(1, plan.leaves()))
        self.plan = plan

    @cached_property
    def schema(self) -> Schema:
        """The columns, in the order in which they were met; each may be null."""
        return arrow().schema(list(arrow_type(self.plan)))

    def described(self, identity: Mapping[str, str]) -> Schema:
        """Return the schema with what a file says about itself."""
        told = dict(identity) | {JSON_COLUMNS: json_text(json_paths(self.conflicts))}
        return self.schema.with_metadata({key.encode(): value.encode() for key, value in told.items()})

    def only(self, columns: Sequence[str]) -> UnifiedTable:
        """Return the same table with some of its columns, in their order.

        Raises:
            InvalidInputError: one of them is not there.
        """
        members = dict(self.plan.members)
        missing = [name for name in columns if name not in members]
        if missing:
            raise InvalidInputError(
                f"no record has the field {shorten(missing[0])}: choose among {_listed(list(members))}."
            )
        plan = Plan(
            "object",
            tuple((name, members[name]) for name in columns),
            has_json=any(members[name].has_json for name in columns),
        )
        return UnifiedTable(plan, self.conflicts)

    def batch(self, rows: list[dict[str, Any]]) -> RecordBatch:
        """Return records as Arrow data."""
        pa = arrow()
        if self.plan.has_json:
            for row in rows:
                with_json_text(self.plan, row)
        with arrow_errors():
            return pa.RecordBatch.from_struct_array(pa.array(rows, type=pa.struct(list(self.schema))))


class TableSink:
    """Takes records one by one, and knows the schema of all of them afterwards.

    `close` removes what was put aside, in every ending.

    Args:
        directory: for a temporary file, which takes as much space as the records' JSON.
        metadata_key: the column of the records' metadata; None for none.
    """

    def __init__(self, directory: str, metadata_key: str | None = None) -> None:
        self._gathering = Gathering(metadata_key)
        self.rows = Rows(directory)

    def add(self, uid: str, payload: bytes, metadata: Mapping[str, Any] | None = None) -> None:
        """Take a record. If it is refused, nothing has changed, and the next one may be given.

        Args:
            uid: its uid, for messages.
            payload: its data, the bytes of one JSON object.
            metadata: what goes into the column of metadata.

        Raises:
            StoreDamagedError: the data is no JSON object.
            InvalidInputError: the data has the key of the metadata's column, or a key that no column can have.
            StorageIOError: it cannot be put aside.
        """
        self.rows.add(*self._gathering.take(uid, self._gathering.read(uid, payload), metadata))

    @property
    def conflicts(self) -> list[Conflict]:
        """The paths whose values are written as JSON text, since no one type fits; asked after the last `add`."""
        return self.unified().conflicts

    def unified(self) -> UnifiedTable:
        """Return the schema of all records together.

        Raises:
            InvalidInputError: there are records, and none has a field.
        """
        return self._gathering.unified()

    def close(self) -> None:
        """Remove what was put aside. Idempotent."""
        self.rows.close()


class Found(NamedTuple):
    """The data of a record.

    Attributes:
        data: the object.
        line: its JSON on one line.
        exact: only the exact parser reads that as it is.
    """

    data: dict[str, Any]
    line: bytes
    exact: bool


class Gathering:
    """Looks at records, and unifies what it has seen.

    Args:
        metadata_key: the column of the records' metadata; None for none.
    """

    def __init__(self, metadata_key: str | None) -> None:
        self._key = metadata_key
        self._name = b"" if metadata_key is None else json_line(metadata_key)[:-1]
        self._seen = Seen()
        self._about = Seen()  # apart, so that its column is the last one
        self._rows = 0
        self._unified: UnifiedTable | None = None

    def read(self, uid: str, payload: bytes) -> Found:
        """Parse the data of a record, which is not counted yet; see `TableSink.add`."""
        try:
            found = Found(*decode_line(payload))
        except ValueError as error:
            raise StoreDamagedError(uid, f"the data of this record is no row of a table: {error}") from None
        has_nul = b"\\u0000" in found.line and any("\0" in name for name in found.data)
        if has_nul or (found.exact and not all(map(is_utf8, found.data))):
            raise InvalidInputError(
                f"record {shorten(uid)} has a field whose name no column can have, for it is no Unicode or has a NUL "
                "in it: export it as JSON Lines."
            )
        return found

    def take(self, uid: str, found: Found, metadata: Mapping[str, Any] | None) -> tuple[bytes, bool]:
        """Count a record; return its line, and whether only the exact parser reads that. See `TableSink.add`."""
        data, line, exact = found
        seen = self._seen
        if len(seen.members) + len(data) > MOST_COLUMNS and len(seen.members.keys() | data.keys()) > MOST_COLUMNS:
            raise InvalidInputError(
                f"record {shorten(uid)} brings the fields to more than {MOST_COLUMNS:,}, which is no table: export the "
                "records as JSON Lines."
            )
        about = None if metadata is None or self._key is None else dict(metadata)
        if self._key is not None:
            if self._key in data:
                raise InvalidInputError(
                    f"record {shorten(uid)} has a field {shorten(self._key)} of its own: name the metadata otherwise."
                )
            if about is not None:
                exact = exact or needs_exact_parser(about)
                comma = b"," if data else b""
                line = line[:-2] + comma + self._name + b":" + json_line(about)[:-1] + b"}\n"
        seen.observe_members(data, exact)
        if about is not None:
            self._about.observe(about, careful=True)
        self._rows += 1
        self._unified = None
        return line, exact

    def unified(self) -> UnifiedTable:
        """Return the schema of all that was taken. See `TableSink.unified`."""
        if self._unified is None:
            columns = dict(self._seen.members)
            if self._key is not None and self._about.objects:
                columns[self._key] = self._about
            if self._rows and not columns:
                raise InvalidInputError(
                    "no record has a field, so there is no table: export the records as JSON Lines."
                )
            planner = Planner()
            plan = planner.table(columns)
            if plan.leaves() > MOST_COLUMNS:
                raise InvalidInputError(
                    f"the records have {plan.leaves():,} fields, those within others counted, and a table has at most "
                    f"{MOST_COLUMNS:,} columns: export them as JSON Lines."
                )
            self._unified = UnifiedTable(plan, planner.conflicts)
        return self._unified


def _listed(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shorten, names[:most])) + more
