"""Records gathered for a table: each is looked at and put aside, and read again once all of them are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, StorageError, StoreDamagedError, shorten
from starfish_storage.export.extras import RecordBatch, Schema, arrow
from starfish_storage.export.inference import MOST_COLUMNS, Seen, is_utf8, json_line, orjson_refuses, read_object
from starfish_storage.export.schema import Conflict, Plan, Planner, arrow_type, json_paths, with_json_text
from starfish_storage.export.spool import Spool

JSON_COLUMNS = "starfish_storage.json_columns"
"""The key of a file's metadata under which the paths are listed whose values are JSON text."""

_PIECE = 1 << 20  # bytes of JSON that are parsed at a time: as Python objects they take several times as much
_MOST_CELLS = 2_000_000  # of a piece: where there are many columns, few records fill it with nulls


class Rows:
    """Records put aside, of one table or of a split of it.

    Args:
        directory: for the file they are put in.
    """

    def __init__(self, directory: str) -> None:
        self._spool = Spool(directory)
        self._exact = False
        self.add = self._spool.add
        self.close = self._spool.close

    @property
    def count(self) -> int:
        """How many there are."""
        return self._spool.rows

    @property
    def size(self) -> int:
        """How many bytes of JSON they are."""
        return self._spool.size

    def needs_exact_parser(self) -> None:
        """Note that one of them holds what the fast parser would not read, or not as it is."""
        self._exact = True

    def pieces(self, table: UnifiedTable) -> Iterator[tuple[RecordBatch, int]]:
        """Yield them in order as Arrow data of bounded size, with how many bytes of JSON each piece was.

        Raises:
            StorageIOError: they cannot be read again.
        """
        parse = decode if self._exact else orjson.loads
        for lines in self._spool.batches(_PIECE, table.most_rows):
            yield table.batch([parse(line) for line in lines]), sum(map(len, lines))


class UnifiedTable:
    """The schema of all records together.

    Args:
        plan: what becomes of each path.
        conflicts: where no one type fits.
    """

    def __init__(self, plan: Plan, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = list(conflicts)
        self.most_rows = max(1, _MOST_CELLS // max(1, plan.leaves()))
        self._plan = plan

    @cached_property
    def schema(self) -> Schema:
        """The columns, in the order in which they were met; each may be null."""
        return arrow().schema(list(arrow_type(self._plan)))

    def described(self, identity: Mapping[str, str]) -> Schema:
        """Return the schema with what a file says about itself."""
        told = dict(identity) | {JSON_COLUMNS: orjson.dumps(json_paths(self.conflicts)).decode()}
        return self.schema.with_metadata({key.encode(): value.encode() for key, value in told.items()})

    def only(self, columns: Sequence[str]) -> UnifiedTable:
        """Return the same table with some of its columns, in their order.

        Raises:
            InvalidInputError: one of them is not there.
        """
        members = dict(self._plan.members)
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
        if self._plan.has_json:
            for row in rows:
                with_json_text(self._plan, row)
        try:
            array = pa.array(rows, type=pa.struct(list(self.schema)))
        except pa.ArrowException as error:  # its text quotes what is stored
            reason = type(error).__name__
        else:
            return pa.RecordBatch.from_struct_array(array)
        raise InvalidInputError(f"Arrow cannot hold the records ({reason}): export them as JSON Lines.")


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
        line, exact = self._gathering.take(uid, payload, metadata)[1:]
        if exact:
            self.rows.needs_exact_parser()
        self.rows.add(line)

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

    def take(self, uid: str, payload: bytes, metadata: Mapping[str, Any] | None) -> tuple[dict[str, Any], bytes, bool]:
        """Look at a record; see `TableSink.add`.

        Returns:
            Its data, its line, and whether only the exact parser reads that.
        """
        try:
            data, line, exact = read_object(payload)
        except ValueError as error:
            raise StoreDamagedError(uid, f"the data of this record is no table's row: {error}") from None
        if exact and not all(map(is_utf8, data)):
            raise _no_column(uid)
        seen = self._seen
        about = None if metadata is None or self._key is None else dict(metadata)
        if self._key is not None:
            if self._key in data:
                raise InvalidInputError(
                    f"record {shorten(uid)} has a field {shorten(self._key)} of its own: name the metadata otherwise."
                )
            if about is not None:
                exact = exact or orjson_refuses(about)
                comma = b"," if data else b""
                line = line[:-2] + comma + self._name + b":" + json_line(about)[:-1] + b"}\n"
        seen.observe_members(data, exact)
        if about is not None:
            self._about.observe(about, careful=True)
        if len(seen.members) > MOST_COLUMNS:
            raise InvalidInputError(
                f"record {shorten(uid)} brings the fields to more than {MOST_COLUMNS:,}, which is no table: export the "
                "records as JSON Lines."
            )
        self._rows += 1
        self._unified = None
        return data, line, exact

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
            self._unified = UnifiedTable(planner.table(columns), planner.conflicts)
        return self._unified


def _no_column(uid: str) -> StorageError:
    return InvalidInputError(
        f"record {shorten(uid)} has a field whose name is no Unicode, as a column's must be: export it as JSON Lines."
    )


def _listed(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shorten, names[:most])) + more
