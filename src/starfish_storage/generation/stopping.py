"""How a worker stops: it starts no new call, lets those in flight end, and cancels them when their time is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The run stopped while an input waited for its next attempt. This never reaches a caller."""


class Stopping:
    """Whether a worker should stop, and how soon.

    Args:
        master_job_id: the run, for the log.
        on_stop: called once, when the worker should stop.

    Attributes:
        reason: why the worker stops; None while it should not.
        paused: how many inputs wait for their next attempt.
    """

    def __init__(self, master_job_id: str, on_stop: Callable[[], None]) -> None:
        self.reason: str | None = None
        self.paused = 0
        self._master_job_id = master_job_id
        self._on_stop = on_stop
        self._wanted = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._forced = asyncio.Event()

    @property
    def is_wanted(self) -> bool:
        """Whether no new call may start."""
        return self._wanted.is_set()

    @property
    def is_forced(self) -> bool:
        """Whether nothing is to be waited for."""
        return self._forced.is_set()

    def stop(self, reason: str, *, patient: bool = False) -> None:
        """Start no new call. Idempotent: the first reason stays.

        Args:
            reason: why the worker stops.
            patient: let calls in flight take as long as they need; otherwise they must end within their grace.
        """
        if self.reason is None:
            self.reason = reason
            logger.info("run %s stops: %s", self._master_job_id, reason)
            self._wanted.set()
            self._on_stop()
        if not patient:
            self._hurrying.set()

    def force(self) -> None:
        """Cancel the calls in flight."""
        self.stop("interrupted")
        self._forced.set()

    async def pause(self, seconds: float) -> None:
        """Wait before the next attempt at an input.

        Raises:
            StoppedError: the worker should stop.
        """
        self.paused += 1
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self.paused -= 1
        raise StoppedError

    async def out_of_time(self, grace: float) -> None:
        """Return when it is time to cancel the calls in flight: on `force`, or when the grace (in seconds) is over."""
        await self._hurrying.wait()
        try:
            await asyncio.wait_for(self._forced.wait(), grace)
        except TimeoutError:
            logger.warning("cancelling the calls that are still in flight after %g s of grace", grace)
