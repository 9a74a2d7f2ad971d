"""Small tables as notebooks show them: HTML in which every value is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

_MOST_ROWS = 20
_MOST_COLUMNS = 12
_LONGEST_CELL = 200
_KEEP_LINES = ' style="text-align: left; white-space: pre-wrap"'


def html_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of the first rows, which says how many it leaves out.

    >>> html_table(["a"], [["<b>"], [None]])[:75]
    '<table><thead><tr><th style="text-align: left; white-space: pre-wrap">a</th'
    """
    head = _row("th", columns)
    body = "".join(_row("td", row) for row in rows[:_MOST_ROWS])
    left = len(rows) - _MOST_ROWS
    more = f"<p>... and {left:,} more</p>" if left > 0 else ""
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{more}"


def html_of_fields(title: str, fields: Iterable[tuple[str, object]]) -> str:
    """Return a table of what something has, a row for each field that has a value."""
    rows = "".join(_row("td", pair) for pair in fields if pair[1] not in (None, "", {}, ()))
    return f"<table><caption>{_text(title)}</caption><tbody>{rows}</tbody></table>"


def _row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{tag}{_KEEP_LINES}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {count}" for name, count in value.items())  # pyright: ignore[reportUnknownVariableType] (any)
    elif isinstance(value, datetime):
        value = f"{value:%Y-%m-%d %H:%M:%S}Z"
    text = "" if value is None else str(value)
    return html.escape(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}...")


class ShownRows(list[dict[str, Any]]):
    """A list of JSON objects, which notebooks show as a table of their fields."""

    def _repr_html_(self) -> str:
        """Return the table, as notebooks show it."""
        names = list(dict.fromkeys(name for row in self[:_MOST_ROWS] for name in row))[:_MOST_COLUMNS]
        return html_table(names, [[row.get(name) for name in names] for row in self])


class ShownRecords(list[Any]):
    """A list of `Record`, which notebooks show as a table."""

    def _repr_html_(self) -> str:
        """Return the table, as notebooks show it."""
        rows = [(one.record_uid, one.status, one.start_time, one.error_message) for one in self]
        return html_table(("record", "status", "start time", "error"), rows)
