"""Rows of CSV files: a header, and text in every cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.form_option import FormOption
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile


class CsvTable:
    """The rows of a CSV file in UTF-8, below a row with the names of the columns. Each cell is text.

    Args:
        file: the file.
        delimiter: the character between cells; by default a tab in ``.tsv`` files, else a comma.
        json_cells: cells that hold a JSON object or list become that.

    Raises:
        InvalidInputError: the delimiter is not one character.
    """

    form = "csv"

    def __init__(self, file: SourceFile, delimiter: str | None = None, *, json_cells: bool = False) -> None:
        self._file = file
        self._delimiter = delimiter or ("\t" if ".tsv" in file.name.lower() else ",")
        if len(self._delimiter) != 1 or self._delimiter in '"\r\n':
            raise InvalidInputError(f"delimiter {shorten(self._delimiter)} cannot be used: give one character.")
        self._json_cells = json_cells
        self.name = file.name
        self.has_changed = file.has_changed

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        return self._file.sha256

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        return self._file.describe() | {"delimiter": self._delimiter, "json_cells": self._json_cells}

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        # The limit is one for the whole process. A cell without its closing quote would be read to the end of the file.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
        shown = self._file.shown
        with self._file.content() as content:
            text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=self._delimiter, strict=True)
            place = f"line 1 of {shown}"
            try:
                names = self._names(next(reader, list[str]()))
                while True:
                    place = f"the row at line {reader.line_num + 1} of {shown}"
                    cells = next(reader, None)
                    if cells is None:
                        return
                    if cells:
                        yield self._row(place, names, cells)
            except csv.Error as error:
                # Where the next row begins is unknown after this, so the row cannot be left out.
                raise InvalidInputError(f"{place} is not CSV: {error}. Correct it, or write the file again.") from error
            except UnicodeDecodeError:
                raise InvalidInputError(
                    f"{place}, or one soon after it, is not UTF-8: save the file as CSV in UTF-8."
                ) from None

    def _names(self, header: list[str]) -> list[str]:
        shown = self._file.shown
        if not header:
            raise InvalidInputError(f"{shown} has no column names in line 1: add them.")
        for number, name in enumerate(header, start=1):
            if not name.strip():
                raise InvalidInputError(f"column {number} of {shown} has no name in line 1: give it one.")
            if name in header[: number - 1]:
                raise InvalidInputError(f"two columns of {shown} are named {shorten(name)}: rename one of them.")
        return header

    def _row(self, place: str, names: list[str], cells: list[str]) -> GoodRow | BadRow:
        if len(cells) != len(names):
            return BadRow(f"{place} has {len(cells)} cells, but the file has {len(names)} columns")
        if self._json_cells:
            return GoodRow(place, {name: _value(cell) for name, cell in zip(names, cells, strict=True)})
        return GoodRow(place, dict(zip(names, cells, strict=True)))


CSV = FileForm(
    name="csv",
    title="CSV",
    endings=(".csv", ".tsv"),
    table=CsvTable,
    options=(
        FormOption(
            "delimiter", "Of CSV: the character between cells [default: a comma; a tab in .tsv files].", "CHARACTER"
        ),
        FormOption("json_cells", "Of CSV: cells that hold a JSON object or list become that.", kind=bool),
    ),
)


def _value(cell: str) -> object:
    """Return the object or list that a cell holds, or its text.

    >>> _value('["a", 1]'), _value("[sic]"), _value("1")
    (['a', 1], '[sic]', '1')
    """
    if not cell.startswith(("{", "[")):
        return cell
    try:
        return cast("object", decode(cell.encode() + b"\n"))
    except (ValueError, RecursionError):
        return cell
