"""Rows of what is said of the requests of attempts, and of segments: models to columns and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from starfish_storage.codec import ascii_text, decode
from starfish_storage.identifiers import check_id
from starfish_storage.interface.rows import SegmentRow
from starfish_storage.metadata import values
from starfish_storage.metadata.row import Row
from starfish_storage.runs import MOST_NOTES, CallCounts, CallNote, Segment, StepSource, Usage
from starfish_storage.runs.calls import UNPRICED

MOST_CALLS = 2**31
"""More of anything that is numbered from 1 within an attempt or a run is a mistake."""


def counts_text(counts: CallCounts) -> str:
    """Return how requests were answered as JSON text.

    Raises:
        InvalidInputError: a number is negative or none, or a text cannot be stored.
    """
    notes = [
        [
            values.text("name of a request", note.name),
            values.text("request_key", note.request_key),
            values.text("kind", note.kind),
            values.text("message", note.message),
            values.whole("count", note.count, 1, values.MOST_USED),
        ]
        for note in counts.notes[:MOST_NOTES]
    ]
    numbers = (
        values.whole(name, getattr(counts, name), 0, values.MOST_USED) for name in ("asked", "replayed", "reused")
    )
    unpriced = values.whole("unpriced", counts.unpriced, 0, values.MOST_USED)
    return ascii_text([*numbers, values.cost(counts.saved_cost), unpriced, notes])


def read_counts(text: str) -> CallCounts:
    """Return how requests were answered."""
    *totals, notes = cast("list[Any]", json.loads(text))
    return counted(tuple(totals), notes)


def counted(totals: Row, notes: list[Row]) -> CallCounts:
    """Return how requests were answered, from the numbers and the values of each note."""
    asked, replayed, reused, saved_cost, unpriced = totals
    return CallCounts(asked, replayed, reused, saved_cost, unpriced, tuple(CallNote(*note) for note in notes))


def counts_of(sources: Sequence[StepSource | None], usage: Sequence[Usage]) -> CallCounts:
    """Return how requests were answered, as far as their stored replies tell.

    Args:
        sources: where each reply came from; None if it was paid for.
        usage: what those that were paid for used.
    """
    reused = [one for one in sources if one is not None]
    unpriced = sum(UNPRICED in one.counts for one in usage)
    return CallCounts(len(sources) - len(reused), 0, len(reused), sum(one.cost for one in reused), unpriced)


def source_text(source: StepSource | None) -> str | None:
    """Return where a reply came from as JSON text; None if it was paid for.

    Raises:
        InvalidInputError: a number is out of range.
        InvalidIdError: an id is none.
    """
    if source is None:
        return None
    return ascii_text(
        [
            check_id("master_job_id", source.master_job_id),
            check_id("job_id", source.job_id),
            values.whole("call", source.call, 1, MOST_CALLS),
            values.whole("reply", source.reply, 1, MOST_CALLS),
            values.cost(source.cost),
        ]
    )


def read_source(text: str | None) -> StepSource | None:
    """Return where a reply came from."""
    return None if text is None else StepSource(*cast("list[Any]", json.loads(text)))


def segment(row: Row) -> Segment:
    """Return the segment of a row."""
    master_job_id, number, start, identity = SegmentRow._make(row)
    return Segment(master_job_id, number, datetime.fromisoformat(start), decode(identity.encode()))
