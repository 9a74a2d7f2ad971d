"""Choose one Arrow type for each column, for all records; where no type fits, the column holds JSON text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from starfish_storage.codec import json_text
from starfish_storage.export.inference import DEEPEST, MOST_MEMBERS, JsonKind, Seen, SeenMap
from starfish_storage.export.table_rules import NONE_FIXED, FixedColumns
from starfish_storage.extras import DataType, arrow
from starfish_storage.row_files.restoring import ABSENT_COLUMNS, INTEGER_COLUMNS, JSON_COLUMNS, MOST_EXACT, step

_INT64 = range(-(2**63), 2**63)
_NULL_OR_NO_KEY = "some hold null, and others do not have the key"
_ALWAYS_TEXT = "a column that is text in every table of this form"
_ONE_AND_ONE = "integers such as 1, beside numbers such as 1.0"


WrittenAs = Literal["JSON text", "numbers with a fraction", "null"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path whose values a table cannot hold as they are.

    Attributes:
        path: where, such as ``$.answer.score`` or ``$.tags[]``.
        kinds: the kinds of values there, in JSON's words, such as ``("number", "string")``.
        count: how many values that is, without nulls.
        reason: why.
        written_as: what they became. JSON text: all of them, strings too. Numbers with a fraction: integers such as 1,
            beside 1.0. Null: of objects without the key, beside others that hold null.
    """

    path: str
    kinds: tuple[str, ...]
    count: int
    reason: str
    written_as: WrittenAs = "JSON text"

    def __str__(self) -> str:
        """Say it in one line, for people."""
        kinds = f" ({', '.join(self.kinds)})" if len(self.kinds) > 1 else ""
        values = "1 value" if self.count == 1 else f"{self.count:,} values"
        return f"{self.path} is written as {self.written_as}, {values}: {self.reason}{kinds}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the values at a path become.

    Attributes:
        kind: as what they are written; ``json`` is JSON text.
        members: of objects, the keys, and what becomes of their values.
        items: of lists, what becomes of their items; of maps, of their values.
        is_changed: something in it is not written as Python has it: as JSON text, or as the pairs of a map.
        null_is_text: of a column of JSON text: null is text too, since a null of the table says that there is no key.
        is_beyond_64_bits: of JSON text: it holds integers that most parsers do not read.
        has_feature: of JSON text: `datasets` is told that it is that.
    """

    kind: JsonKind | Literal["null", "json", "map"]
    members: tuple[tuple[str, Plan], ...] = ()
    items: Plan | None = None
    is_changed: bool = False
    null_is_text: bool = False
    is_beyond_64_bits: bool = False
    has_feature: bool = False

    def leaves(self) -> int:
        """Return how many columns of a file that takes."""
        inner = [plan for _, plan in self.members] if self.items is None else [self.items]
        return sum(plan.leaves() for plan in inner) + (self.kind == "map") if inner else 1

    def of_kind(self, kind: Literal["json", "map"]) -> Iterator[Plan]:
        """Yield what becomes JSON text, or maps, in it."""
        if self.kind == kind:
            yield self
        for plan in [plan for _, plan in self.members] if self.items is None else [self.items]:
            yield from plan.of_kind(kind)


class Planner:
    """Decides what becomes of each path, and notes what a table cannot hold as it is.

    Args:
        pad: objects of which some have keys that others lack are filled up with nulls.
        fixed: columns for which it is known what they become.
        is_exact: some integers may be beyond 64 bits.

    Attributes:
        conflicts: what is not written as it is, in the order of the columns.
        absent: the paths where null means that there is no such key.
        integers: the paths where numbers without a fraction are integers.
    """

    def __init__(self, *, pad: bool = False, fixed: FixedColumns = NONE_FIXED, is_exact: bool = True) -> None:
        self._pad = self._pads_all = pad
        self._fixed = fixed
        self._is_exact = is_exact
        self.conflicts: list[Conflict] = []
        self.absent: list[str] = []
        self.integers: list[str] = []

    def table(self, columns: dict[str, Seen], rows: int) -> Plan:
        """Return what becomes of so many records, by what was seen under each of their keys."""
        return self._object(columns, "$", 0, rows)

    def notes(self) -> dict[str, str]:
        """Return what the metadata of a table says, in order that `Restorer` puts back what was written otherwise."""
        noted = {
            JSON_COLUMNS: [conflict.path for conflict in self.conflicts if conflict.written_as == "JSON text"],
            ABSENT_COLUMNS: self.absent,
            INTEGER_COLUMNS: self.integers,
        }
        return {key: json_text(paths) for key, paths in noted.items()}

    def _plan(self, seen: Seen, path: str, depth: int, *, unlike: bool = False) -> Plan:
        reason = self._why_not_typed(seen, depth) or (_NULL_OR_NO_KEY if unlike else None)
        if path in self._fixed.text and (seen.objects or seen.lists):
            reason = _ALWAYS_TEXT
        if reason is not None:
            count = seen.present if unlike else seen.values
            self.conflicts.append(Conflict(path, tuple(seen.kinds()), count, reason))
            return Plan(
                "json", is_changed=True, null_is_text=unlike, is_beyond_64_bits=self._is_beyond_64_bits(seen, depth)
            )
        if seen.objects and isinstance(seen, SeenMap):
            return Plan("map", items=self._plan(seen.each, path + "{}", depth + 1), is_changed=True)
        if seen.objects:
            return self._object(seen.members, path, depth, seen.objects)
        if seen.lists:
            items = self._plan(seen.items or Seen(), f"{path}[]", depth + 1)
            return Plan("array", items=items, is_changed=items.is_changed)
        if seen.floats:
            return self._numbers(seen, path)
        (kind,) = seen.kinds() or ("null",)
        return Plan(kind)

    def _numbers(self, seen: Seen, path: str) -> Plan:
        if seen.integers and seen.wholes:
            kinds = tuple(seen.kinds())
            self.conflicts.append(Conflict(path, kinds, seen.integers, _ONE_AND_ONE, "numbers with a fraction"))
        elif seen.integers:
            self.integers.append(path)
        return Plan("number")

    def _object(self, members: dict[str, Seen], path: str, depth: int, objects: int) -> Plan:
        plans = tuple((key, self._member(key, seen, path, depth + 1, objects)) for key, seen in members.items())
        return Plan("object", plans, is_changed=any(plan.is_changed for _, plan in plans))

    def _member(self, key: str, seen: Seen, above: str, depth: int, objects: int) -> Plan:
        path = above + step(key)
        was_padded = self._pad
        if path in self._fixed.padded:
            self._pad = True
        elif path in self._fixed.as_they_are:
            self._pad = self._pads_all
        missing = objects - seen.present
        if missing and seen.nulls and self._pad:
            self.conflicts.append(Conflict(path, tuple(seen.kinds()), missing, _NULL_OR_NO_KEY, "null"))
        elif missing:
            self.absent.append(path)
        plan = self._plan(seen, path, depth, unlike=bool(missing and seen.nulls) and not self._pad)
        self._pad = was_padded
        return plan

    def _why_not_typed(self, seen: Seen, depth: int) -> str | None:
        kinds = seen.kinds().keys()
        reason = None
        if kinds == {"integer", "number"}:
            if max(seen.greatest, -seen.least) > MOST_EXACT:
                reason = "as numbers with a fraction, some integers would lose digits"
        elif len(kinds) > 1:
            reason = "values of different kinds"
        elif seen.integers and (seen.least not in _INT64 or seen.greatest not in _INT64):
            reason = "integers beyond 64 bits"
        elif depth >= DEEPEST and kinds & {"object", "array"}:
            reason = f"nested more than {DEEPEST} levels deep"
        elif seen.objects:
            reason = self._why_no_struct(seen, depth)
        return reason

    def _why_no_struct(self, seen: Seen, depth: int) -> str | None:
        if isinstance(seen, SeenMap):
            reason = self._why_not_typed(seen.each, depth + 1)
            return None if reason is None else f"as the values of a map, {reason}"
        if seen.too_many:
            return f"objects with more than {MOST_MEMBERS} different keys"
        if not seen.members:
            return "objects without any key"
        if seen.has_nul:
            return "keys that contain NUL"
        if not self._pad and any(member.present != seen.objects for member in seen.members.values()):
            return "objects of which some have keys that others lack"
        return None

    def _is_beyond_64_bits(self, seen: Seen, depth: int) -> bool:
        """Return whether there are integers beyond 64 bits; where nobody has looked, whether any record has some."""
        if seen.too_many or (depth >= DEEPEST and seen.objects + seen.lists):
            return self._is_exact
        if seen.least < -(2**63) or seen.greatest >= 2**64:
            return True
        inner = [*seen.members.values(), *([seen.items] if seen.items else [])]
        inner += [seen.each] if isinstance(seen, SeenMap) else []
        return any(self._is_beyond_64_bits(child, depth + 1) for child in inner)


def arrow_type(plan: Plan, *, is_marked: bool = True) -> DataType:
    """Return the Arrow type of what the values become. Everything may be null.

    Args:
        plan: what they become.
        is_marked: JSON text of which `datasets` is told is of Arrow's type for that, which it does not make of Python's
            texts; False: all JSON text is just text.
    """
    pa = arrow()
    if plan.kind == "object":
        return pa.struct([pa.field(key, arrow_type(member, is_marked=is_marked)) for key, member in plan.members])
    if plan.items is not None:
        inner = arrow_type(plan.items, is_marked=is_marked)
        return pa.map_(pa.string(), inner) if plan.kind == "map" else pa.list_(inner)
    if plan.has_feature and is_marked:
        return pa.json_()
    scalars: dict[str, Callable[[], DataType]] = {
        "null": pa.null,
        "boolean": pa.bool_,
        "integer": pa.int64,
        "number": pa.float64,
        "string": pa.string,
        "json": pa.string,
    }
    return scalars[plan.kind]()


def as_written(plan: Plan, value: Any) -> Any:
    """Return a value as Arrow takes it: with JSON text and pairs of maps. Objects and lists are changed in place."""
    if plan.kind == "json":
        return None if value is None and not plan.null_is_text else json_text(value)
    if value is None:
        return None
    items = plan.items
    if plan.kind == "map" and items is not None:
        return [(key, as_written(items, one) if items.is_changed else one) for key, one in value.items()]
    if items is not None:
        if items.is_changed:
            value[:] = [as_written(items, item) for item in value]
        return value
    for key, member in plan.members:
        if member.is_changed and key in value:
            value[key] = as_written(member, value[key])
    return value
