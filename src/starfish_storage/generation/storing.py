"""Where everything that a worker has paid for goes to the store."""

from __future__ import annotations

from collections.abc import Callable

from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.spending import Spending
from starfish_storage.interface import RunLedger
from starfish_storage.runs import Attempt, Finished, Outcome


class Outbox:
    """Hands each attempt of a worker to the ledger: outcomes, failed attempts, and those that were stopped.

    Nothing else of a worker stores an attempt.

    Args:
        ledger: stores them.
        spending: counts what each has cost, before it is stored.
    """

    def __init__(self, ledger: RunLedger, spending: Spending) -> None:
        self._ledger = ledger
        self._spending = spending

    async def finish(self, outcome: Outcome, failed: Callable[[Exception], Outcome], *, claim_next: bool) -> Finished:
        """Store the outcome of an input.

        Args:
            outcome: the outcome.
            failed: returns the outcome to store instead if this one cannot be stored, for example because an output is
                not JSON.
            claim_next: claim the next input in the same step.

        Raises:
            StorageError: as `RunLedger.finish_input`.
        """
        self._spending.hand_in(outcome.attempt.cost)
        try:
            return await self._ledger.finish_input(outcome, claim_next=claim_next)
        except InvalidInputError as error:
            return await self._ledger.finish_input(failed(error), claim_next=claim_next)

    async def save_failed(self, attempt: Attempt) -> None:
        """Store a failed attempt after which the input is tried again.

        Raises:
            StorageError: as `RunLedger.save_attempt`.
        """
        self._spending.hand_in(attempt.cost)
        await self._ledger.save_attempt(attempt)

    async def release(self, attempt: Attempt) -> None:
        """Store an attempt that was stopped, and give its input back.

        Raises:
            StorageError: as `RunLedger.release_input`.
        """
        self._spending.hand_in(attempt.cost)
        await self._ledger.release_input(attempt)
