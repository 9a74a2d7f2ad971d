"""The schema of all records together, and the records as Arrow data of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.features import marked, with_features
from starfish_storage.export.schema import Conflict, Plan, arrow_type, as_written
from starfish_storage.export.spool import Spool
from starfish_storage.extras import ArrowSchema, DataType, RecordBatch, arrow, arrow_errors

_PIECE = 1 << 20  # bytes of JSON that are parsed at a time: as Python objects they take several times as much
_MOST_CELLS = 2_000_000  # of a piece: where there are many columns, few records fill it with nulls


class UnifiedTable:
    """The schema of all records together.

    Args:
        plan: what becomes of each path.
        conflicts: what is not written as it is.
        notes: what the table's metadata says, in order that it is put back.

    Attributes:
        plan: what becomes of each path.
        conflicts: what is not written as it is.
        most_rows: of a piece that is made at a time.
    """

    def __init__(self, plan: Plan, conflicts: Sequence[Conflict], notes: Mapping[str, str]) -> None:
        self.conflicts = list(conflicts)
        self._notes = dict(notes)
        self.most_rows = max(1, _MOST_CELLS // max(1, plan.leaves()))
        self.plan = plan

    @cached_property
    def schema(self) -> ArrowSchema:
        """The columns, in the order in which they were met; each may be null."""
        return arrow().schema(list(arrow_type(self.plan)))

    @cached_property
    def _type(self) -> DataType:
        """What Arrow makes of Python's values, before JSON text is marked as such."""
        return arrow_type(self.plan, is_marked=False)

    def marked(self) -> UnifiedTable:
        """Return the same table, with JSON text marked for `datasets`."""
        return UnifiedTable(with_features(self.plan), self.conflicts, self._notes)

    def described(self, identity: Mapping[str, str]) -> ArrowSchema:
        """Return the schema with what a file says about itself."""
        told = dict(identity) | self._notes
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
            is_changed=any(members[name].is_changed for name in columns),
        )
        return UnifiedTable(plan, self.conflicts, self._notes)

    def batch(self, rows: list[dict[str, Any]]) -> RecordBatch:
        """Return records as Arrow data."""
        pa = arrow()
        if self.plan.is_changed:
            for row in rows:
                as_written(self.plan, row)
        with arrow_errors():
            batch = pa.RecordBatch.from_struct_array(pa.array(rows, type=self._type))
            if batch.schema == self.schema:
                return batch
            columns = [marked(column, kind) for column, kind in zip(batch.columns, self.schema.types, strict=True)]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def pieces(self, spool: Spool, shard: int = 0) -> Iterator[tuple[RecordBatch, int]]:
        """Yield the records of a shard in order: pieces of Arrow data of bounded size, each with its bytes of JSON.

        Raises:
            StorageIOError: they cannot be read again.
        """
        parse = decode if spool.exact else orjson.loads
        for lines in spool.batches(_PIECE, self.most_rows, shard):
            yield self.batch([parse(line) for line in lines]), sum(map(len, lines))


def _listed(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shorten, names[:most])) + more
