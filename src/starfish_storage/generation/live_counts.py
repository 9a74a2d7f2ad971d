"""How far a run is, as its workers know while they are at it."""

from __future__ import annotations

import time

from starfish_storage.interface import Storage

OPEN = frozenset({"pending", "running"})
"""The statuses of inputs that are not done."""

_COUNTING_PAUSE = 50  # times as long as counting took: of many inputs, all workers of a run count for long


class LiveCounts:
    """What is known of a run's inputs and records.

    Args:
        storage: where the run is.
        master_job_id: the run.

    Attributes:
        inputs: how many inputs there are, by status.
        records: how many records there are, by status.
    """

    def __init__(self, storage: Storage, master_job_id: str) -> None:
        self._storage = storage
        self._master_job_id = master_job_id
        self._count_again = 0.0
        self.inputs: dict[str, int] = {}
        self.records: dict[str, int] = {}

    @property
    def done(self) -> int:
        """How many inputs have ended."""
        return sum(number for status, number in self.inputs.items() if status not in OPEN)

    async def refresh(self, *, exactly: bool = False) -> None:
        """Count anew; inputs only if enough time has passed since that was done, or if it is to be exact."""
        began = time.monotonic()
        if exactly or began >= self._count_again:
            self.inputs = await self._storage.ledger.count_inputs(self._master_job_id)
            ended = time.monotonic()
            self._count_again = ended + _COUNTING_PAUSE * (ended - began)
        self.records = await self._storage.count_records_for_master_job(self._master_job_id)
