"""What became of the requests of an attempt that models were asked through a recording client. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

UNPRICED = "unpriced_calls"
"""The count in the usage of an answer whose price is not known."""

MOST_NOTES = 20
"""The most notes of one attempt; the store keeps the first ones."""


@dataclass(frozen=True, slots=True)
class CallNote:
    """Requests whose answers were not kept, and why.

    Attributes:
        name: method, host and path, as the name of the step would be.
        request_key: identity of the request; of the first one, where several are counted together.
        kind: what came of it, in a stable word or two, such as ``"429"``, ``"truncated"`` or ``"too large"``.
        message: the reason for people.
        count: how many.
    """

    name: str
    request_key: str
    kind: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class CallCounts:
    """How the requests of an attempt were answered, or those of all attempts of a run.

    Attributes:
        asked: by the provider, of whose answer something came; what did not come whole is in the notes too.
        replayed: from a reply that the input itself had stored.
        reused: from a reply that another input or run had stored.
        saved_cost: what the reused replies had cost, where that is known.
        unpriced: how many of those that were asked have no known price; their cost counts as 0.
        notes: of answers that were not kept; at most `MOST_NOTES`.
    """

    asked: int = 0
    replayed: int = 0
    reused: int = 0
    saved_cost: float = 0.0
    unpriced: int = 0
    notes: tuple[CallNote, ...] = ()


@dataclass(frozen=True, slots=True)
class StepSource:
    """Where a reply was stored before it was reused.

    Attributes:
        master_job_id: the run.
        job_id: the execution job of the input.
        call: number of the request among equal ones of the attempt.
        reply: number of the reply to it.
        cost: what it had cost there.
    """

    master_job_id: str
    job_id: str
    call: int
    reply: int
    cost: float = 0.0


def notes_text(notes: Sequence[CallNote], most: int = 3) -> str | None:
    """Return what came of requests whose answers were not kept, for people, the most frequent first; None if nothing.

    Messages are left out, so what differs in them only is counted together.

    Args:
        notes: of the run.
        most: how many kinds to tell of.
    """
    counts = Counter[str]()
    for note in notes:
        counts[f"{note.kind}: {note.name}"] += note.count
    return "; ".join(f"{count:,} x {text}" for text, count in counts.most_common(most)) or None
