"""What people and programs read: tables and fields in a terminal, tab-separated text in a pipe, JSON if asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from starfish_storage.cli.json_form import as_json
from starfish_storage.codec import readable_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Item = TypeVar("Item")
Cell = str | int | float | datetime | Mapping[str, int] | None

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_GAP = 2
_NARROWEST = 12
_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f]")
STYLES = {
    "completed": "green",
    "completed_with_errors": "yellow",
    "failed": "red",
    "running": "cyan",
    "pending": "dim",
    "cancelled": "magenta",
    "interrupted": "magenta",
    "filtered": "yellow",
    "duplicate": "yellow",
    "superseded": "dim",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        whole: never cut short in a terminal, as ids must not be.
    """

    title: str
    whole: bool = True


def is_terminal() -> bool:
    """Return whether people read what is printed."""
    return sys.stdout.isatty()


def console(least_width: int = 0) -> Console:
    """Return what draws on the terminal."""
    from rich.console import Console

    usual = Console(highlight=False)
    return usual if usual.width >= least_width else Console(highlight=False, width=least_width)


def show_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(_json_text(value, indent=2))


def show_report(report: object, *, as_json: bool) -> None:
    """Print what a command did: as JSON if asked for, else as the report says it in text."""
    if as_json:
        show_json(report)
    else:
        show_text(str(report))


def show_json_line(value: object) -> None:
    """Print one JSON value as a line."""
    click.echo(_json_text(value, indent=None))


def show_data(value: object) -> None:
    """Print a JSON value that people look at: in colours in a terminal."""
    if not is_terminal():
        show_json(value)
        return
    from rich.json import JSON

    console().print(JSON(_json_text(value, indent=2), indent=2, ensure_ascii=False), soft_wrap=True)


class Listing(Generic[Item]):
    """A list as it is printed: a table in a terminal, tab-separated lines in a pipe, a JSON array if asked for.

    In a pipe each item is printed when it comes, so that a list of any length takes no memory.

    Args:
        columns: of the table.
        row: the cells of an item.
        as_json: print an array, whose elements are the items.
    """

    def __init__(self, columns: Sequence[Column], row: Callable[[Item], Sequence[Cell]], *, as_json: bool) -> None:
        self._columns = columns
        self._row = row
        self._as_json = as_json
        self._for_people = is_terminal() and not as_json
        self._kept: list[Sequence[Cell]] = []
        self._waiting = "["  # a JSON element is printed when it is known whether a comma follows
        if not as_json and not self._for_people:
            click.echo("\t".join(column.title for column in columns))

    def add(self, item: Item) -> None:
        """Print an item, or keep it for the table."""
        if self._as_json:
            click.echo(self._waiting)
            self._waiting = _json_text(item, indent=None) + ","
        elif self._for_people:
            self._kept.append(self._row(item))
        else:
            click.echo("\t".join(on_one_line(cell) for cell in self._row(item)))

    def end(self) -> None:
        """Print what is left to print."""
        if self._as_json:
            click.echo("[]" if self._waiting == "[" else f"{self._waiting[:-1]}\n]")
        elif self._for_people:
            _draw_table(self._columns, self._kept)


def show_list(
    columns: Sequence[Column], items: Iterable[Item], row: Callable[[Item], Sequence[Cell]], *, as_json: bool = False
) -> None:
    """Print a list that is there as a whole."""
    listing = Listing(columns, row, as_json=as_json)
    for item in items:
        listing.add(item)
    listing.end()


def _draw_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.cells import cell_len
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    drawn = [[_drawn(cell) for cell in row] for row in rows]
    needed = 0
    for number, column in enumerate(columns):
        whole = max([cell_len(column.title), *(row[number].cell_len for row in drawn)])
        least = whole if column.whole else min(whole, _NARROWEST)
        is_number = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(
            column.title,
            justify="right" if is_number else "left",
            no_wrap=column.whole,  # those that are not are the ones that get less room
            min_width=least,
        )
        needed += least + _GAP
    for row in drawn:
        table.add_row(*row)
    # In a narrower terminal lines are broken by the terminal: an id that is broken in the table cannot be copied.
    console(least_width=needed).print(table)


def show_fields(fields: Mapping[str, Cell]) -> None:
    """Print a value a line, with its name; those that are not there are left out."""
    present = {name: cell for name, cell in fields.items() if cell is not None and cell != {}}
    width = max(map(len, present), default=0)
    for name, cell in present.items():
        if not is_terminal():
            click.echo(f"{name}\t{on_one_line(cell)}")
            continue
        from rich.text import Text

        console().print(Text.assemble((f"{name:<{width}}  ", "bold"), _drawn(cell)), soft_wrap=True)


def show_title(title: str) -> None:
    """Print a line above what belongs together."""
    if not is_terminal():
        click.echo(f"\n# {title}")
        return
    from rich.text import Text

    console().print(Text(f"\n{title}", "bold underline"))


def show_text(content: str) -> None:
    """Print text of several lines as it is, but for what would steer the terminal."""
    click.echo(_UNSAFE.sub(_escaped, content))


def say(text: str) -> None:
    """Tell people something that is not what was asked for."""
    click.echo(_UNSAFE.sub(_escaped, text), err=True)


def on_one_line(cell: Cell) -> str:
    r"""Return a cell as text without line ends, tabs, or what would steer a terminal.

    >>> on_one_line("a\tb\n\x1b[2J"), on_one_line({"completed": 3, "failed": 1}), on_one_line(0.5)
    ('a b \\x1b[2J', '3 completed, 1 failed', '0.5')
    """
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(" ", "seconds").replace("+00:00", "Z")
    if isinstance(cell, float):
        return f"{cell:.6f}".rstrip("0").rstrip(".")
    if isinstance(cell, Mapping):
        return ", ".join(f"{count} {name}" for name, count in cell.items())
    return _UNSAFE.sub(_escaped, " ".join(str(cell).split()) if isinstance(cell, str) else str(cell))


def _drawn(cell: Cell) -> Text:
    from rich.text import Text

    text = Text(on_one_line(cell), overflow="ellipsis", no_wrap=True)
    if isinstance(cell, str) and cell in STYLES:
        text.stylize(STYLES[cell])
    return text


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def _json_text(value: object, indent: int | None) -> str:
    given: Any = as_json(value)
    text = readable_text(given, indent)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # a lone surrogate, or a terminal that knows ASCII only
        return readable_text(given, indent, in_ascii=True)
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
