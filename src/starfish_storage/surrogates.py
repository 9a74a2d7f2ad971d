r"""Halves of surrogate pairs: characters such as an emoji are two of them in UTF-16, and APIs that stream cut between.

A pair in two characters stands for one, and JSON writes both in the same way. A lone half is no character: Python and
JSON's escapes hold it, while UTF-8, databases, and most readers of JSON do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_ESCAPED = re.compile(rb"\\u")


def has_pair(text: str) -> bool:
    r"""Return whether two characters of a text stand for one.

    >>> has_pair("\ud83d\ude00"), has_pair("\ude00\ud83d")
    (True, False)
    """
    return _PAIR.search(text) is not None


def may_have_halves(text: bytes) -> bool:
    """Return whether JSON text has anything by which a half of a surrogate pair could stand in it. Nearly none has."""
    # `in` looks for two bytes at a tenth of the speed, where there are backslashes.
    return _ESCAPED.search(text) is not None or b"\xed" in text


def joined(text: str) -> str:
    r"""Return a text in which two halves that stand for one character are that character; a lone one stays.

    >>> joined("\ud83d\ude00 \ud83d") == "\U0001f600 \ud83d"
    True
    """
    return text if text.isascii() else _PAIR.sub(_character, text)


def replaced(text: str) -> tuple[str, int]:
    r"""Return a text with U+FFFD in place of each lone half, other halves joined; and how many were replaced.

    >>> replaced("\ud83d\ude00 \ud83d") == ("\U0001f600 \ufffd", 1)
    True
    """
    return (text, 0) if text.isascii() else _HALF.subn(_REPLACEMENT, joined(text))


def joined_value(value: Any) -> Any:
    """Return a JSON value with halves joined in each text and key."""
    return _each_text(value, lambda text: (joined(text), 0))[0]


def replaced_value(value: Any) -> tuple[Any, int]:
    r"""Return a JSON value with lone halves replaced in each text and key, and how many there were.

    Keys that become equal by that are numbered.

    >>> replaced_value({"\ud83d": ["\ud83d"], "\ude00": 1}) == ({"\ufffd": ["\ufffd"], "\ufffd (2)": 1}, 3)
    True
    """
    return _each_text(value, replaced)


def escaped(text: str) -> str:
    r"""Return a text, such as a message, that a database can hold: lone halves and NUL become escapes.

    >>> print(escaped("a\ud800b\0"))
    a\ud800b\x00
    """
    return joined(text).encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _character(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _each_text(value: Any, change: Callable[[str], tuple[str, int]]) -> tuple[Any, int]:
    """Return a JSON value with its texts and keys changed, and the sum of what the change counts."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        parts = [_each_text(one, change) for one in cast("list[Any]", value)]
        return [part for part, _ in parts], sum(count for _, count in parts)
    if not isinstance(value, dict):
        return value, 0
    made: dict[Any, Any] = {}
    total = 0
    for key, child in cast("dict[Any, Any]", value).items():
        name, in_key = change(key) if isinstance(key, str) else (key, 0)
        first, number = name, 1
        while name in made:
            number += 1
            name = f"{first} ({number})"
        made[name], in_child = _each_text(child, change)
        total += in_key + in_child
    return made, total
