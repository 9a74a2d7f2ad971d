"""Checks which rows a caller asks for (statuses, position, number), and returns that as queries take it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import ScannedRecord
from starfish_storage.metadata import values
from starfish_storage.metadata.row import Row

if TYPE_CHECKING:
    from starfish_storage.models import Record

ALL_ROWS = 2**63 - 1
"""Stands for no limit. Every engine takes it, while only SQLite takes -1 and only PostgreSQL NULL."""


def status_filter(kind: str, statuses: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the distinct statuses of a filter; None and an empty one mean all.

    Raises:
        InvalidStatusError: one of them is unknown.
        InvalidInputError: it is not a collection of statuses; a single string is refused, too.
    """
    if statuses is None:
        return known
    if isinstance(statuses, str) or not isinstance(statuses, Collection):
        raise InvalidInputError(f"a filter by {kind} must be a list of statuses, such as ['completed'].")
    given = cast("Collection[object]", statuses)
    return tuple(dict.fromkeys(values.status(kind, value, known) for value in given)) or known


def page(limit: object, offset: object) -> tuple[int, int]:
    """Return ``limit`` (`ALL_ROWS` for None) and ``offset`` as a query takes them.

    Raises:
        InvalidInputError: one of them is negative, too large or not an integer.
    """
    for name, value in (("limit", limit), ("offset", offset)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InvalidInputError(f"{name} must be an integer or None, not {type(value).__name__}.")
        if value is not None and value < 0:
            raise InvalidInputError(f"{name} {value} cannot be used: give 0 or more, or None for no {name}.")
        if value is not None and value > ALL_ROWS:
            raise InvalidInputError(f"{name} {value} cannot be used: give at most {ALL_ROWS}, or None for no {name}.")
    return cast("int", ALL_ROWS if limit is None else limit), cast("int", offset or 0)


def batch_size(given: object) -> int:
    """Return how many rows to read at a time.

    Raises:
        InvalidInputError: it is not an integer, or is less than 1.
    """
    if given is None or page(given, None)[0] < 1:
        raise InvalidInputError(f"batch_size {given} cannot be used: give 1 or more.")
    return cast("int", given)


def seed(given: object) -> int:
    """Return the seed of a shuffle.

    Raises:
        InvalidInputError: it is not an integer.
    """
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidInputError(f"a seed must be an integer, not {type(given).__name__}.")
    return given


def position(record: object) -> Row:
    """Return where a record stands in the order of records.

    Raises:
        InvalidInputError: it is not a record.
    """
    if not hasattr(record, "start_time") or not hasattr(record, "record_uid"):
        raise InvalidInputError(f"a Record is needed to begin behind, not {type(record).__name__}.")
    given = cast("Record", record)
    return values.timestamp("start_time", given.start_time), values.text("record_uid", given.record_uid)


def scan_position(record: object) -> Row:
    """Return where a record of a scan stands in the order of records.

    Raises:
        InvalidInputError: it is not a `ScannedRecord`.
    """
    if not isinstance(record, ScannedRecord):
        raise InvalidInputError(f"a ScannedRecord is needed to begin behind, not {type(record).__name__}.")
    return values.text("start_time", record.start_time), values.text("record_uid", record.record_uid)
