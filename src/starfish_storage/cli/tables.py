"""A table in a terminal: which columns there is room for, and how wide they are, so that no word is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starfish_storage.cli.cells import Cell, drawn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = 2
_NARROWEST = 30
"""Text that is broken into lines gets at least so much room, if it is as long."""
_MOST_CHARACTERS = 160
"""How much of such text is drawn; `record` and ``--json`` show all of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        whole: stands on one line, as ids must; else it is broken into lines between words.
        optional: left out where a terminal is too narrow, the last column of these first.
    """

    title: str
    whole: bool = True
    optional: bool = False


def fit(columns: Sequence[Column], texts: Sequence[Sequence[str]], room: int) -> dict[int, int] | None:
    """Return the widths of the columns that there is room for, by their number; None if not even those that must be.

    Args:
        columns: of the table.
        texts: its rows.
        room: the width of the terminal.

    >>> columns = [Column("run"), Column("error", whole=False), Column("name", optional=True)]
    >>> rows = [["run-1", "out of time " * 9, "first"]]
    >>> fit(columns, rows, 60), fit(columns, rows, 40), fit(columns, rows, 20)
    ({0: 5, 1: 46, 2: 5}, {0: 5, 1: 33}, None)
    """
    from rich.cells import cell_len

    most = [max(map(cell_len, [column.title, *(row[n] for row in texts)])) for n, column in enumerate(columns)]
    least = list(most)
    for number, column in enumerate(columns):
        if not column.whole:
            longest = max(map(cell_len, " ".join([column.title, *(row[number] for row in texts)]).split()))
            least[number] = min(most[number], max(_NARROWEST, longest))
    present = list(range(len(columns)))
    while (spare := room - sum(least[number] + _GAP for number in present) + _GAP) < 0:
        optional = [number for number in present if columns[number].optional]
        if not optional:
            return None
        present.remove(optional[-1])
    widths = {number: least[number] for number in present}
    for left, number in enumerate(sorted(present, key=lambda number: most[number] - least[number]), -len(present)):
        more = min(most[number] - least[number], spare // -left)  # those that want little leave the rest to the others
        widths[number] += more
        spare -= more
    return widths


def draw_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Draw a table, or, where a terminal is too narrow for it, one paragraph for each row.

    Returns:
        The titles of the columns that were left out.
    """
    from rich.table import Table

    limits = [None if column.whole else _MOST_CHARACTERS for column in columns]
    shown = [[drawn(cell, most) for cell, most in zip(row, limits, strict=True)] for row in rows]
    widths = fit(columns, [[text.plain for text in row] for row in shown], console.width)
    if widths is None:
        _draw_paragraphs(console, columns, shown)
        return []
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for number, width in widths.items():
        is_number = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(columns[number].title, justify="right" if is_number else "left", width=width)
    for row in shown:
        table.add_row(*(row[number] for number in widths))
    console.print(table)
    return [column.title for number, column in enumerate(columns) if number not in widths]


def _draw_paragraphs(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
    from rich.table import Table

    for row in rows:
        paragraph = Table.grid(padding=(0, _GAP, 0, 0))
        paragraph.add_column(style="bold", no_wrap=True)
        paragraph.add_column(overflow="fold")
        for column, text in zip(columns, row, strict=True):
            if text.plain:
                paragraph.add_row(column.title, text)
        console.print(paragraph)
        console.print()
