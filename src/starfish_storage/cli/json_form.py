"""What a command prints with ``--json``: models and the parts of a run as JSON values."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast, runtime_checkable

from starfish_storage.runs import Attempt


@runtime_checkable
class HasJson(Protocol):
    """What says itself how it is printed."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        ...


def as_json(value: object) -> Any:
    """Return a value as JSON has it: models by the names of their fields, times as ISO 8601 in UTC.

    >>> as_json({"at": datetime(2026, 1, 31, 12, tzinfo=UTC)})
    {'at': '2026-01-31T12:00:00.000000Z'}
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, HasJson):
        return value.to_json()
    if isinstance(value, datetime):
        return time_as_json(value)
    if isinstance(value, list | tuple):
        return [as_json(child) for child in cast("list[object]", value)]
    children = _children(value)
    return value if children is None else {name: as_json(child) for name, child in children.items()}


def _children(value: object) -> dict[str, object] | None:
    names = getattr(type(value), "model_fields", None)  # of a pydantic model, without importing pydantic
    if names is not None:
        held = vars(value)  # `model_dump` would build a serializer first, which takes longer than a listing
        return {name: held[name] for name in names}
    if is_dataclass(value):
        totals = ("input_tokens", "output_tokens", "cost") if isinstance(value, Attempt) else ()
        return {name: getattr(value, name) for name in (*(one.name for one in fields(value)), *totals)}
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def time_as_json(moment: datetime) -> str:
    """Return a time as stores hold it: UTC, always with six digits of a second, so that it sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
