"""The data of a record as a text that people edit, and back: what they do not touch stays what it was."""

from __future__ import annotations

import re
from typing import Any, cast

from starfish_storage.codec import decode, readable_text
from starfish_storage.errors import InvalidInputError

# As in `words.plain`, but these stand in JSON: they can only be within a string, where an escape is the same.
_HIDDEN = re.compile(r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udfff]")


def shown_json(data: dict[str, Any]) -> str:
    r"""Return data as JSON on several lines; what cannot be seen, or not be sent by a form, as escapes.

    >>> print(shown_json({"a": "b\u202e\ud800"}))
    {
      "a": "b\u202e\ud800"
    }
    """
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", readable_text(data, 2))


def json_of(text: str) -> dict[str, Any]:
    """Return the data in a text.

    Raises:
        InvalidInputError: it is not a JSON object; says where.

    >>> json_of('{"a": 1.0, "b": 123456789012345678901}')
    {'a': 1.0, 'b': 123456789012345678901}
    """
    try:
        data: object = decode(text.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"this is not JSON: {_reason(error)}. Nothing was stored.") from None
    if not isinstance(data, dict):
        raise InvalidInputError("the data of a record is a JSON object: it begins with {. Nothing was stored.")
    return cast("dict[str, Any]", data)


def _reason(error: Exception) -> str:
    """Return what is wrong, and where; not what stands there."""
    line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
    what = getattr(error, "msg", "it is nested too deep")
    return what if line is None else f"{what}, in line {line}, column {column}"
