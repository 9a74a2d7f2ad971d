"""How the requests of a run or an attempt were answered, for people."""

from __future__ import annotations

from starfish_storage.runs import CallCounts
from starfish_storage.wording import money


def calls_text(calls: CallCounts | None) -> str | None:
    """Return how requests were answered, for people; None if there were none."""
    if calls is None or not (calls.asked or calls.replayed or calls.reused):
        return None
    text = f"asked {calls.asked:,}, replayed {calls.replayed:,}, reused {calls.reused:,}"
    if calls.saved_cost:
        text += f" (saved {money(calls.saved_cost)})"
    return text + (f"; {calls.unpriced:,} without a known price" if calls.unpriced else "")
