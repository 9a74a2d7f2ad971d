"""What becomes of objects that are not alike: JSON text, unless somebody says that they are padded, or maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.inference import Seen
from starfish_storage.form_option import FormOption
from starfish_storage.row_files.restoring import parsed_path


@dataclass(frozen=True, slots=True)
class TableRules:
    """What becomes of objects under one path of which some have keys that others lack.

    Args:
        pad: they are filled up with nulls.
        map_fields: the paths whose objects are maps, such as ``scores`` or ``calls[].arguments``: if their values are
            of one type, the column has Arrow's type ``map``.

    Raises:
        InvalidInputError: one of them is no path.
    """

    pad: bool = False
    map_fields: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.map_fields, str):
            raise InvalidInputError("map_fields must be a list of fields, for example ['scores'].")
        for field in self.map_fields:
            try:
                parsed_path(field)
            except ValueError as error:
                raise InvalidInputError(f"{error}.") from None

    def seen(self) -> Seen:
        """Return what counts the values of records, and takes these fields for maps."""
        return Seen([parsed_path(field) for field in self.map_fields])

    def check(self, columns: dict[str, Seen]) -> None:
        """Refuse to take for maps what no record has.

        Args:
            columns: what was seen under each key of the records.

        Raises:
            InvalidInputError: one of the fields never held an object.
        """
        for field in self.map_fields:
            (_, name), *steps = parsed_path(field)
            column = columns.get(name or "")
            found = None if column is None else column.at(steps)
            if found is None or not found.objects:
                raise InvalidInputError(f"no record has an object in {shorten(field)}, so it is no map: leave it out.")


@dataclass(frozen=True, slots=True)
class FixedColumns:
    """What becomes of columns that a form has, whatever the rules and the data are.

    Attributes:
        padded: paths of objects, or of lists of them, that are filled up with nulls, and what is in them too.
        as_they_are: paths in those where that ends again: the rules hold there.
        text: paths of objects, or of lists, that are always JSON text.
    """

    padded: frozenset[str] = frozenset()
    as_they_are: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()


NONE_FIXED = FixedColumns()
USUAL_RULES = TableRules()


def parse_fields(text: str) -> tuple[str, ...]:
    """Return the fields that stand on a command line, with commas between them.

    >>> parse_fields("scores, calls[].arguments")
    ('scores', 'calls[].arguments')
    """
    return tuple(field.strip() for field in text.split(",") if field.strip())


PAD = FormOption("pad", "Tables: fill up objects that lack keys with null.", kind=bool)
MAPS = FormOption("map_fields", "Parquet, Arrow: write fields as maps.", "FIELD,...", flag="map", read=parse_fields)
