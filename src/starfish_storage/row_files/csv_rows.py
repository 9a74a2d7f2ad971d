"""Rows of CSV files: a header, and text in every cell."""

from __future__ import annotations

import bisect
import csv
import io
import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.form_option import FormOption
from starfish_storage.row_files.csv_dialect import delimiters_in, delimiters_of, named, sep_line
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile, encoding_of, notes_on_encoding
from starfish_storage.wording import number_of

_START = 2**16
_LINES_OF_ROW = 1000


class CsvTable:
    """The rows of a CSV file, below a row with the names of the columns. Each cell is text.

    The file is in UTF-8, or in UTF-16 with a mark. A line ``sep=;`` before the names is Excel's, and no row.

    Args:
        file: the file.
        delimiter: the character between cells; by default what the line ``sep=`` says, or else the one of comma,
            semicolon, tab and vertical bar that fits.
        json_cells: cells that hold a JSON object or list become that.

    Raises:
        InvalidInputError: the delimiter is not one character; or it cannot be found, or the file not be read.
    """

    form = "csv"

    def __init__(self, file: SourceFile, delimiter: str | None = None, *, json_cells: bool = False) -> None:
        self._file = file
        self._json_cells = json_cells
        self.name = file.name
        self.has_changed = file.has_changed
        if delimiter and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise InvalidInputError(f"delimiter {shorten(delimiter)} cannot be used: give one character.")
        with file.text(_START) as content:
            start = content.read(_START)
            is_cut = len(start) == _START
        # Where the sample ends may be the middle of a character; what is no UTF-8 is told when it is read.
        text = start.decode("utf-8", "ignore")
        said = sep_line(text)
        self._lines_before = 0 if said is None else 1
        usual = "\t" if ".tsv" in file.name.lower() else ","
        found = [said[1]] if said is not None else delimiters_of(text, usual, is_cut=is_cut)
        self._is_sure = bool(delimiter) or len(found) == 1
        self._may_be = found
        self._delimiter = delimiter or (found or [usual])[0]

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        return self._file.sha256

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        how = {"delimiter": self._delimiter, "json_cells": self._json_cells}
        return self._file.describe() | how | encoding_of(self._file)

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        return [f"cells separated by {named(self._delimiter)}", *notes_on_encoding(self._file)]

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        # The limit is one for the whole process. A cell without its closing quote would be read to the end of the file.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
        before = self._lines_before
        with self._lines(before) as lines:
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            line = before + 1
            names: list[str] = []
            try:
                names = self._names(next(reader, list[str]()))
                while True:
                    line = before + reader.line_num + 1
                    cells = next(reader, None)
                    if cells is None:
                        return
                    if cells:
                        yield self._row(f"the row at line {line} of {self._file.shown}", names, cells)
            except csv.Error as error:
                # Where the next row begins is unknown after this, so the row cannot be left out.
                place = f"the row at line {line}" if names else f"line {line}"
                raise InvalidInputError(
                    f"{place} of {self._file.shown} is not CSV{self._column(line, names)}: {error}. Correct it, or "
                    "write the file again."
                ) from error
            except UnicodeDecodeError:
                raise InvalidInputError(
                    f"the row at line {line} of {self._file.shown}, or one soon after it, is not UTF-8: save the file "
                    "as CSV in UTF-8."
                ) from None

    @contextmanager
    def _lines(self, skipped: int, errors: str = "strict") -> Generator[Iterator[str]]:
        with self._file.text() as content:
            text = io.TextIOWrapper(content, encoding="utf-8", errors=errors, newline="")
            yield itertools.islice(text, skipped, None)

    def _names(self, header: list[str]) -> list[str]:
        shown = self._file.shown
        line = self._lines_before + 1
        if not header:
            raise InvalidInputError(f"{shown} has no column names in line {line}: add them.")
        before = set[str]()
        for number, name in enumerate(header, start=1):
            if not name.strip():
                index = ", or leave it out if it is an index, as pandas does with index=False" if number == 1 else ""
                raise InvalidInputError(f"column {number} of {shown} has no name in line {line}: give it one{index}.")
            if name in before:
                raise InvalidInputError(f"two columns of {shown} are named {shorten(name)}: rename one of them.")
            before.add(name)
        if not self._is_sure and (self._may_be or (len(header) == 1 and delimiters_in(header[0]))):
            raise InvalidInputError(
                f"it is not clear what separates the cells of {shown}: with {named(self._delimiter)}, the first column "
                f"would be {shorten(header[0])}. Pass delimiter= (--delimiter of import), or write sep= and the "
                "character as its first line."
            )
        return header

    def _row(self, place: str, names: list[str], cells: list[str]) -> GoodRow | BadRow:
        if len(cells) != len(names):
            has = f"{place} has {number_of(len(cells), 'cell')}, but the file has {number_of(len(names), 'column')}"
            if len(cells) < len(names):
                return BadRow(f"{has}: it ends before {shorten(names[len(cells)])}")
            return BadRow(has if self._is_sure else f"{has}{self._doubt()}")
        if self._json_cells:
            return GoodRow(place, {name: _value(cell) for name, cell in zip(names, cells, strict=True)})
        return GoodRow(place, dict(zip(names, cells, strict=True)))

    def _doubt(self) -> str:
        """Return what may be wrong with the file as a whole, where no character divides its names and its rows."""
        return (
            f" in line {self._lines_before + 1}: if that is a comment, remove it; if cells are not separated by "
            f"{named(self._delimiter)}, pass delimiter= (--delimiter of import)"
        )

    def _column(self, line: int, names: list[str]) -> str:
        """Return which column of a row is no CSV, for a message; nothing if it is not found in its first part."""
        with self._lines(line - 1, "replace") as lines:
            text = "".join(itertools.islice(lines, _LINES_OF_ROW))[:_START]
        end = 1 + bisect.bisect_right(range(len(text)), 0, key=lambda size: int(self._is_torn(text[: size + 1])))
        cells = next(csv.reader(io.StringIO(text[:end], newline=""), delimiter=self._delimiter), [""])
        return f" in column {shorten(names[len(cells) - 1])}" if 0 < len(cells) <= len(names) else ""

    def _is_torn(self, text: str) -> bool:
        """Return whether a row is no CSV whatever follows."""
        try:
            next(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True), None)
        except csv.Error as error:
            return "unexpected end" not in str(error)
        return False


CSV = FileForm(
    name="csv",
    title="CSV",
    endings=(".csv", ".tsv"),
    table=CsvTable,
    options=(
        FormOption("delimiter", "Of CSV: the character between cells [default: recognised].", "CHARACTER"),
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
