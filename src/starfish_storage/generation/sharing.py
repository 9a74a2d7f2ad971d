"""What a worker learns of the other workers of its run, and its own share of the calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from starfish_storage.generation.gate import Gate
from starfish_storage.generation.lease import ExpiredLeases, Heartbeat, release_dead
from starfish_storage.interface import RunLedger
from starfish_storage.runs import RunState, Worker


class Sharing:
    """Divides the limits of a run among its live workers, each of which works out its own part.

    Args:
        ledger: knows the workers.
        heartbeat: of this worker.
        lease: the length of the run's leases in seconds.
        gate: gets the share of this worker.
        most: calls at a time of the whole run.
        in_hand: returns how many inputs this worker has claimed.
        changed: set when this worker may have something to do.
        note: tells whoever watches that nothing is claimed any more, and that it is again.
        stop: stops this worker, because somebody has asked it alone to, and why.

    Attributes:
        living: how many workers live, this one included.
    """

    def __init__(
        self,
        ledger: RunLedger,
        heartbeat: Heartbeat,
        lease: float,
        gate: Gate,
        most: int,
        in_hand: Callable[[], int],
        changed: asyncio.Event,
        note: Callable[[str], object],
        stop: Callable[[str], object],
    ) -> None:
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._expired = ExpiredLeases(lease)
        self._gate = gate
        self._most = most
        self._in_hand = in_hand
        self._changed = changed
        self._note = note
        self._stop = stop
        self._is_drained = False
        self.living = 1
        self._loop = asyncio.get_running_loop()
        # A newcomer waits for room, but not for a machine that was lost and whose lease has yet to expire.
        self._waits_until = time.monotonic() + lease / 2

    async def look(self, state: RunState) -> None:
        """Give back the inputs of dead workers, take the share of this one, pause when another has, stop when asked to.

        Any thread may call this.

        Args:
            state: where the run stands.
        """
        run_id, worker_id = state.master_job_id, self._heartbeat.worker.worker_id
        seen = await release_dead(self._ledger, run_id, self._expired.is_dead)
        for reason in [one.stop_reason for one in seen.living if one.worker_id == worker_id]:
            if reason is not None:
                self._loop.call_soon_threadsafe(self._stop, reason)
        share, self.living = share_of(self._most, worker_id, seen.living), max(len(seen.living), 1)
        if share is not None:
            room = await self._room(run_id, others=self.living > 1)
            if room >= share:
                self._waits_until = 0.0  # the others have seen this worker, and claim ahead again
            self._loop.call_soon_threadsafe(self._take, min(share, room))
        if state.paused_until is not None and state.paused_until > seen.now:
            self._loop.call_soon_threadsafe(self._gate.hear, state.paused_until, seen.now, state.pause_reason)
        if self._is_drained != (state.drained_since is not None):
            self._loop.call_soon_threadsafe(self._hear_of_drain, not self._is_drained)
        if seen.released:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def _room(self, run_id: str, *, others: bool) -> int:
        """Return for how many calls there is room beside those of the others, which may not have seen this worker."""
        if not others or time.monotonic() >= self._waits_until:
            self._waits_until = 0.0
            return self._most
        running = (await self._ledger.count_inputs(run_id)).get("running", 0)
        return max(0, self._most - (running - self._in_hand()))

    def _hear_of_drain(self, is_drained: bool) -> None:
        self._is_drained = is_drained
        if is_drained:
            self._note("the run is drained: no input is begun until 'starfish-storage drain --end' or a migration")
        else:
            self._note("the drain has ended; the run goes on")
            self._changed.set()

    def _take(self, share: int) -> None:
        if share > self._gate.share:
            self._changed.set()
        self._gate.set_share(share)


def share_of(most: int, worker_id: str, living: Sequence[Worker]) -> int | None:
    """Return the part of a worker in so many calls at a time; None if it is not among the living.

    What cannot be divided evenly goes to those that began first.

    >>> from datetime import datetime
    >>> both = [Worker(one, "run", "", datetime.min, datetime.min) for one in ("a", "b")]
    >>> share_of(5, "a", both), share_of(5, "b", both), share_of(1, "b", both), share_of(5, "c", both)
    (3, 2, 0, None)
    """
    places = {worker.worker_id: place for place, worker in enumerate(living)}
    place = places.get(worker_id)
    if place is None:
        return None
    return most // len(living) + (place < most % len(living))
