"""What a run has cost so far, as one of its workers knows it, against what it may cost."""

from __future__ import annotations

import threading


class Spending:
    """The costs of a run: what this worker's calls have reported, and what was spent before and by others.

    Args:
        limit: what the run may cost; None for no limit.
        before: what it has cost when this worker begins.
    """

    def __init__(self, limit: float | None, before: float) -> None:
        self._limit = limit
        self._elsewhere = before
        self._reported = self._handed_in = 0.0
        self._adding = threading.Lock()  # plain functions report what they used from their threads

    @property
    def total(self) -> float:
        """What the run has cost, calls in flight included."""
        return self._elsewhere + self._reported

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self.total >= self._limit

    def report(self, cost: float) -> None:
        """Add what a call has cost. May be called in any thread."""
        with self._adding:
            self._reported += cost

    def hand_in(self, cost: float) -> None:
        """Note what an attempt has cost that is about to be stored.

        Before it is stored: what the total of the run has, and this worker knows nothing of, was spent by others.
        """
        self._handed_in += cost

    def compare(self, stored: float) -> None:
        """Take in what the run has cost as it is stored, by all workers."""
        self._elsewhere = max(self._elsewhere, stored - self._handed_in)
