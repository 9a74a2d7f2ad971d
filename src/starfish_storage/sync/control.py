# Made by scripts/make_sync.py from starfish_storage.interface.control: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.control`."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage import portal
from starfish_storage.interface import control as asynchronous
from starfish_storage.runs.drains import WorkingWorker
from starfish_storage.runs.inputs import Worker
from starfish_storage.sync.face import Face


class ControlLedger(Face):
    """Stops single workers, and says how much of a shared limit a run gets."""

    @property
    def _called(self) -> asynchronous.ControlLedger:
        return self._asynchronous

    def list_all_workers(self) -> Sequence[WorkingWorker]:
        """Return the noted workers of all runs, also those without inputs or whose lease has expired, by run.

        Raises nothing of its own.
        """
        return portal.call(self._called.list_all_workers())

    def stop_worker(self, worker_id: str, reason: str) -> Worker:
        """Ask a worker to stop when it has finished what it has under way; return it. Idempotent. Durable.

        It sees that within about a second. The first reason stays. Who asked is noted among the actions.

        Raises:
            NotFoundError: no such worker is noted: it has ended, or there never was one.
        """
        return portal.call(self._called.stop_worker(worker_id, reason))

    def set_priority(self, master_job_id: str, priority: int) -> int:
        """Set the weight of a run's share in limits that runs share; return what it was. Idempotent. Durable.

        Who changed it is noted among the actions. It holds from the next calls on.

        Raises:
            NotFoundError: there is no such run.
            InvalidInputError: the priority is not an integer from 1 to 1000.
        """
        return portal.call(self._called.set_priority(master_job_id, priority))
