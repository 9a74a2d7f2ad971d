"""The contract of what is kept of checks of a store."""

from __future__ import annotations

from abc import ABC, abstractmethod

from starfish_storage.runs.verifications import Verification


class VerificationLedger(ABC):
    """What the last check of the store found; it is not copied, and a repair does not bring it back."""

    @abstractmethod
    async def save_verification(self, verification: Verification) -> None:
        """Store what a check found, in place of what one before it found. Idempotent. Durable.

        Raises:
            InvalidInputError: a field cannot be used.
        """

    @abstractmethod
    async def last_verification(self) -> Verification | None:
        """Return what the last check found; None if none is known. Raises nothing of its own."""
