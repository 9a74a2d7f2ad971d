"""How many inputs may be under way so that a run costs no more than it may."""

from __future__ import annotations

import math
from dataclasses import dataclass

_NOTHING = 1e-9  # of a budget: what is left of a sum of floats


def is_spent(most: float, cost: float) -> bool:
    """Return whether a run has cost what it may: wherever `Budget.room` has none for what is left of a sum of floats.

    >>> is_spent(3.0, sum([0.01] * 300)), is_spent(3.0, 2.99)
    (True, False)
    """
    return most - cost <= 2 * _NOTHING * most  # twice: workers add up the same costs in other orders


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may cost, and what a worker knows of the costs of its inputs.

    Each input that is under way, of whatever worker, reserves what an input is expected to cost. Its end, or that of
    its worker's lease, ends the reservation, because only the inputs that are ``running`` count.

    Attributes:
        most: the cost at which the run stops.
        expected: what an attempt may cost, a high one of those that this worker has seen; None if it has seen none.
        under_way: what the calls that this worker has under way have cost so far.
    """

    most: float
    expected: float | None = None
    under_way: float = 0.0

    def room(self, cost: float, attempts: int, running: int, own: int) -> int:
        """Return how many inputs more a worker may claim.

        While nothing is known of the costs, each worker has one input under way for each attempt of the run that has
        ended, and at least one.

        Args:
            cost: what the run has cost so far.
            attempts: how many attempts it has made.
            running: inputs under way, of all workers.
            own: those of this worker.

        >>> Budget(10).room(0, 0, 0, 0), Budget(10).room(0, 0, 7, 1), Budget(10, 0.5).room(8, 16, 2, 1)
        (1, 0, 2)
        """
        expected = max(self.expected or 0.0, cost / attempts if attempts else 0.0)
        others = (running - own) * expected
        left = self.most - cost - max(own * expected, self.under_way) - others
        if left <= _NOTHING * self.most:
            return 0
        if not expected:
            return max(0, max(1, attempts) - own)
        return math.ceil(left / expected - _NOTHING)
