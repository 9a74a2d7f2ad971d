"""Chosen fields of records, in a chosen order."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence

from starfish_storage.codec import decode, json_line
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.report import ExportReport
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.filtering import MISSING, value_of

_MOST_NAMES = 1000  # that are remembered, to name similar ones


class OnlyFields(Reshaper):
    """Keeps only some fields of the data of each record, under the names by which they were chosen.

    What people say of a record stays, if that is exported. A field that a record lacks stays missing.

    Args:
        fields: a name, or a path with dots in which numbers are places in lists: see `filtering.Condition`.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._unseen: list[str] = list(fields)
        self._names: dict[str, None] = {}
        self._records = 0

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        for record in records:
            data: dict[str, object] = decode(record.payload)
            values = {name: value_of(data, name) for name in self._fields}
            found = {name: value for name, value in values.items() if value is not MISSING}
            if self._unseen:
                self._unseen = [name for name in self._unseen if name not in found]
                if len(self._names) < _MOST_NAMES:
                    self._names |= dict.fromkeys(data)
            key = record.annotations_key
            if key is not None and key in data:
                found.setdefault(key, data[key])
            self._records += 1
            yield record._replace(payload=json_line(found))

    def note(self, report: ExportReport) -> None:
        """See `Reshaper.note`."""
        if self._records:
            unknown = {name: difflib.get_close_matches(name, list(self._names), n=3) for name in self._unseen}
            if len(unknown) == len(self._fields):  # nothing but empty rows
                raise unknown_field(*next(iter(unknown.items())))
            report.unknown_fields = unknown


def unknown_field(name: str, similar: Sequence[str]) -> InvalidInputError:
    """Return the error for a field that no record has.

    Args:
        name: as it was asked for.
        similar: names that there are.

    >>> print(unknown_field("anser", ["answer"]))
    no record that was read has the field 'anser': similar ones are 'answer'.
    """
    hint = f"similar ones are {', '.join(map(shorten, similar))}" if similar else "leave it out, or name another"
    return InvalidInputError(f"no record that was read has the field {shorten(name)}: {hint}.")


def parse_fields(text: str) -> list[str]:
    r"""Return the fields of a text as it stands on the command line; a name with a comma stands in double quotes.

    Raises:
        InvalidInputError: a name is empty, or stands there twice.

    >>> parse_fields('question, answer.text, "a,b"')
    ['question', 'answer.text', 'a,b']
    """
    try:
        (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        raise InvalidInputError(f"the fields {shorten(text)} cannot be read: write question,answer.text.") from None
    return checked_fields([name.strip() for name in names] or [""])


def checked_fields(fields: Sequence[str]) -> list[str]:
    """Return fields that are to be kept.

    Raises:
        InvalidInputError: there is none, one is no name, or stands there twice.
    """
    given: object = fields
    if isinstance(given, str) or not fields:
        raise InvalidInputError("fields must be a list of names, for example ['answer', 'messages.0.content'].")
    for number, name in enumerate(fields):
        is_text = isinstance(name, str)  # pyright: ignore[reportUnnecessaryIsInstance] (callers without types)
        if not is_text or not name:
            raise InvalidInputError(f"field {number + 1} has no name: name each, such as question,answer.text.")
        if name in fields[:number]:
            raise InvalidInputError(f"the field {shorten(name)} is named twice: name it once.")
    return list(fields)
