# Made by scripts/make_sync.py from starfish_storage.interface.verifications: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.verifications`."""

from __future__ import annotations

from starfish_storage import portal
from starfish_storage.interface import verifications as asynchronous
from starfish_storage.runs.verifications import Verification
from starfish_storage.sync.face import Face


class VerificationLedger(Face):
    """What the last check of the store found; it is not copied, and a repair does not bring it back."""

    @property
    def _called(self) -> asynchronous.VerificationLedger:
        return self._asynchronous

    def save_verification(self, verification: Verification) -> None:
        """Store what a check found, in place of what one before it found. Idempotent. Durable.

        Raises:
            InvalidInputError: a field cannot be used.
        """
        return portal.call(self._called.save_verification(verification))

    def last_verification(self) -> Verification | None:
        """Return what the last check found; None if none is known. Raises nothing of its own."""
        return portal.call(self._called.last_verification())
