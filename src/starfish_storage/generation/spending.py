"""The cost of a run so far, as one of its workers knows it, and its limit."""

from __future__ import annotations

import threading
from collections import deque

from starfish_storage.runs import Budget, is_spent

_REMEMBERED = 200  # attempts whose cost says what the next one may cost
_HIGH = 0.9  # of these, so many cost no more than what is expected


class Spending:
    """The cost of a run: what this worker's calls reported, and what was spent earlier and by others.

    Args:
        limit: the most that the run may cost; None for no limit.
        before: the cost of the run when this worker begins.
    """

    def __init__(self, limit: float | None, before: float) -> None:
        self._limit = limit
        self._elsewhere = before
        self._reported = self._handed_in = 0.0
        self._adding = threading.Lock()  # plain functions report what they used from their threads
        self._costs: deque[float] = deque(maxlen=_REMEMBERED)
        self._expected: float | None = None

    @property
    def total(self) -> float:
        """The cost of the run, calls in flight included."""
        return self._elsewhere + self._reported

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and is_spent(self._limit, self.total)

    def report(self, cost: float) -> None:
        """Add the cost of a call. Any thread may call this."""
        with self._adding:
            self._reported += cost

    def hand_in(self, cost: float) -> None:
        """Count the cost of an attempt, just before it is stored.

        Before, so that whatever the stored total has beyond this is the spending of others.
        """
        self._handed_in += cost
        if cost > 0 and self._limit is not None:  # what took its replies from the store says nothing of the next
            self._costs.append(cost)
            self._expected = sorted(self._costs)[int(_HIGH * (len(self._costs) - 1) + 0.5)]

    @property
    def budget(self) -> Budget | None:
        """What the run may cost, for whoever claims inputs; None for no limit."""
        if self._limit is None:
            return None
        return Budget(self._limit, self._expected, max(0.0, self._reported - self._handed_in))

    def compare(self, stored: float) -> None:
        """Take over the stored cost of the run, which counts all workers."""
        self._elsewhere = max(self._elsewhere, stored - self._handed_in)
