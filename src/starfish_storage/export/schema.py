"""Choose one Arrow type for each column, for all records; where no type fits, the column holds JSON text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starfish_storage.codec import json_text
from starfish_storage.export.inference import DEEPEST, MOST_MEMBERS, JsonKind, Seen, is_utf8
from starfish_storage.extras import DataType, arrow

_EXACT_IN_A_FLOAT = 2**53
_INT64 = range(-(2**63), 2**63)
_PLAIN_KEY = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path whose values no one type fits: they are all written as JSON text, strings too.

    Attributes:
        path: where, such as ``$.answer.score`` or ``$.tags[]``.
        kinds: the kinds of values there, in JSON's words, such as ``("number", "string")``.
        count: how many values that is, without nulls.
        reason: why no one type fits.
    """

    path: str
    kinds: tuple[str, ...]
    count: int
    reason: str

    def __str__(self) -> str:
        """Say it in one line, for people."""
        return f"{self.path} is written as JSON text, {self.count:,} values: {self.reason} ({', '.join(self.kinds)})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the values at a path become.

    Attributes:
        kind: as what they are written; ``json`` is JSON text.
        members: of objects, the keys, and what becomes of their values.
        items: of lists, what becomes of their items.
        has_json: something in it is written as JSON text.
    """

    kind: JsonKind | Literal["null", "json"]
    members: tuple[tuple[str, Plan], ...] = ()
    items: Plan | None = None
    has_json: bool = False

    def leaves(self) -> int:
        """Return how many columns of a file that takes."""
        inner = [plan for _, plan in self.members] if self.items is None else [self.items]
        return sum(plan.leaves() for plan in inner) if inner else 1


class Planner:
    """Decides what becomes of each path, and notes where no one type fits.

    Attributes:
        conflicts: the paths that are written as JSON text, in the order of the columns.
    """

    def __init__(self) -> None:
        self.conflicts: list[Conflict] = []

    def table(self, columns: dict[str, Seen]) -> Plan:
        """Return what becomes of the records, by what was seen under each of their keys."""
        return self._object(columns, "$", 0)

    def _plan(self, seen: Seen, path: str, depth: int) -> Plan:
        reason = _why_not_typed(seen, depth)
        if reason is not None:
            self.conflicts.append(Conflict(path, tuple(seen.kinds()), seen.values, reason))
            return Plan("json", has_json=True)
        if seen.objects:
            return self._object(seen.members, path, depth)
        if seen.lists:
            items = self._plan(seen.items or Seen(), f"{path}[]", depth + 1)
            return Plan("array", items=items, has_json=items.has_json)
        if seen.floats:
            return Plan("number")  # with integers or without
        (kind,) = seen.kinds() or ("null",)
        return Plan(kind)

    def _object(self, seen: dict[str, Seen], path: str, depth: int) -> Plan:
        members = tuple((key, self._plan(child, path + _step(key), depth + 1)) for key, child in seen.items())
        return Plan("object", members, has_json=any(plan.has_json for _, plan in members))


def _why_not_typed(seen: Seen, depth: int) -> str | None:
    kinds = seen.kinds().keys()
    reason = None
    if kinds == {"integer", "number"}:
        if max(seen.greatest, -seen.least) > _EXACT_IN_A_FLOAT:
            reason = "as numbers with a fraction, some integers would lose digits"
    elif len(kinds) > 1:
        reason = "values of different kinds"
    elif seen.integers and (seen.least not in _INT64 or seen.greatest not in _INT64):
        reason = "integers beyond 64 bits"
    elif depth >= DEEPEST and kinds & {"object", "array"}:
        reason = f"nested more than {DEEPEST} levels deep"
    elif seen.too_many:
        reason = f"objects with more than {MOST_MEMBERS} different keys"
    elif seen.objects and not seen.members:
        reason = "objects without any key"
    if reason is None and seen.no_utf8:
        reason = "text that is not valid Unicode (half of a surrogate pair)"
    return reason


def _step(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and is_utf8(key):
        return f".{key}"
    return f"[{key!a}]"


def arrow_type(plan: Plan) -> DataType:
    """Return the Arrow type of what the values become. Everything may be null."""
    pa = arrow()
    if plan.kind == "object":
        return pa.struct([pa.field(key, arrow_type(member)) for key, member in plan.members])
    if plan.items is not None:
        return pa.list_(arrow_type(plan.items))
    scalars: dict[str, Callable[[], DataType]] = {
        "null": pa.null,
        "boolean": pa.bool_,
        "integer": pa.int64,
        "number": pa.float64,
        "string": pa.string,
        "json": pa.string,
    }
    return scalars[plan.kind]()


def with_json_text(plan: Plan, value: Any) -> Any:
    """Return a value with JSON text where the plan says so; objects and lists are changed in place."""
    if value is None:
        return None
    if plan.kind == "json":
        return json_text(value)
    if plan.items is not None:
        items = plan.items
        if items.has_json:
            value[:] = [with_json_text(items, item) for item in value]
        return value
    for key, member in plan.members:
        if member.has_json and value.get(key) is not None:
            value[key] = with_json_text(member, value[key])
    return value


def json_paths(conflicts: list[Conflict]) -> list[str]:
    """Return the paths whose values are JSON text, as files note them."""
    return [conflict.path for conflict in conflicts]
