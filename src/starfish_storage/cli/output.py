"""What people and programs read: tables and fields in a terminal, tab-separated text in a pipe, JSON if asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from starfish_storage.cli.cells import INVISIBLE, Cell, drawn, on_one_line, printable
from starfish_storage.cli.json_form import as_json
from starfish_storage.cli.log_lines import is_json, tell
from starfish_storage.cli.tables import Column, draw_table
from starfish_storage.codec import readable_text

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")

_UNSAFE_IN_JSON = re.compile(f"[{INVISIBLE}]")


def is_terminal() -> bool:
    """Return whether people read what is printed."""
    return sys.stdout.isatty()


def console() -> Console:
    """Return what draws on the terminal."""
    from rich.console import Console

    return Console(highlight=False)


def show_json(value: object, *, to_error_stream: bool = False) -> None:
    """Print one JSON value."""
    if to_error_stream and is_json():
        tell("info", "report", "", report=value)
    else:
        click.echo(_json_text(value, indent=2), err=to_error_stream)


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
    from rich.highlighter import JSONHighlighter

    # Not `rich.json.JSON`, which reads the text and writes it anew, without the escapes of what would steer a terminal.
    console().print(JSONHighlighter()(_json_text(value, indent=2)), soft_wrap=True)


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
            left_out = draw_table(console(), self._columns, self._kept)
            if left_out:
                say(f"Too narrow for: {', '.join(left_out)}. A wider terminal or --json shows this.")


def show_list(
    columns: Sequence[Column], items: Iterable[Item], row: Callable[[Item], Sequence[Cell]], *, as_json: bool = False
) -> None:
    """Print a list that is there as a whole."""
    listing = Listing(columns, row, as_json=as_json)
    for item in items:
        listing.add(item)
    listing.end()


def show_fields(fields: Mapping[str, Cell], *, to_error_stream: bool = False) -> None:
    """Print a value a line, with its name; those that are not there are left out."""
    present = {name: cell for name, cell in fields.items() if cell is not None and cell != {}}
    if to_error_stream and is_json():
        tell("info", "report", "", report={name: on_one_line(cell) for name, cell in present.items()})
        return
    width = max(map(len, present), default=0)
    for name, cell in present.items():
        if to_error_stream or not is_terminal():
            click.echo(f"{name}\t{on_one_line(cell)}", err=to_error_stream)
            continue
        from rich.text import Text

        console().print(Text.assemble((f"{name:<{width}}  ", "bold"), drawn(cell)), soft_wrap=True)


def show_title(title: str) -> None:
    """Print a line above what belongs together."""
    if not is_terminal():
        click.echo(f"\n# {title}")
        return
    from rich.text import Text

    console().print(Text(f"\n{title}", "bold underline"))


def show_text(content: str) -> None:
    """Print text of several lines as it is, but for what would steer the terminal."""
    click.echo(printable(content))


def say(text: str) -> None:
    """Tell people something that is not what was asked for."""
    tell("info", "notice", printable(text))


def _json_text(value: object, indent: int | None) -> str:
    given: Any = as_json(value)
    text = readable_text(given, indent)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # a lone surrogate, or a terminal that knows ASCII only
        return readable_text(given, indent, in_ascii=True)
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
