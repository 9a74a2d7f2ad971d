"""Put back what a table cannot hold: JSON text becomes its value again, and a null that stands for no key, no key.

Tables that are exported note in their metadata what was done, in rules that hold for each row by itself. So they still
hold where somebody has sorted the table, taken some of its rows, or put two of one export together.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import shorten

JSON_COLUMNS = "starfish_storage.json_columns"
"""The key of a table's metadata under which the paths are listed whose values are JSON text."""

ABSENT_COLUMNS = "starfish_storage.absent_columns"
"""The key under which the paths are listed where null means that the object, or the record, does not have that key."""

INTEGER_COLUMNS = "starfish_storage.integer_columns"
"""The key under which the paths are listed whose numbers are integers, if they have no fraction."""

MOST_EXACT = 2**53
"""Up to here, each integer is a float of its own; larger floats stay floats."""

_PLAIN_KEY = r"[^\W\d][\w-]*"
_PLAIN = re.compile(_PLAIN_KEY)
_STEPS = re.compile(
    rf"""\.(?P<plain>{_PLAIN_KEY})|(?P<items>\[\])|(?P<values>\{{\}})"""
    r"""|\[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]"""
)
_ITEMS, _VALUES = "[]", "{}"

PathStep = tuple[str, str | None]
"""One step of a path: ``(".", key)`` to a key of an object, ``("[]", None)`` to the items of a list, and
``("{}", None)`` to the values of a map."""


def step(key: str) -> str:
    r"""Return the step of a path that leads to a key.

    >>> step("score"), step("c.d"), step("\ud800")
    ('.score', "['c.d']", "['\\ud800']")
    """
    return f".{key}" if _PLAIN.fullmatch(key) and not re.search("[\ud800-\udfff]", key) else f"[{key!a}]"


def parsed_path(path: str) -> list[PathStep]:
    """Return the steps of a path; its beginning, ``$``, may be left out.

    Raises:
        ValueError: it is no path.

    >>> parsed_path("$.calls[].arguments"), parsed_path("calls")
    ([('.', 'calls'), ('[]', None), ('.', 'arguments')], [('.', 'calls')])
    """
    rest = path.removeprefix("$")
    if rest == path and not path.startswith((".", "[")):
        rest = f".{path}"
    found: list[PathStep] = []
    at = 0
    while at < len(rest):
        match = _STEPS.match(rest, at)
        if match is None:
            break
        quoted = match["quoted"]
        if match["items"] or match["values"]:
            found.append((match[0], None))
        else:
            found.append((".", match["plain"] if quoted is None else _unquoted(quoted)))
        at = match.end()
    if at < len(rest) or not found:
        raise ValueError(f"{shorten(path)} is no path, such as $.answer.score or $['a key'][]")
    return found


def _unquoted(text: str) -> str | None:
    try:
        return cast("str", ast.literal_eval(text))
    except SyntaxError:  # an escape that Python does not know
        raise ValueError(f"{shorten(text)} is no key in quotes") from None


class _Node:
    """What is put back at one path, and below it."""

    __slots__ = ("is_absent", "is_integer", "is_json", "items", "members", "values")

    def __init__(self) -> None:
        self.is_json = self.is_integer = self.is_absent = False
        self.members: dict[str, _Node] = {}
        self.items: _Node | None = None
        self.values: _Node | None = None

    def at(self, steps: Sequence[PathStep]) -> _Node:
        """Return the node at a path, which is made if it is not there."""
        node = self
        for kind, key in steps:
            if kind == _ITEMS:
                node.items = node.items or _Node()
                node = node.items
            elif kind == _VALUES:
                node.values = node.values or _Node()
                node = node.values
            else:
                node = node.members.setdefault(key or "", _Node())
        return node

    def restored(self, value: Any) -> Any:
        """Return a value as it was.

        Raises:
            ValueError: it is not the JSON text that it should be.
        """
        if self.is_json:
            return decode(value.encode()) if isinstance(value, str) else value
        if self.is_integer:
            return _as_integer(value) if isinstance(value, float) else value
        if isinstance(value, list):
            return self._list(cast("list[Any]", value))
        return self._object(cast("dict[str, Any]", value)) if isinstance(value, dict) else value

    def _list(self, items: list[Any]) -> list[Any]:
        node = self.items
        return items if node is None else [None if item is None else node.restored(item) for item in items]

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        """Put back what is in an object, which is changed in place."""
        if self.values is not None:
            return {key: None if one is None else self.values.restored(one) for key, one in value.items()}
        for key, node in self.members.items():
            node.put_back(value, key)
        return value

    def put_back(self, value: dict[str, Any], key: str) -> None:
        """Restore what an object has under a key; see `restored`."""
        if value.get(key) is not None:
            value[key] = self.restored(value[key])
        elif self.is_absent and key in value:
            del value[key]


class Restorer:
    """Puts rows of an exported table back as they were.

    A key that the table lacks, or that holds something else than was noted, is passed over: the table has been changed.

    Args:
        json_paths: where the values are JSON text.
        absent_paths: where null means that there is no such key.
        integer_paths: where numbers without a fraction are integers.

    Raises:
        ValueError: one of them is no path.
    """

    def __init__(self, json_paths: Sequence[str], absent_paths: Sequence[str], integer_paths: Sequence[str]) -> None:
        self._root = _Node()
        for path in json_paths:
            self._root.at(parsed_path(path)).is_json = True
        for path in absent_paths:
            self._root.at(parsed_path(path)).is_absent = True
        for path in integer_paths:
            self._root.at(parsed_path(path)).is_integer = True

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Restorer | None:
        """Return what puts back the rows of a table with this metadata; None if there is nothing to put back.

        Raises:
            ValueError: what is noted under one of our keys cannot be read; says which one.
        """
        noted = [_listed(metadata, key) for key in (JSON_COLUMNS, ABSENT_COLUMNS, INTEGER_COLUMNS)]
        return cls(*noted) if any(noted) else None

    def restore(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as it was; the one that is given may be changed.

        Args:
            row: its columns, with the values as JSON has them, maps as objects.

        Raises:
            ValueError: a value is not the JSON text that it should be; names the column, and not the value.
        """
        for key, node in self._root.members.items():
            try:
                node.put_back(row, key)
            except (ValueError, RecursionError):
                raise ValueError(f"column {shorten(key)} is not the JSON text that it should be") from None
        return row


def _as_integer(number: float) -> float | int:
    """Return a number without a fraction as an integer; -0.0 has none that is equal to the byte.

    >>> _as_integer(2.0), _as_integer(0.5), _as_integer(-0.0), _as_integer(1e300)
    (2, 0.5, -0.0, 1e+300)
    """
    return int(number) if is_whole(number) else number


def is_whole(number: float) -> bool:
    """Return whether a float is written as an integer would be, and stands for one and no other."""
    return -MOST_EXACT <= number <= MOST_EXACT and number.is_integer() and (number != 0 or math.copysign(1, number) > 0)


def _listed(metadata: Mapping[str, str], key: str) -> list[str]:
    text = metadata.get(key)
    if text is None:
        return []
    found = decode(text.encode())
    if not isinstance(found, list) or not all(isinstance(one, str) for one in cast("list[object]", found)):
        raise ValueError(f"{key} is not a list of texts")
    return cast("list[str]", found)


def text_metadata(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return what a table says about itself as text; what is no UTF-8 is left out."""
    return dict(_texts(metadata or {}))


def _texts(metadata: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    for key, value in metadata.items():
        try:
            yield key.decode(), value.decode()
        except UnicodeDecodeError:
            pass
