"""How the requests of a run or an attempt were answered, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from starfish_storage.runs import CallCounts, CallNote
from starfish_storage.wording import money


def calls_text(calls: CallCounts | None) -> str | None:
    """Return how requests were answered, for people; None if there were none."""
    if calls is None or not (calls.asked or calls.replayed or calls.reused):
        return None
    text = f"asked {calls.asked:,}, replayed {calls.replayed:,}, reused {calls.reused:,}"
    if calls.saved_cost:
        text += f" (saved {money(calls.saved_cost)})"
    return text + (f"; {calls.unpriced:,} without a known price" if calls.unpriced else "")


def notes_text(notes: Sequence[CallNote], most: int) -> str | None:
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
