"""Inputs that are not among those of their run any more: what their rows say then, and what they said before.

An input that is gone and its records are ``cancelled``; what they were stands in their error message, so that all of it
can come back with the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Status = TypeVar("Status", bound=str)

_GONE = "not among the inputs of the run any more; before: "


def gone_message(status: str, message: str | None) -> str:
    """Return the error message of an input that is gone, or of its record.

    >>> gone_message("filtered", "too short")
    'not among the inputs of the run any more; before: filtered (too short)'
    """
    return f"{_GONE}{status}" if message is None else f"{_GONE}{status} ({message})"


def before_gone(message: str | None, statuses: Sequence[Status]) -> tuple[Status, str | None] | None:
    """Return the status and the message from before an input was gone; None if the message does not say that it is.

    Args:
        message: the error message of the input or of its record.
        statuses: those that it can have had.

    >>> before_gone(gone_message("completed", None), ["completed"])
    ('completed', None)
    >>> before_gone("ValueError: no", ["completed"])
    """
    if message is None or not message.startswith(_GONE):
        return None
    named, bracket, rest = message.removeprefix(_GONE).partition(" (")
    status = next((one for one in statuses if one == named), None)
    if status is None or (bracket and not rest.endswith(")")):
        return None
    return status, rest[:-1] if bracket else None
