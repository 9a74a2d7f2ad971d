"""Stores the inputs of a run that are not stored yet, ahead of the work on them."""

from __future__ import annotations

import asyncio
from functools import partial

from starfish_storage.generation.inputs import Feed
from starfish_storage.generation.stopping import StoppedError, Stopping
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import RunLedger
from starfish_storage.runs import RunState

_LOOK_SECONDS = 0.5  # between two looks at how far the work has come
_MOST_AHEAD = 10_000  # inputs that are stored at a time, if the source may have no end
_ENOUGH_AHEAD = 5_000  # of them still pending: above this, no more are stored


class Intake:
    """Takes the inputs of a run from their source into the store.

    Args:
        ledger: stores them.
        state: where the run stands.
        feed: the inputs that are not stored yet; None if all are.
        stopping: whether the worker should stop.
        changed: set after each batch, and at the end.
        waiting: makes calls again that the store did not take.

    Attributes:
        is_over: whether nothing more comes: all inputs are stored, or reading them has failed.
    """

    def __init__(
        self,
        ledger: RunLedger,
        state: RunState,
        feed: Feed | None,
        stopping: Stopping,
        changed: asyncio.Event,
        waiting: StoreWait,
    ) -> None:
        self.is_over = feed is None
        self._ledger = ledger
        self._state = state
        self._feed = feed
        self._stopping = stopping
        self._changed = changed
        self._waiting = waiting

    @property
    def is_needed(self) -> bool:
        """Whether there is a source to read."""
        return self._feed is not None

    @property
    def is_endless(self) -> bool:
        """Whether the source may have no end."""
        return self._feed is not None and self._feed.is_endless

    @property
    def comes_first(self) -> bool:
        """Whether no input may be begun before all are stored."""
        return self._feed is not None and self._feed.comes_first

    @property
    def told(self) -> int | None:
        """How many inputs there are, if the source knows."""
        return None if self._feed is None else self._feed.length

    async def close(self) -> None:
        """Read no more. Idempotent."""
        if self._feed is not None:
            await self._feed.close()

    async def store_all(self) -> None:
        """Store the inputs, ahead of the work; at their end, store that the run has them all."""
        if self._feed is None:
            return
        stored, run_id, is_complete = 0, self._state.master_job_id, self._state.inputs_complete
        try:
            async for batch in self._feed:
                if is_complete:
                    await self._waiting.insist(partial(self._ledger.reopen_inputs, run_id))
                    is_complete = False
                await self._waiting.insist(partial(self._ledger.register_inputs, run_id, batch))
                self._changed.set()
                stored += len(batch)
                if self.is_endless and stored >= _MOST_AHEAD:
                    stored = 0
                    await self._make_room()
            if not is_complete:
                await self._waiting.insist(partial(self._ledger.complete_inputs, run_id))
        except StoppedError:
            pass  # the worker stops while the store takes nothing
        finally:
            self.is_over = True
            self._changed.set()

    async def _make_room(self) -> None:
        """Wait while many inputs are still pending."""
        while not self._stopping.is_wanted:
            counts = await self._waiting.insist(partial(self._ledger.count_inputs, self._state.master_job_id))
            if counts.get("pending", 0) < _ENOUGH_AHEAD:
                return
            await asyncio.sleep(_LOOK_SECONDS)
