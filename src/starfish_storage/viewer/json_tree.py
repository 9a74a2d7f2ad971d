"""A JSON value as a tree that a page can hold, however large the value is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from starfish_storage.codec import readable_text

DEEPEST = 30
"""Levels that are shown as a tree."""

_LONGEST_TEXT = 20_000


@dataclass(slots=True)
class Room:
    """How much more a page can hold: a page of a record of 100 MB is no larger than others.

    Attributes:
        nodes: values of trees.
        characters: of texts.
        image_bytes: of images.
    """

    nodes: int = 4000
    characters: int = 500_000
    image_bytes: int = 16 << 20

    def take(self, text: str, most: int = _LONGEST_TEXT) -> str:
        """Return a text, or as much of its beginning as there is room for."""
        shown = text[: max(0, min(most, self.characters))]
        self.characters -= len(shown)
        return shown


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A value in a tree.

    Attributes:
        name: its field, or its place in a list; empty for the root.
        kind: ``object``, ``array``, ``string``, ``number``, ``boolean`` or ``null``.
        text: a value that is none of the first two, or as much of it as is shown.
        children: what is in it, as far as it is shown.
        size: how many children it has, or of how many characters a text is.
        left_out: how many children, or characters, are not shown.
    """

    name: str
    kind: str
    text: str = ""
    children: Sequence[TreeNode] = ()
    size: int = 0
    left_out: int = 0

    @property
    def is_inner(self) -> bool:
        """Whether it has, or could have, children."""
        return self.kind in ("object", "array")


def tree_of(value: Any, room: Room, name: str = "", depth: int = 0) -> TreeNode:
    """Return a value as a tree, as far as there is room for it.

    >>> tree = tree_of({"a": [1, None]}, Room())
    >>> tree.kind, tree.size, [one.text for one in tree.children[0].children]
    ('object', 1, ['1', 'null'])
    """
    room.nodes -= 1
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return _inner(name, "object", fields.items(), len(fields), room, depth)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return _inner(name, "array", ((str(place), one) for place, one in enumerate(items)), len(items), room, depth)
    if isinstance(value, str):
        shown = room.take(value)
        return TreeNode(name, "string", shown, size=len(value), left_out=len(value) - len(shown))
    kind = "null" if value is None else "boolean" if isinstance(value, bool) else "number"
    return TreeNode(name, kind, readable_text(value))


def _inner(name: str, kind: str, items: Iterable[tuple[str, Any]], size: int, room: Room, depth: int) -> TreeNode:
    most = 0 if depth >= DEEPEST else max(0, room.nodes)
    children: list[TreeNode] = []
    for child, value in islice(items, most):
        if room.nodes <= 0:
            break
        children.append(tree_of(value, room, room.take(child, 200), depth + 1))
    return TreeNode(name, kind, children=children, size=size, left_out=size - len(children))
