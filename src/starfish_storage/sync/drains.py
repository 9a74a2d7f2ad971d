# Made by scripts/make_sync.py from starfish_storage.interface.drains: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.drains`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starfish_storage import portal
from starfish_storage.interface import drains as asynchronous
from starfish_storage.runs.drains import WorkingWorker
from starfish_storage.sync.face import Face


class DrainLedger(Face):
    """What is being drained, before an upgrade say. It is not copied, and a repair does not bring it back."""

    @property
    def _called(self) -> asynchronous.DrainLedger:
        return self._asynchronous

    def begin_drain(self, master_job_id: str | None = None) -> datetime:
        """Have no input claimed any more; return since when that is so. Idempotent. Durable.

        When this returns, no claim is under way. What was claimed before is finished.

        Args:
            master_job_id: the run; None for all runs of the store, those that are made later too.

        Raises:
            NotFoundError: there is no such run.
        """
        return portal.call(self._called.begin_drain(master_job_id))

    def end_drain(self, master_job_id: str | None = None) -> None:
        """Have inputs claimed again. Idempotent. Durable. Raises nothing of its own.

        Args:
            master_job_id: the run; None for every drain of the store and of its runs.
        """
        return portal.call(self._called.end_drain(master_job_id))

    def list_drains(self) -> Mapping[str | None, datetime]:
        """Return what is being drained, and since when: ids of runs, and None for the store.

        Raises nothing of its own.
        """
        return portal.call(self._called.list_drains())

    def list_working(self, master_job_id: str | None = None) -> list[WorkingWorker]:
        """Return the workers that have an input, dead ones too, in the order of their runs. Raises nothing of its own.

        Args:
            master_job_id: only those of this run.
        """
        return portal.call(self._called.list_working(master_job_id))
