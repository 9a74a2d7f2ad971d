"""The contract of what people ask of workers and runs while they are at work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from starfish_storage.runs.drains import WorkingWorker
from starfish_storage.runs.inputs import Worker


class ControlLedger(ABC):
    """Stops single workers, and says how much of a shared limit a run gets."""

    @abstractmethod
    async def list_all_workers(self) -> Sequence[WorkingWorker]:
        """Return the noted workers of all runs, also those without inputs or whose lease has expired, by run.

        Raises nothing of its own.
        """

    @abstractmethod
    async def stop_worker(self, worker_id: str, reason: str) -> Worker:
        """Ask a worker to stop when it has finished what it has under way; return it. Idempotent. Durable.

        It sees that within about a second. The first reason stays. Who asked is noted among the actions.

        Raises:
            NotFoundError: no such worker is noted: it has ended, or there never was one.
        """

    @abstractmethod
    async def set_priority(self, master_job_id: str, priority: int) -> int:
        """Set the weight of a run's share in limits that runs share; return what it was. Idempotent. Durable.

        Who changed it is noted among the actions. It holds from the next calls on.

        Raises:
            NotFoundError: there is no such run.
            InvalidInputError: the priority is not an integer from 1 to 1000.
        """
