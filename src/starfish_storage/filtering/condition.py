"""A condition that a record fits or not: a field of its data, or a fact about it, a comparison and a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from starfish_storage.codec import json_text, readable_text
from starfish_storage.errors import InvalidInputError, shorten

COMPARISONS = {
    "is": "is",
    "not": "is not",
    "has": "contains",
    "hasnot": "does not contain",
    "min": "at least",
    "max": "at most",
    "above": "more than",
    "below": "less than",
    "there": "is there",
    "lacks": "is missing",
}
"""How a field can be compared, with what people call it."""

VERDICTS = ("accepted", "rejected", "conflicting", "unreviewed")
"""What the verdict on a record can be."""

FACTS = {
    "@length": "bytes of the data, as it is stored",
    "@error": "what went wrong",
    "@failure": "kind of its failure: the class of the exception, or refused output",
    "@attempts": "attempts of its input",
    "@cost": "what its input cost",
    "@tokens": "tokens that its input took",
    "@verdict": f"{', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}",
    "@label": "labels that people gave it",
    "@rating": "mean of its ratings",
    "@comment": "comments of people",
}
"""What is known of every record beside its data. ``@length:FIELD`` is the length of a field: characters, or items."""

MISSING = object()
"""Stands for the value of a field that is not there."""

_SIGNS = {"is": "=", "not": "!=", "has": "~", "hasnot": "!~", "min": ">=", "max": "<=", "above": ">", "below": "<"}
_BY_SIGN = {sign: name for name, sign in _SIGNS.items()} | {"==": "is"}
_SIGN = re.compile(r"!=|!~|>=|<=|==|[=~<>]")
_PLAIN = re.compile(r"[^!=~<>\"]+")
_LENGTH_OF = "@length:"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a record must be.

    Attributes:
        field: the name of a field of its data; fields within fields, and places in lists, are joined by dots. A field
            whose own name has dots is found first. Or one of `FACTS`. ``@@id`` is the field ``@id`` of the data.
        comparison: one of `COMPARISONS`.
        value: what it is compared with, as it was typed.
    """

    field: str
    comparison: str
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the condition of a text such as ``score>=0.5``, ``topic~numbers``, ``answer`` or ``!answer``.

        A name or a value in double quotes is a JSON string, in which signs and blanks mean nothing.

        Raises:
            InvalidInputError: it is none.

        >>> Condition.parse('score >= 0.5'), Condition.parse('!"a=b"')
        (Condition(field='score', comparison='min', value='0.5'), Condition(field='a=b', comparison='lacks', value=''))
        """
        rest = text.strip()
        is_without = rest.startswith("!")
        field, rest = _name(rest.removeprefix("!").lstrip())
        sign = _SIGN.match(rest)
        if not field or (is_without and rest) or (rest and sign is None):
            raise InvalidInputError(
                f"{shorten(text)} is no condition: write FIELD=VALUE (or != ~ !~ >= <= > <), FIELD for a field that is "
                "there, or '!FIELD' for one that is missing."
            )
        if sign is None:
            return cls(field, "lacks" if is_without else "there").checked()
        return cls(field, _BY_SIGN[sign[0]], _unquoted(rest[sign.end() :].strip())).checked()

    def checked(self) -> Self:
        """Return the condition itself.

        Raises:
            InvalidInputError: its comparison, its fact or its verdict is unknown, or a part of it is no text.
        """
        for name in ("field", "comparison", "value"):
            part: object = getattr(self, name)
            if not isinstance(part, str):
                raise InvalidInputError(f"the {name} of a condition must be a text, not {type(part).__name__}.")
        if self.comparison not in COMPARISONS:
            raise InvalidInputError(
                f"the comparison {shorten(self.comparison)} is unknown; use one of {', '.join(COMPARISONS)}."
            )
        is_fact = self.field.startswith("@") and not self.field.startswith(("@@", _LENGTH_OF))
        if is_fact and self.field not in FACTS:
            raise InvalidInputError(
                f"{shorten(self.field)} is unknown; use one of {', '.join(FACTS)}, {_LENGTH_OF}FIELD. A field of the "
                "data whose name begins with @ is written with another @ before it."
            )
        if self.field == "@verdict" and self.comparison in ("is", "not") and self.value not in VERDICTS:
            raise InvalidInputError(f"the verdict {shorten(self.value)} is unknown; use one of {', '.join(VERDICTS)}.")
        return self

    def __str__(self) -> str:
        """Return the text that parses to it.

        >>> str(Condition("a=b", "has", " x")), str(Condition("topic", "lacks"))
        ('"a=b"~" x"', '!topic')
        """
        is_plain = _PLAIN.fullmatch(self.field) and self.field.strip() == self.field
        field = self.field if is_plain else json_text(self.field)
        if self.comparison in ("there", "lacks"):
            return field if self.comparison == "there" else f"!{field}"
        # A value that begins with = would be taken for a part of the sign.
        is_plain = self.value.strip() == self.value and self.value[:1] not in ('"', "=")
        return f"{field}{_SIGNS[self.comparison]}{self.value if is_plain else json_text(self.value)}"

    @property
    def fact(self) -> str | None:
        """Which of `FACTS` it is about; None: it needs the data."""
        return self.field if self.field in FACTS else None

    def fits(self, value: object) -> bool:
        """Return whether a value fits; `MISSING` is that of a field that is not there.

        A missing field fits ``!=``, ``!~`` and ``!FIELD`` alone, null fits ``!FIELD`` and not ``FIELD``.
        """
        if self.comparison in ("there", "lacks"):
            return (value is MISSING or value is None) == (self.comparison == "lacks")
        if self.comparison in ("not", "hasnot"):
            return not self._equals(value) if self.comparison == "not" else not self._contains(value)
        if self.comparison == "is":
            return self._equals(value)
        return self._contains(value) if self.comparison == "has" else self._is_within(value)

    def fits_data(self, data: object) -> bool:
        """Return whether the data of a record fits, which has no field where there is none.

        >>> Condition.parse("score.value>=0.5").fits_data({"score": {"value": 0.75}})
        True
        >>> Condition.parse("@length:tags=2").fits_data({"tags": ["a", "b"]})
        True
        """
        name = self.field.removeprefix(_LENGTH_OF)
        if name != self.field:
            found = value_of(data, name)
            is_long = isinstance(found, str | list | dict)
            return self.fits(len(cast("str", found)) if is_long else MISSING)
        return self.fits(value_of(data, name[1:] if name.startswith("@@") else name))

    def _equals(self, value: object) -> bool:
        if value is MISSING:
            return False
        items = cast("list[object]", value) if isinstance(value, list) else ()
        if any(self._equals(one) for one in items):
            return True
        value = cast("object", value)
        number = _number(value)
        return _as_text(value) == self.value or (number is not None and number == _typed(self.value))

    def _contains(self, value: object) -> bool:
        return value is not MISSING and self.value.casefold() in _as_text(value).casefold()

    def _is_within(self, value: object) -> bool:
        found: Any = _number(value)
        limit: Any = _typed(self.value)
        if isinstance(value, str):  # such as a date, whose order is that of its text; or a number in quotes
            found = _typed(value)
            if found is None or limit is None:
                found, limit = value, self.value
        if found is None or limit is None:
            return False
        if self.comparison in ("min", "above"):
            return found > limit or (self.comparison == "min" and found == limit)
        return found < limit or (self.comparison == "max" and found == limit)


def conditions_of(where: Iterable[str | Condition]) -> list[Condition]:
    """Return conditions, all of which a record must fit.

    Raises:
        InvalidInputError: one of them is none; or a single text was given, not a list.
    """
    given = cast("object", where)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidInputError("where must be a list of conditions, such as ['score>=0.5'].")
    return [_condition_of(one) for one in cast("Iterable[object]", given)]


def _condition_of(given: object) -> Condition:
    if isinstance(given, str):
        return Condition.parse(given)
    if not isinstance(given, Condition):
        raise InvalidInputError(f"a condition must be a text, such as 'score>=0.5', not {type(given).__name__}.")
    return given.checked()


def value_of(data: object, field: str) -> object:
    """Return a field of data, or one within fields; `MISSING` if it is not there.

    >>> value_of({"a": {"b": [1, {"c": 2}]}, "a.b": 0}, "a.b"), value_of({"a": [1, {"c": 2}]}, "a.1.c")
    (0, 2)
    """
    head, dot, rest = field.partition(".")
    if isinstance(data, dict):
        members = cast("dict[str, object]", data)
        if field in members:
            return members[field]
        found = members.get(head, MISSING) if dot else MISSING
    elif isinstance(data, list) and head.isascii() and head.isdecimal() and len(head) < 10:  # noqa: PLR2004 (digits)
        items = cast("Sequence[object]", data)
        found = items[int(head)] if int(head) < len(items) else MISSING
        if not dot:
            return found
    else:
        return MISSING
    return found if found is MISSING else value_of(found, rest)


def _name(text: str) -> tuple[str, str]:
    """Return the name with which a condition begins, and the rest."""
    if text.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            pass
        else:
            return name, text[end:].lstrip()
    sign = _SIGN.search(text)
    end = len(text) if sign is None else sign.start()
    return text[:end].strip(), text[end:]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text


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
