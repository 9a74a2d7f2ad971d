"""Which records are shown by what is in their data: a field, a comparison and a value, as a URL has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.codec import readable_text
from starfish_storage.errors import InvalidInputError

COMPARISONS = {
    "is": "is",
    "has": "contains",
    "min": "at least",
    "max": "at most",
    "lacks": "is missing",
}
"""How a field can be compared, with what a page calls it."""

_MISSING = object()


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """What a field of a record's data must be.

    Attributes:
        field: its name; fields within fields are joined by dots. A field whose own name has dots is found first.
        comparison: one of `COMPARISONS`.
        value: what it is compared with, as it was typed.
    """

    field: str
    comparison: str
    value: str

    def fits(self, data: Mapping[str, Any] | None) -> bool:
        """Return whether the data of a record is shown. A record without data lacks every field.

        >>> FieldFilter("score.value", "min", "0.5").fits({"score": {"value": 0.75}})
        True
        """
        found = _MISSING if data is None else _found(data, self.field)
        if self.comparison == "lacks":
            return found is _MISSING or found is None
        if found is _MISSING:
            return False
        if self.comparison == "is":
            return _as_text(found) == self.value or (
                _number(found) is not None and _number(found) == _typed(self.value)
            )
        if self.comparison == "has":
            return self.value.casefold() in _as_text(found).casefold()
        return self._is_within(found)

    def _is_within(self, found: object) -> bool:
        number, limit = _number(found), _typed(self.value)
        if number is not None and limit is not None:
            return number >= limit if self.comparison == "min" else number <= limit
        if isinstance(found, str):  # such as a date, whose order is that of its text
            return found >= self.value if self.comparison == "min" else found <= self.value
        return False


def filters_of(fields: Sequence[str], comparisons: Sequence[str], values: Sequence[str]) -> list[FieldFilter]:
    """Return the filters of a URL: its parameters of these names belong together by their places.

    Raises:
        InvalidInputError: a comparison is unknown, or one has no partner.
    """
    if not len(fields) == len(comparisons) == len(values):
        raise InvalidInputError("a filter needs a field, a comparison and a value: take it from the form of the page.")
    for comparison in comparisons:
        if comparison not in COMPARISONS:
            raise InvalidInputError(f"a comparison is unknown; use one of {', '.join(COMPARISONS)}.")
    return [FieldFilter(*one) for one in zip(fields, comparisons, values, strict=True) if one[0]]


def _found(data: Mapping[str, Any], field: str) -> object:
    if field in data:
        return data[field]
    head, dot, rest = field.partition(".")
    inner = data.get(head)
    return _found(cast("dict[str, Any]", inner), rest) if dot and isinstance(inner, dict) else _MISSING


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else readable_text(value)


def _number(value: object) -> float | int | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _typed(value: str) -> float | int | None:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return None
