"""Fields of what other tools have written, whatever they hold."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, cast

from starfish_storage.runs import Conversion

CONSTANTS = re.compile(rb"\b(?:NaN|Infinity)\b")
"""In text that may hold numbers which JSON does not have."""

Conversions = tuple[Conversion, ...]

_MOST_PATHS = 20


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


def moment_in(fields: dict[str, Any], name: str) -> datetime | None:
    """Return a field that is a time in ISO 8601, in UTC if it has no zone; None if it is none."""
    try:
        found = datetime.fromisoformat(fields[name])
    except (KeyError, TypeError, ValueError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def without_nan(value: Any) -> tuple[Any, Conversions]:
    """Return a value with null for each NaN and infinity, which Python's own JSON has, and where they stood.

    >>> without_nan({"a": [1.5, float("nan")]})
    ({'a': [1.5, None]}, (Conversion(kind='nan', count=1, paths=('$.a[1]',)),))
    """
    paths = list[str]()

    def finite(one: Any, path: str) -> Any:
        if isinstance(one, float) and not math.isfinite(one):
            paths.append(path)
            return None
        if isinstance(one, dict):
            return {key: finite(member, f"{path}.{key}") for key, member in cast("dict[str, Any]", one).items()}
        if isinstance(one, list):
            return [finite(member, f"{path}[{number}]") for number, member in enumerate(cast("list[Any]", one))]
        return one

    found = finite(value, "$")
    return found, (Conversion("nan", len(paths), tuple(paths[:_MOST_PATHS])),) if paths else ()
