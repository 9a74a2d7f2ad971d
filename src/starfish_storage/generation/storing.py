"""Where everything that a worker has paid for goes to the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.spending import Spending
from starfish_storage.interface import RunLedger
from starfish_storage.runs import Attempt, Finished, Outcome, Step, Usage

_MOST_REFUSALS = 2  # of data that is no JSON, and of something else


class Outbox:
    """Hands what a worker has paid for to the ledger: outcomes, other attempts, replies of steps, late usage.

    Nothing else of a worker stores any of these.

    Args:
        ledger: stores them.
        spending: counts what each has cost, before it is stored.
    """

    def __init__(self, ledger: RunLedger, spending: Spending) -> None:
        self._ledger = ledger
        self._spending = spending

    async def finish(
        self, outcome: Outcome, refused: Callable[[Outcome, Exception], Outcome], *, claim_next: bool
    ) -> Finished:
        """Store the outcome of an input.

        Args:
            outcome: the outcome.
            refused: returns the outcome to store instead of one that the store refuses, for example because an output
                is not JSON.
            claim_next: claim the next input in the same step.

        Raises:
            StorageError: as `RunLedger.finish_input`.
        """
        self._spending.hand_in(outcome.attempt.cost)
        for _ in range(_MOST_REFUSALS):
            try:
                return await self._ledger.finish_input(outcome, claim_next=claim_next)
            except InvalidInputError as error:
                outcome = refused(outcome, error)
        return await self._ledger.finish_input(outcome, claim_next=claim_next)

    async def save_failed(self, attempt: Attempt) -> None:
        """Store a failed attempt after which the input is tried again.

        Raises:
            StorageError: as `RunLedger.save_attempt`.
        """
        self._spending.hand_in(attempt.cost)
        await self._ledger.save_attempt(attempt)

    async def save_step(self, step: Step) -> int:
        """Store a reply of a paid step, and return which reply to its call it is.

        Raises:
            StorageError: as `RunLedger.save_step`.
        """
        return await self._ledger.save_step(step)

    async def add_usage(self, job_id: str, number: int, usage: Sequence[Usage]) -> None:
        """Add to a stored attempt what it used while it went on, as a thread that nobody could stop.

        Raises:
            StorageError: as `RunLedger.add_usage`.
        """
        self._spending.hand_in(sum(one.cost for one in usage))
        await self._ledger.add_usage(job_id, number, usage)

    async def release(self, attempt: Attempt) -> None:
        """Store an attempt that was stopped, and give its input back.

        Raises:
            StorageError: as `RunLedger.release_input`.
        """
        self._spending.hand_in(attempt.cost)
        await self._ledger.release_input(attempt)
