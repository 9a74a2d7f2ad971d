# Made by scripts/make_sync.py from starfish_storage.interface.limits: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.limits`."""

from __future__ import annotations

from datetime import datetime

from starfish_storage import portal
from starfish_storage.interface import limits as asynchronous
from starfish_storage.runs.limits import CallLimit, Grant, SlotAsk
from starfish_storage.sync.face import Face


class LimitLedger(Face):
    """Limits of calls and tokens. They belong to the store: no copy has them, and a repair does not bring them back."""

    @property
    def _called(self) -> asynchronous.LimitLedger:
        return self._asynchronous

    def set_limit(
        self, name: str, *, rpm: float | None = None, tpm: float | None = None, master_job_id: str | None = None
    ) -> CallLimit:
        """Set how many calls and tokens a minute a limit lets through, for all who share it. Idempotent. Durable.

        What was set last holds. How far the limit is used stays, unless it changes.

        Args:
            name: its name.
            rpm: calls a minute; None for no limit of calls.
            tpm: tokens a minute; None for no limit of tokens.
            master_job_id: the run whose own it is, and with which it is deleted; None: runs share it.

        Raises:
            InvalidIdError: the name of a limit that runs share cannot be an id.
            InvalidInputError: neither is given, or one is not a finite number of 1 or more.
            ParentNotFoundError: there is no such run.
        """
        return portal.call(self._called.set_limit(name, rpm=rpm, tpm=tpm, master_job_id=master_job_id))

    def get_limit(self, name: str) -> CallLimit | None:
        """Return a limit, or None if there is none of that name. Raises nothing of its own."""
        return portal.call(self._called.get_limit(name))

    def list_limits(self) -> list[CallLimit]:
        """Return the limits that runs share, by name; not those of one run. Raises nothing of its own."""
        return portal.call(self._called.list_limits())

    def delete_limit(self, name: str) -> None:
        """Delete a limit. Idempotent. Durable.

        Runs that share it wait for nothing more, and refuse to begin anew without rates.

        Raises nothing of its own.
        """
        return portal.call(self._called.delete_limit(name))

    def take_slots(self, name: str, master_job_id: str, ask: SlotAsk) -> Grant:
        """Say when the next calls of a run may begin, and count them. Not idempotent. Durable.

        By the clock that all who use the store share.

        Args:
            name: the limit; one that was deleted lets everything through.
            master_job_id: the run.
            ask: for how many calls, and what earlier ones have used beyond what was expected of them.

        Raises nothing of its own.
        """
        return portal.call(self._called.take_slots(name, master_job_id, ask))

    def slow_down(self, name: str, master_job_id: str, seconds: float, reason: str) -> datetime | None:
        """Note that a provider has refused a call: nothing that shares the limit begins for so long, and less after.

        Returns until when; None if there is no such limit. Not idempotent. Durable.

        Args:
            name: the limit.
            master_job_id: the run whose call was refused.
            seconds: how long nothing begins.
            reason: why, for people.

        Raises:
            InvalidInputError: ``seconds`` is not a finite number of 0 or more, or longer than a year.
        """
        return portal.call(self._called.slow_down(name, master_job_id, seconds, reason))
