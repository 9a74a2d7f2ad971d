"""The texts in a record's data, each with the path of its field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

MOST_CHARACTERS = 1_000_000
"""How much of a record is searched; what lies behind that is not."""

_DEEPEST = 50
_LONGEST_PATH = 200
_UNSTORABLE = re.compile("[\ud800-\udfff]")  # lone surrogates: JSON has them, no database takes them
_EMBEDDED = "data:"  # the scheme of a URL that is a file itself, such as an image


def leaves_of(data: object) -> Iterator[tuple[str, str]]:
    """Yield the texts, numbers and truth values of a record with the path of each, in the order of the data.

    The items of a list have the path of the list: ``messages.content``.
    """
    left = MOST_CHARACTERS
    for path, text in _leaves(data, "", 0):
        yield path, text[:left]
        left -= len(text)
        if left <= 0:
            return


def is_within(path: str, field: str) -> bool:
    """Return whether a path is that of a field, or of something in it."""
    return path == field or path.startswith(f"{field}.")


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if not (value.startswith(_EMBEDDED) and ";base64," in value[:100]):
            yield path, value
    elif isinstance(value, bool):
        yield path, "true" if value else "false"
    elif isinstance(value, int | float):
        yield path, _number(value)
    elif depth < _DEEPEST:
        if isinstance(value, dict):
            for name, one in cast("dict[str, Any]", value).items():
                own = _UNSTORABLE.sub("\ufffd", name[:_LONGEST_PATH])
                yield from _leaves(one, f"{path}.{own}"[:_LONGEST_PATH] if path else own, depth + 1)
        elif isinstance(value, list):
            for one in cast("list[Any]", value):
                yield from _leaves(one, path, depth + 1)


def _number(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of more digits than Python writes out
        return ""
