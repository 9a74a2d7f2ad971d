"""Records on their way into a table: each is looked at and put aside until the schema of all of them is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starfish_storage.codec import decode_line, json_line, needs_exact_parser
from starfish_storage.errors import InvalidInputError, StoreDamagedError, shorten
from starfish_storage.export.inference import MOST_COLUMNS, nulls_for_infinities
from starfish_storage.export.schema import Conflict, Planner
from starfish_storage.export.splitting import WHOLE
from starfish_storage.export.spool import Spool
from starfish_storage.export.table_rules import NONE_FIXED, USUAL_RULES, FixedColumns, TableRules
from starfish_storage.export.unified_table import UnifiedTable
from starfish_storage.row_files.restoring import step


class TableSink:
    """Takes records one by one, and knows the schema of all of them afterwards.

    `close` removes what was put aside, in every ending.

    Args:
        directory: for temporary files, which together take as much space as the records' JSON.
        metadata_key: the column of the records' metadata; None for none.
        splits: the names of those that are known beforehand.
        shard_bytes: bytes of JSON in a file of a split, after which another begins; None for one file.
        rules: what becomes of objects that are not alike.

    Attributes:
        splits: the records of each split. Splits that are known beforehand keep their order; others come as they are
            met.
    """

    def __init__(
        self,
        directory: str,
        metadata_key: str | None = None,
        splits: Sequence[str] = (WHOLE,),
        shard_bytes: int | None = None,
        rules: TableRules = USUAL_RULES,
    ) -> None:
        self._directory = directory
        self._shard_bytes = shard_bytes
        self._key = metadata_key
        self._name = b"" if metadata_key is None else json_line(metadata_key)[:-1]
        self._rules = rules
        self._seen = rules.seen()
        self._about = self._seen.below((".", metadata_key))  # apart, so that its column is the last one
        self._fixed = NONE_FIXED
        self._infinities = Counter[str]()
        self._rows = 0
        self._unified: UnifiedTable | None = None
        self.splits = {name: self._spool() for name in splits}

    def add(self, uid: str, payload: bytes, metadata: Mapping[str, Any] | None = None, split: str = WHOLE) -> None:
        """Take a record. If it is refused, nothing has changed, and the next one may be given.

        Args:
            uid: its uid, for messages.
            payload: its data, the bytes of one JSON object.
            metadata: what goes into the column of metadata.
            split: the split that it belongs to.

        Raises:
            StoreDamagedError: the data is not a JSON object.
            InvalidInputError: it has the key of the metadata's column, or a key that no column can have.
            StorageIOError: it cannot be put aside.
        """
        try:
            data, line, exact = decode_line(payload)
        except ValueError as error:
            raise StoreDamagedError(uid, f"the data of this record cannot be a row of a table: {error}") from None
        if not data.keys() <= self._seen.members.keys():
            self._check_new_columns(uid, data)
        is_rewritten = line is not payload
        if self._key is not None:
            line, exact = self._beside(uid, data, line, exact, metadata)
        if is_rewritten:  # no line of ours, or one with integers beyond 64 bits: see `decode_line`
            self._infinities.update(nulls_for_infinities(data))
        self._seen.observe_members(data)
        self._rows += 1
        self._unified = None
        spool = self.splits.get(split)
        if spool is None:
            spool = self.splits[split] = self._spool()
        spool.add(line, exact)

    def pad_column(self, name: str) -> None:
        """Let objects in a column be padded with nulls: it is not of the data, and typed fields serve people more."""
        self._fixed = replace(self._fixed, padded=self._fixed.padded | {f"${step(name)}"})

    def fix_columns(self, columns: FixedColumns) -> None:
        """Let columns of the data be written in a fixed way; before the last `add`."""
        self._fixed = replace(columns, padded=self._fixed.padded | columns.padded)

    @property
    def records(self) -> Spool:
        """All records, where they are not divided."""
        return self.splits[WHOLE]

    @property
    def conflicts(self) -> list[Conflict]:
        """What a table cannot hold as it is, and what became of it; asked after the last `add`."""
        return self.unified().conflicts

    def unified(self) -> UnifiedTable:
        """Return the schema of all records together, which every split has.

        Raises:
            InvalidInputError: there are records, and none has a field.
        """
        if self._unified is None:
            columns = dict(self._seen.members)
            if self._key is not None and self._about.objects:
                columns[self._key] = self._about
            if self._rows and not columns:
                raise InvalidInputError(
                    "no record has a field, so they do not form a table: export them as JSON Lines."
                )
            if self._rows:
                self._rules.check(columns)
            is_exact = any(spool.exact for spool in self.splits.values())
            planner = Planner(pad=self._rules.pad, fixed=self._fixed, is_exact=is_exact)
            plan = planner.table(columns, self._rows)
            if plan.leaves() > MOST_COLUMNS:
                raise InvalidInputError(
                    f"the records have {plan.leaves():,} fields, those within others counted, and a table has at most "
                    f"{MOST_COLUMNS:,} columns: export them as JSON Lines."
                )
            lost = [
                Conflict(path, ("number",), count, "NaN and infinities, which JSON does not have", "null")
                for path, count in self._infinities.items()
            ]
            self._unified = UnifiedTable(plan, lost + planner.conflicts, planner.notes())
        return self._unified

    def watch(self, tell: Callable[[int], object]) -> None:
        """Call this with how many more records are read again; it may raise, to end that. After the last `add`."""
        for spool in self.splits.values():
            spool.on_read = tell

    def close(self) -> None:
        """Remove what was put aside. Idempotent."""
        for spool in self.splits.values():
            spool.close()

    def _spool(self) -> Spool:
        return Spool(self._directory, self._shard_bytes)

    def _check_new_columns(self, uid: str, data: dict[str, Any]) -> None:
        """Refuse a record whose fields cannot be columns."""
        if any("\0" in name for name in data):
            raise InvalidInputError(
                f"record {shorten(uid)} has a field whose name contains NUL, so it cannot name a column: export the "
                "records as JSON Lines."
            )
        if len(self._seen.members.keys() | data.keys()) > MOST_COLUMNS:
            raise InvalidInputError(
                f"record {shorten(uid)} brings the fields to more than {MOST_COLUMNS:,}, too many for a table: export "
                "the records as JSON Lines."
            )

    def _beside(
        self, uid: str, data: dict[str, Any], line: bytes, exact: bool, metadata: Mapping[str, Any] | None
    ) -> tuple[bytes, bool]:
        """Count the metadata of a record; return its line with that, and whether only the exact parser reads it."""
        if self._key in data:
            raise InvalidInputError(
                f"record {shorten(uid)} has a field {shorten(self._key)} of its own: choose another metadata key."
            )
        if metadata is None:
            return line, exact
        about = dict(metadata)
        self._about.observe(about)
        comma = b"," if data else b""
        line = line[:-2] + comma + self._name + b":" + json_line(about)[:-1] + b"}\n"
        return line, exact or needs_exact_parser(about)
