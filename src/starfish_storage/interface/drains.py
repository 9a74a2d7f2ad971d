"""The contract of drains: for a while, no input of a store or of a run is claimed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime

from starfish_storage.runs.drains import WorkingWorker


class DrainLedger(ABC):
    """What is being drained, before an upgrade say. It is not copied, and a repair does not bring it back."""

    @abstractmethod
    async def begin_drain(self, master_job_id: str | None = None) -> datetime:
        """Have no input claimed any more; return since when that is so. Idempotent. Durable.

        When this returns, no claim is under way. What was claimed before is finished.

        Args:
            master_job_id: the run; None for all runs of the store, those that are made later too.

        Raises:
            NotFoundError: there is no such run.
        """

    @abstractmethod
    async def end_drain(self, master_job_id: str | None = None) -> None:
        """Have inputs claimed again. Idempotent. Durable. Raises nothing of its own.

        Args:
            master_job_id: the run; None for every drain of the store and of its runs.
        """

    @abstractmethod
    async def list_drains(self) -> Mapping[str | None, datetime]:
        """Return what is being drained, and since when: ids of runs, and None for the store.

        Raises nothing of its own.
        """

    @abstractmethod
    async def list_working(self, master_job_id: str | None = None) -> list[WorkingWorker]:
        """Return the workers that have an input, dead ones too, in the order of their runs. Raises nothing of its own.

        Args:
            master_job_id: only those of this run.
        """
