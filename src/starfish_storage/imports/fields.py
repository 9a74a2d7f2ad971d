"""Fields of what other tools have written, whatever they hold."""

from __future__ import annotations

from typing import Any, cast


def object_in(value: object) -> dict[str, Any]:
    """Return a value that is a JSON object; an empty one for any other.

    >>> object_in({"a": 1}), object_in("a")
    ({'a': 1}, {})
    """
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def text_in(fields: dict[str, Any], *names: str) -> str | None:
    """Return the first of some fields that is a text, and not an empty one; None if none is.

    >>> text_in({"a": 1, "b": "x"}, "a", "b")
    'x'
    """
    return next((one for name in names if isinstance(one := fields.get(name), str) and one), None)
