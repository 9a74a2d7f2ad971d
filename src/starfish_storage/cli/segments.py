"""How the segments of a run are shown: when somebody went on with it, where, and what had changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.json_form import as_json
from starfish_storage.cli.output import is_terminal, show_list, show_text, show_title
from starfish_storage.cli.tables import Column
from starfish_storage.runs import Segment
from starfish_storage.runs.segment_history import Stretch, changes_of, made_of, newest, stretches

_COLUMNS = (Column("segment"), Column("started", optional=True), Column("where"), Column("what changed", whole=False))
_MOST_SHOWN = 8  # stretches
_MOST_CHANGES = 6  # lines of each


def segments_as_json(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """Return what is printed with ``--json``: each segment, and what changed since the one before it."""
    known = [None, *(one.identity for one in segments)]
    return [as_json(one) | {"changes": changes_of(known[place], one.identity)} for place, one in enumerate(segments)]


def show_segments(segments: Sequence[Segment]) -> None:
    """Print the newest segments of a run; those that follow each other and are alike stand in one line."""
    if not segments:
        return
    show_title("Segments")
    shown, before = newest(stretches(segments), _MOST_SHOWN)
    if before:
        show_text(f"{before:,} earlier: see --json")
    show_list(_COLUMNS, [row for one in shown for row in _rows(one)], lambda row: row)


def _rows(one: Stretch) -> Iterator[Sequence[Cell]]:
    more = len(one.changes) - _MOST_CHANGES
    lines = one.changes if more <= 1 else [*one.changes[:_MOST_CHANGES], f"{more} more: see --json"]
    lines = lines or [made_of(one.identity)]
    started = f"{one.start_time:%Y-%m-%d %H:%M}"
    if not is_terminal():
        yield one.numbers, started, one.where, "; ".join(lines)
        return
    yield one.numbers, started, one.where, lines[0]
    for line in lines[1:]:
        yield "", "", "", line
