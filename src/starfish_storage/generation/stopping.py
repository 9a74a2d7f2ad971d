"""How a worker stops: it starts no new call, lets those in flight end, and cancels them when their time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")


class StoppedError(BaseException):
    """The run stopped while an input waited for an attempt. This never reaches a caller.

    No `Exception`: those are outcomes of attempts.
    """


class Stopping:
    """Whether a worker should stop, and how soon.

    Args:
        master_job_id: the run, for the log.
        on_stop: called once, when the worker should stop.

    Attributes:
        reason: why the worker stops; None while it should not.
        was_asked: whether somebody has asked this worker alone to stop.
    """

    def __init__(self, master_job_id: str, on_stop: Callable[[], None]) -> None:
        self.reason: str | None = None
        self.was_asked = False
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

    @property
    def is_hurried(self) -> bool:
        """Whether calls in flight must end within their grace."""
        return self._hurrying.is_set()

    async def wanted(self) -> None:
        """Return when no new call may start."""
        await self._wanted.wait()

    async def hurried(self) -> None:
        """Return when calls in flight must end within their grace."""
        await self._hurrying.wait()

    def stop(self, reason: str, *, patient: bool = False) -> None:
        """Start no new call. Idempotent: the first reason stays.

        Args:
            reason: why the worker stops.
            patient: let calls in flight take as long as they need; otherwise they must end within their grace.
        """
        if self.reason is None:
            self.reason = reason
            who = "this worker of run" if self.was_asked else "run"
            logger.info("%s %s stops: %s", who, self._master_job_id, reason)
            self._wanted.set()
            self._on_stop()
        if not patient:
            self._hurrying.set()

    def stop_alone(self, reason: str) -> None:
        """Stop because somebody has asked this worker to, not its run: calls in flight take as long as they need."""
        self.was_asked = True
        self.stop(reason, patient=True)

    def force(self) -> None:
        """Cancel the calls in flight."""
        self.stop("interrupted")
        self._forced.set()

    async def pause(self, seconds: float) -> None:
        """Wait before an attempt at an input.

        Raises:
            StoppedError: the worker should stop.
        """
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError

    async def unless(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Await work that may take long, unless the worker should stop.

        Raises:
            StoppedError: the worker should stop; the work is cancelled.
        """
        working, wanted = asyncio.ensure_future(work), asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait({working, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise StoppedError
            return working.result()
        finally:
            working.cancel()
            wanted.cancel()

    async def out_of_time(self, grace: float) -> None:
        """Return when it is time to cancel the calls in flight: on `force`, or when the grace (in seconds) is over."""
        await self._hurrying.wait()
        try:
            await asyncio.wait_for(self._forced.wait(), grace)
        except TimeoutError:
            logger.warning("cancelling the calls that are still in flight after %g s of grace", grace)
