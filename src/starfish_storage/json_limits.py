"""What JSON can hold: a walk through a value that finds what it cannot, and says where that stands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

from starfish_storage.errors import InvalidDataError, shorten
from starfish_storage.surrogates import has_pair, joined

MAX_DEPTH = 250
"""Deepest nesting of lists and objects that is sure to be stored; other parsers stop at a few hundred too."""

_MOST_BITS = 14_284  # 4,300 digits, Python's own limit


def check_json(value: object, what: str, *, joins: bool = True) -> None:
    """Walk a value without recursion, and raise for the first thing in it that JSON cannot hold.

    Args:
        value: any value.
        what: what is being saved, for the message.
        joins: two halves of a surrogate pair become the character that they stand for; else they are refused.

    Raises:
        InvalidDataError: there is such a thing; names its place.
    """
    pending: list[tuple[object, str, int]] = [(value, "$", 1)]
    while pending:
        item, path, depth = pending.pop()
        if isinstance(item, str):
            _check_text(item, what, path, joins=joins)
            continue
        if isinstance(item, int) or item is None:
            _check_integer(item or 0, what, path)
            continue
        if isinstance(item, float):
            if not math.isfinite(item):
                raise InvalidDataError(what, path, f"{item!r} is not a JSON number; use null or a string")
            continue
        if not isinstance(item, dict | list | tuple):
            raise InvalidDataError(what, path, f"{type(item).__name__} is not a JSON type; convert it first")
        if depth > MAX_DEPTH:
            raise InvalidDataError(what, path, f"it is nested more than {MAX_DEPTH} levels deep")
        if isinstance(item, dict):
            members = _members(cast("dict[object, object]", item), what, path, joins=joins)
        else:
            items = cast("list[object] | tuple[object, ...]", item)
            members = ((child, f"{path}[{index}]") for index, child in enumerate(items))
        pending.extend((child, place, depth + 1) for child, place in members)


def _check_integer(number: int, what: str, path: str) -> None:
    if number.bit_length() > _MOST_BITS:
        raise InvalidDataError(what, path, "an integer of more than 4,300 digits; Python does not convert those")


def _check_text(text: str, what: str, path: str, *, joins: bool) -> None:
    """Refuse two surrogates that would be read back as the one character they stand for, unless that is wanted."""
    if not joins and has_pair(text):
        raise InvalidDataError(what, path, "two surrogates stand for one character; write the character itself")


def _members(item: dict[object, object], what: str, path: str, *, joins: bool) -> Iterable[tuple[object, str]]:
    seen: set[str] = set()
    for key, child in item.items():
        if not isinstance(key, str | int | float | None):
            raise InvalidDataError(what, path, f"a key of type {type(key).__name__} is not JSON; use strings")
        if isinstance(key, float) and not math.isfinite(key):
            raise InvalidDataError(what, path, f"the key {key!r} is not JSON; use strings")
        if isinstance(key, int):
            _check_integer(key, what, path)
        _check_text(_key_text(key), what, path, joins=joins)
        name = joined(_key_text(key))
        if name in seen:
            raise InvalidDataError(
                what, path, f"two keys would both be written as {shorten(name, 40)}; use distinct strings"
            )
        seen.add(name)
        yield child, f"{path}.{name}"


def _key_text(key: str | float | None) -> str:
    """Return what `json.dumps` makes of a key."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return int.__repr__(key) if isinstance(key, int) else float.__repr__(key)
