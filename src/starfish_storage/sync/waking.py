# Made by scripts/make_sync.py from starfish_storage.interface.waking: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.waking`."""

from __future__ import annotations

from collections.abc import Callable

from starfish_storage import portal
from starfish_storage.interface import waking as asynchronous
from starfish_storage.sync.face import Face


class WakingLedger(Face):
    """Tells workers that have nothing to do when to look for inputs again."""

    @property
    def _called(self) -> asynchronous.WakingLedger:
        return self._asynchronous

    def watch_inputs(self, master_job_id: str, tell: Callable[[], object]) -> None:
        """Call something when an input of a run waits for a worker, or none has one; never return, until cancelled.

        At once if that is so already, and now and then for as long as it stays so; needlessly, too. While nothing tells
        the store of inputs, as while a connection is lost, they are looked for at growing intervals. Changes nothing.
        Idempotent. Not durable. Raises nothing of its own: while the store cannot be read, the caller is told as well,
        and finds out.

        Args:
            master_job_id: the run.
            tell: what is called, in the event loop.
        """
        return portal.call(self._called.watch_inputs(master_job_id, tell))
