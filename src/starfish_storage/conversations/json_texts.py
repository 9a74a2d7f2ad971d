"""JSON texts within conversations: arguments of calls, what tools return, and whole conversations."""

from __future__ import annotations

import re

from starfish_storage.codec import decode, encode

_MAY_BE_NO_NUMBER = re.compile(r"NaN|Infinity|\d[eE]\+?\d{3}")


def value_of_json(text: str) -> object:
    """Return the value of a JSON text.

    Python reads NaN and infinities, too, which JSON does not have: they would be null where the value is written.

    Raises:
        ValueError: it is not JSON. `RecursionError` if it is nested too deep.
    """
    value: object = decode(text.encode("utf-8", "surrogatepass"))
    if _MAY_BE_NO_NUMBER.search(text):  # else it has none, and looking at each value would take longer than reading it
        encode(value, "JSON text")
    return value
