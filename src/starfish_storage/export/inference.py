"""What kinds of JSON values were seen at each path of all records: the first of two passes, in pure Python.

The kinds are counted, and nothing is decided yet: what a column becomes depends on every record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

from starfish_storage.row_files.restoring import PathStep, is_whole, step

MOST_MEMBERS = 256
"""Distinct keys of a nested object; with more, it is not written as a struct: its keys are data, such as ids."""

MOST_COLUMNS = 10_000
"""Distinct keys at the top of all records together."""

DEEPEST = 24
"""Levels of lists and objects in a column; readers of Parquet stop at 100 levels, of which each takes up to three."""

JsonKind = Literal["boolean", "integer", "number", "string", "object", "array"]
"""JSON's words, but for null."""


class Seen:
    """What was seen at one path.

    Attributes:
        nulls: how many nulls; a missing key does not count.
        booleans: how many booleans.
        integers: how many integers.
        floats: how many other numbers.
        wholes: how many of those an integer could be taken for, such as 1.0.
        texts: how many strings.
        objects: how many objects.
        lists: how many lists.
        least: the least integer, or 0.
        greatest: the greatest integer, or 0.
        has_nul: a key of the objects contains NUL; other libraries read names up to that.
        too_many: the objects have more keys than a struct is made of.
        members: what was seen under each key of the objects, in the order in which the keys were met.
        items: what was seen in the lists.

    Args:
        maps: where below it lie objects that are maps: the steps that lead there.
    """

    __slots__ = (
        "booleans",
        "floats",
        "greatest",
        "has_nul",
        "integers",
        "items",
        "least",
        "lists",
        "maps",
        "members",
        "nulls",
        "objects",
        "texts",
        "too_many",
        "wholes",
    )

    def __init__(self, maps: Sequence[Sequence[PathStep]] = ()) -> None:
        self.maps = maps
        self.wholes = self.nulls = self.booleans = self.integers = self.floats = self.texts = self.objects = (
            self.lists
        ) = 0
        self.least = self.greatest = 0
        self.has_nul = self.too_many = False
        self.members: dict[str, Seen] = {}
        self.items: Seen | None = None

    @property
    def values(self) -> int:
        """How many values there were, without nulls."""
        return self.booleans + self.integers + self.floats + self.texts + self.objects + self.lists

    @property
    def present(self) -> int:
        """How many values there were, and nulls."""
        return self.values + self.nulls

    def kinds(self) -> dict[JsonKind, int]:
        """Return the kinds of values there were, without nulls, in JSON's words, and how many of each."""
        counts: dict[JsonKind, int] = {
            "boolean": self.booleans,
            "integer": self.integers,
            "number": self.floats,
            "string": self.texts,
            "object": self.objects,
            "array": self.lists,
        }
        return {kind: count for kind, count in counts.items() if count}

    def observe(self, value: Any, depth: int = 1) -> None:  # noqa: C901 (a table, in the innermost loop)
        """Count a value, and what is in it.

        Args:
            value: a JSON value.
            depth: how deep it lies; what lies deeper than `DEEPEST` is not looked into.
        """
        kind = cast("type[object]", type(value))
        if kind is str:
            self.texts += 1
        elif kind is int:
            self.integers += 1
            if value > self.greatest:
                self.greatest = value
            elif value < self.least:
                self.least = value
        elif value is None:
            self.nulls += 1
        elif kind is float:
            self.floats += 1
            if value.is_integer():
                self.wholes += is_whole(value)
        elif kind is bool:
            self.booleans += 1
        elif kind is dict:
            self.objects += 1
            if depth < DEEPEST and not self.too_many:
                self.observe_members(value, depth)
        else:
            self._observe_items(value, depth)

    def observe_members(self, value: dict[str, Any], depth: int = 0) -> None:
        """Count what is in an object."""
        members = self.members
        for key, child in value.items():
            seen = members.get(key)
            if seen is None:
                seen = members[key] = self.below((".", key))
                if "\0" in key:
                    self.has_nul = True
                if depth and len(members) > MOST_MEMBERS:
                    self.too_many = True
                    members.clear()  # they would only take memory
                    return
            seen.observe(child, depth + 1)

    def _observe_items(self, value: list[Any], depth: int) -> None:
        self.lists += 1
        if depth >= DEEPEST:
            return
        if self.items is None:
            self.items = self.below(("[]", None))
        observe = self.items.observe
        for child in value:
            observe(child, depth + 1)

    def at(self, steps: Sequence[PathStep]) -> Seen | None:
        """Return what was seen at a path below; None if nothing was."""
        found: Seen | None = self
        for kind, key in steps:
            if found is None:
                break
            if kind == "{}":
                found = found.each if isinstance(found, SeenMap) else None
            else:
                found = found.items if kind == "[]" else found.members.get(key or "")
        return found

    def below(self, step: PathStep) -> Seen:
        """Return what counts the values one step further."""
        if not self.maps:
            return Seen()
        left = [steps[1:] for steps in self.maps if steps[0] == step]
        return Seen(left) if all(left) else SeenMap([steps for steps in left if steps])


class SeenMap(Seen):
    """What was seen at a path whose objects are maps: their keys are data.

    Attributes:
        each: what was seen under all keys together.
    """

    __slots__ = ("each",)

    def __init__(self, maps: Sequence[Sequence[PathStep]] = ()) -> None:
        super().__init__(maps)
        self.each = self.below(("{}", None))

    def observe_members(self, value: dict[str, Any], depth: int = 0) -> None:
        """See `Seen.observe_members`."""
        for child in value.values():
            self.each.observe(child, depth + 1)


def nulls_for_infinities(value: dict[str, Any]) -> Iterator[str]:
    """Put null in place of NaN and infinities, which JSON does not have, and yield the path of each.

    >>> found = {"a": [1.5, float("nan")]}
    >>> list(nulls_for_infinities(found)), found
    (['$.a[]'], {'a': [1.5, None]})
    """
    pending: list[tuple[dict[str, Any] | list[Any], str]] = [(value, "$")]  # others nest deeper than Python's calls
    while pending:
        whole, path = pending.pop()
        for key, child in list(whole.items() if isinstance(whole, dict) else enumerate(whole)):
            place = path + step(key) if isinstance(key, str) else f"{path}[]"
            if isinstance(child, float) and not math.isfinite(child):
                cast("dict[Any, Any]", whole)[key] = None
                yield place
            elif isinstance(child, dict | list):
                pending.append((cast("dict[str, Any]", child), place))
