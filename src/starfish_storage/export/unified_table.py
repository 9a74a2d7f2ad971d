"""The schema of all records together, and the records as Arrow data of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from starfish_storage.codec import decode, json_text
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.schema import Conflict, Plan, arrow_type, json_paths, with_json_text
from starfish_storage.export.spool import Spool
from starfish_storage.extras import ArrowSchema, RecordBatch, arrow, arrow_errors

JSON_COLUMNS = "starfish_storage.json_columns"
"""The key of a file's metadata under which the paths are listed whose values are JSON text."""

_PIECE = 1 << 20  # bytes of JSON that are parsed at a time: as Python objects they take several times as much
_MOST_CELLS = 2_000_000  # of a piece: where there are many columns, few records fill it with nulls


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
    def schema(self) -> ArrowSchema:
        """The columns, in the order in which they were met; each may be null."""
        return arrow().schema(list(arrow_type(self.plan)))

    def described(self, identity: Mapping[str, str]) -> ArrowSchema:
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
