"""What separates the cells of a CSV file: found by reading its beginning with each candidate, as it will be read."""

from __future__ import annotations

import csv
import io
import itertools
import re

_CANDIDATES = ",;\t|"
_ROWS = 200
_ENOUGH = 0.8  # of the rows have as many cells as the header; the others are bad rows, and will be named
_SEP_LINE = re.compile(r"sep=([^\r\n\"])(?:\r\n|\r|\n|\Z)", re.IGNORECASE)

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def named(delimiter: str) -> str:
    """Return what a delimiter is called in a report.

    >>> named(";"), named("^")
    ('semicolons', "'^'")
    """
    return _NAMES.get(delimiter, ascii(delimiter))


def sep_line(start: str) -> tuple[str, str] | None:
    r"""Return the line in which Excel says what separates cells, and the delimiter; None if there is none.

    >>> sep_line("sep=;\r\na;b\r\n"), sep_line("sep,b\n")
    (('sep=;\r\n', ';'), None)
    """
    match = _SEP_LINE.match(start)
    return None if match is None else (match[0], match[1])


def delimiters_of(start: str, usual: str, *, is_cut: bool = False) -> list[str]:
    r"""Return what may separate the cells of a text; nothing if it is one column, or nothing fits.

    A candidate fits if the header has two cells or more, and the rows as many. Where the usual one fits and another one
    too, both divide the header, and only a person can tell: then there are two. The sniffers of `csv`, clevercsv and
    DuckDB were tried: they count characters, so that text in cells decides (ADR 0064).

    Args:
        start: its beginning.
        usual: what separates the cells of most such files.
        is_cut: the text goes on, so that its last row may be half a row.

    >>> delimiters_of("name;price\nA;1,5\nB;2,5\n", ","), delimiters_of("text\nHello, world\n", ",")
    ([';'], [])
    >>> delimiters_of("name;price,EUR\nA;1,5\nB;2,5\n", ",")
    [',', ';']
    """
    fitting: dict[str, tuple[float, int]] = {}
    for delimiter in (usual, *_CANDIDATES.replace(usual, "")):
        widths = _widths(start, delimiter)
        if is_cut and len(widths) > 1:
            del widths[-1]
        if not widths or widths[0] == 1:
            continue
        share = widths.count(widths[0]) / len(widths)
        if share >= _ENOUGH:
            fitting[delimiter] = (share, widths[0])
    others = fitting.keys() - {usual}
    best = max(others, key=lambda one: (*fitting[one], one), default=None)
    return [one for one in (usual, best) if one in fitting]


def delimiters_in(name: str) -> bool:
    """Return whether the name of a column has a character in it that may have been meant to separate columns."""
    return any(candidate in name for candidate in _CANDIDATES)


def _widths(start: str, delimiter: str) -> list[int]:
    """Return how many cells the first rows have."""
    reader = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter)
    try:
        return [len(cells) for cells in itertools.islice(reader, _ROWS) if cells]
    except csv.Error:  # a cell longer than the limit
        return []
