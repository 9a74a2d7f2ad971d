"""Times: always aware, and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """Return a time as an aware one in UTC; a naive one is read as UTC.

    Raises:
        ValueError: in UTC it lies outside the years 1 to 9999.

    >>> as_utc(datetime(2026, 1, 31, 12)).isoformat()
    '2026-01-31T12:00:00+00:00'
    """
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment.isoformat()} lies outside the years 1 to 9999 in UTC") from error
