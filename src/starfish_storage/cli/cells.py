"""Values as text on one line: times, money, counts, and what people wrote without what would steer a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starfish_storage.wording import money

if TYPE_CHECKING:
    from rich.text import Text


class Money(float):
    """A cost, which is printed as money."""

    __slots__ = ()


Cell = str | int | float | datetime | Mapping[str, int] | None

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
INVISIBLE = r"\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""DEL and C1, line separators, and what turns the direction of text: the characters of a pattern."""
_UNSAFE = re.compile(rf"[\x00-\x08\x0b-\x1f{INVISIBLE}]")


def on_one_line(cell: Cell) -> str:
    r"""Return a cell as text without line ends, tabs, or what would steer a terminal.

    >>> on_one_line("a\tb\n\x1b[2J"), on_one_line({"completed": 3, "failed": 1})
    ('a b \\x1b[2J', '3 completed, 1 failed')
    >>> on_one_line(0.5), on_one_line(Money(2))
    ('0.5', '$2.00')
    """
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(" ", "seconds").replace("+00:00", "Z")
    if isinstance(cell, Money):
        return money(cell)
    if isinstance(cell, float):
        return f"{cell:.6f}".rstrip("0").rstrip(".")
    if isinstance(cell, Mapping):
        return ", ".join(f"{count} {name}" for name, count in cell.items())
    return printable(" ".join(str(cell).split()) if isinstance(cell, str) else str(cell))


def printable(text: str) -> str:
    """Return text, of any number of lines, with what would steer a terminal escaped."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def drawn(cell: Cell, most: int | None = None) -> Text:
    """Return a cell as it is drawn in a terminal: statuses in their colours, longer text cut after a word.

    Args:
        cell: the value.
        most: how many characters are drawn; None for all.
    """
    from rich.text import Text

    line = on_one_line(cell)
    text = Text(line if most is None or len(line) <= most else cut(line, most), overflow="fold")
    if isinstance(cell, str) and cell in STYLES:
        text.stylize(STYLES[cell])
    return text


def cut(line: str, most: int) -> str:
    """Return the beginning of a line, up to the end of a word.

    >>> cut("the model gave no answer", 16), cut("x" * 20, 10)
    ('the model gave …', 'xxxxxxxxx…')
    """
    begin = line[: most - 1]
    words = begin.rpartition(" ")[0]
    return f"{words} …" if words else f"{begin}…"
