"""The results as Markdown, and their place in a file that people have written around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.tables import Table

BEGIN = "<!-- results -->"
END = "<!-- /results -->"


class NoPlaceError(Exception):
    """The file has text, but no markers to say where the results go."""


def results_markdown(command: str, facts: Mapping[str, str], tables: Sequence[Table], minutes: float) -> str:
    """Return everything that stands between the markers."""
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{command}` in {minutes:.0f} minutes.",
        "A cell gives the median of the rounds with the smallest and the largest; ratios are taken round by round.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
    ]
    return "\n".join([*lines, *(table.markdown() for table in tables)])


def check_place(path: Path) -> None:
    """Make sure before a long run that the results can be put into a file.

    Raises:
        NoPlaceError: the file has no markers.
    """
    if path.exists():
        _parts(path)


def put_into(path: Path, markdown: str) -> None:
    """Put results between the markers of a file, or make the file."""
    before, after = _parts(path) if path.exists() else ("# Results\n\n", "\n")
    path.write_text(f"{before}{BEGIN}\n{markdown}{END}{after}", "utf-8")


def _parts(path: Path) -> tuple[str, str]:
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlaceError(f"{path.name} has no {BEGIN} ... {END} to put the results between")
    return before, after
