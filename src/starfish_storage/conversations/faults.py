"""What is wrong with a row, gathered while it is looked through."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast


class Fault(NamedTuple):
    """What is wrong with a row.

    Attributes:
        path: where, such as ``messages[3].tool_calls[0]``; empty for the row as a whole.
        reason: what is wrong, without a full stop; never what the row holds there.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        """Return both, as they are printed."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


class Faults:
    """The faults of one row, in the order in which they were found, each once."""

    def __init__(self) -> None:
        self._found: dict[Fault, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def listed(self) -> list[Fault]:
        """Return what was found."""
        return list(self._found)

    def add(self, path: str, reason: str) -> None:
        """Note a fault."""
        self._found[Fault(path, reason)] = None

    def object_at(self, value: object, path: str) -> dict[str, Any] | None:
        """Return a value if it is an object, and note it if it is none."""
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        self.add(path, f"must be an object, not {kind_of(value)}")
        return None

    def list_at(self, value: object, path: str, of: str) -> list[object]:
        """Return a value if it is a list that holds something, and note it if it is none.

        Args:
            value: the value.
            path: where it stands.
            of: what it must list.
        """
        if not isinstance(value, list):
            self.add(path, f"must be a list of {of}, not {kind_of(value)}")
            return []
        if not value:
            self.add(path, f"is empty: it must list {of}")
        return cast("list[object]", value)

    def text_at(self, value: object, path: str) -> str | None:
        """Return a value if it is a text that says something, and note it if it is none."""
        if not isinstance(value, str):
            self.add(path, f"must be text, not {kind_of(value)}")
            return None
        if not value or value.isspace():
            self.add(path, "is empty")
            return None
        return value

    def keys_of(
        self, fields: Mapping[str, Any], path: str, needed: Collection[str], known: Collection[str], what: str
    ) -> None:
        """Note the keys that an object lacks, those that it must not have, and those that are null.

        Args:
            fields: the object.
            path: where it stands; empty for the row.
            needed: keys that it must have.
            known: all keys that it may have.
            what: what it is, for the message.
        """
        for key in needed:
            if key not in fields:
                self.add(below(path, key), "is missing")
        for key, value in fields.items():
            if key not in known:
                self.add(below(path, key), f"is not a key of {what}")
            elif value is None:
                self.add(below(path, key), "is null" if key in needed else "is null: leave the key out")


def below(path: str, key: str) -> str:
    """Return the path of a member."""
    return f"{path}.{key}" if path else key


def kind_of(value: object) -> str:
    """Return what JSON calls a value.

    >>> kind_of([1]), kind_of(None), kind_of(True)
    ('a list', 'null', 'true or false')
    """
    names: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")
