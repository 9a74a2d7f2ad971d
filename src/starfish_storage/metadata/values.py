"""Values as a database holds them: checked, and as text where it has no type of its own."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TypeVar, cast

from starfish_storage.codec import encode, utc_text
from starfish_storage.errors import InvalidDataError, InvalidInputError, InvalidStatusError, shorten
from starfish_storage.interface.rows import RecordCountsRow
from starfish_storage.statuses import COUNTED_STATUSES
from starfish_storage.surrogates import joined
from starfish_storage.times import as_utc

Status = TypeVar("Status", bound=str)

MOST_USED = 10**15
"""Of tokens, and of cost: so that the totals of a run stay within what a column holds."""


def timestamp(name: str, moment: object) -> str:
    """Return a time as text in UTC, ``2026-01-31T12:00:00.000000Z``."""
    if not isinstance(moment, datetime):
        raise InvalidInputError(f"{name} must be a datetime, not {type(moment).__name__}.")
    if moment.tzinfo is not UTC:
        try:
            moment = as_utc(moment)
        except ValueError as error:
            raise InvalidInputError(f"{name} cannot be stored: {error}.") from error
    return utc_text(moment)


def optional_timestamp(name: str, moment: object) -> str | None:
    """Return a time as text, or None."""
    return None if moment is None else timestamp(name, moment)


def text(name: str, value: object) -> str:
    """Return text that a database can hold; halves of characters are joined."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string, not {type(value).__name__}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        pass  # it holds the text, and its `repr` shows it
    else:
        return value
    value = joined(value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        start = error.start
    else:
        return value
    raise InvalidInputError(f"{name} has a lone surrogate at {start}, which is not a character; replace it.")


def optional_text(name: str, value: object) -> str | None:
    """Return text that a database can hold, or None."""
    return None if value is None else text(name, value)


def lower(name: str, value: object) -> str:
    """Return text in lower case as SQLite has it: that of ASCII."""
    return text(name, value).encode().lower().decode()


def integer(name: str, value: object) -> int:
    """Return an integer that a database can hold."""
    if not isinstance(value, int):
        raise InvalidInputError(f"{name} must be an integer, not {type(value).__name__}.")
    if not -(2**63) <= value < 2**63:
        raise InvalidInputError(f"{name} is beyond the 64 bits of a stored integer.")
    return int(value)


def whole(name: str, value: object, least: int, most: int) -> int:
    """Return an integer that lies in a range."""
    number = integer(name, value)
    if not least <= number <= most:
        raise InvalidInputError(f"{name} {number} cannot be used: give {least} to {most}.")
    return number


def cost(value: object) -> float:
    """Return a cost that is a number of 0 or more."""
    if not isinstance(value, int | float):
        raise InvalidInputError(f"cost must be a number, not {type(value).__name__}.")
    if not (math.isfinite(value) and 0 <= value <= MOST_USED):
        raise InvalidInputError(f"cost {shorten(value)} cannot be used: give 0 to {MOST_USED}.")
    return float(value)


def json_text(name: str, value: object) -> str:
    """Return a dict as JSON text."""
    return encode(value, name)[:-1].decode()


def optional_json_text(name: str, value: object) -> str | None:
    """Return a dict as JSON text, or None."""
    return None if value is None else json_text(name, value)


def status(kind: str, value: object, known: tuple[Status, ...]) -> Status:
    """Return a status that the model knows.

    Raises:
        InvalidStatusError: it does not know it.
    """
    if value not in known:
        raise InvalidStatusError(kind, value, known)
    return cast("Status", value)


def record_counts(given: object, name: str) -> RecordCountsRow:
    """Return the counts of a summary by status; 0 for what it lacks."""
    if given is None:
        return RecordCountsRow(0, 0, 0, 0)
    if not isinstance(given, dict):
        raise InvalidDataError(name, "$", f"a dict is needed, not {type(given).__name__}")
    known = cast("dict[str, object]", given)
    return RecordCountsRow(*(integer(f"{name}[{key!r}]", known.get(key, 0)) for key in COUNTED_STATUSES))
