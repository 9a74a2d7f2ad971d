"""The contract of waking idle workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


class WakingLedger(ABC):
    """Tells workers that have nothing to do when to look for inputs again."""

    @abstractmethod
    async def watch_inputs(self, master_job_id: str, tell: Callable[[], object]) -> None:
        """Call something when an input of a run waits for a worker, or none has one; never return, until cancelled.

        At once if that is so already, and now and then for as long as it stays so; needlessly, too. While nothing tells
        the store of inputs, as while a connection is lost, they are looked for at growing intervals. Changes nothing.
        Idempotent. Not durable. Raises nothing of its own: while the store cannot be read, the caller is told as well,
        and finds out.

        Args:
            master_job_id: the run.
            tell: what is called, in the event loop.
        """
