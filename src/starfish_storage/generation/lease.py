"""The process of a worker, and the heartbeat that renews its lease.

The clock of the ledger, which all machines share, dates and judges leases: a machine's own clock may be hours off.

The heartbeat has a thread and an event loop of its own: a function that blocks its event loop must not cost the worker
its lease, and with it the inputs that it is paying for.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from starfish_storage.errors import StorageError
from starfish_storage.files.processes import boot_and_namespace, exists, start_of
from starfish_storage.interface import RunLedger
from starfish_storage.runs import Worker, this_actor
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

_RENEWALS = 4  # in one lease: three may fail
_BEAT_SECONDS = 1.0
_LAST_SECONDS = 2.0  # for a beat that is under way at the end
_SECOND_LOOK_SECONDS = 5.0
"""How long an expired lease must stay unrenewed: a heartbeat, and the pause before connecting again."""

_active: set[str] = set()
"""The workers of this process."""


def new_worker(master_job_id: str, segment: int | None = None) -> Worker:
    """Return a worker of this process, whose attempts are made in a segment; registering it sets its times."""
    now = utc_now()
    return Worker(uuid.uuid4().hex, master_job_id, process_identity(), now, now, segment, this_actor())


def process_identity() -> str:
    """Return an identity that no other process has: ``boot/namespace/pid/start`` on Linux."""
    return f"{_machine(os.getpid())}/{os.getpid()}/{start_of(os.getpid()) or '?'}"


def is_dead(worker: Worker, now: datetime) -> bool:
    """Return whether a worker is dead: its lease has expired, or its process ran on this machine and is gone.

    The second lets a run that was killed resume at once, before any lease expires.

    Args:
        worker: the worker.
        now: the time by the clock of the ledger.
    """
    return worker.lease_expires <= now or is_gone(worker)


def is_gone(worker: Worker) -> bool:
    """Return whether a worker's process is known to be gone. For one of another machine or container, False."""
    machine, _, rest = worker.process.rpartition("/")[0].rpartition("/")
    start = worker.process.rpartition("/")[2]
    if machine != _machine(os.getpid()) or not rest.isdigit():
        return False
    if int(rest) == os.getpid() and start == (start_of(os.getpid()) or "?"):
        return worker.worker_id not in _active
    found = start_of(int(rest))
    if found is None:
        # A machine may hide the processes of other users (/proc mounted with hidepid), and some have no /proc.
        return not exists(int(rest))
    return found != start


@cache
def _machine(pid: int) -> str:
    """Return the identity of this boot of this machine, and of the namespace of its process ids.

    Where that is not certain, return one for this process alone, so that only leases count: two machines with one
    identity would take each other's living workers for dead.

    Args:
        pid: of this process, which a fork may have put into another namespace than its parent's.
    """
    if sys.platform != "linux":
        return f"{socket.gethostname()}-{uuid.getnode():012x}/0"
    if found := boot_and_namespace(pid):
        return found
    # Not the network's hardware address: the first containers of any two machines have the same.
    return f"unknown-{uuid.uuid4().hex}/0"


class Heartbeat:
    """Renews a worker's lease and calls a function every second, in a thread of its own.

    Args:
        ledger: stores the lease.
        worker: holds the lease.
        lease: its length in seconds.
        beat: called every second; its errors are logged.
    """

    def __init__(self, ledger: RunLedger, worker: Worker, lease: float, beat: Callable[[], Awaitable[None]]) -> None:
        self.worker = worker
        self._ledger = ledger
        self._lease = lease
        self._beat = beat
        self._renewed = (time.monotonic(), time.time())
        self._caller: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: dict[str, str] = {}
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Register the worker and start the heartbeat."""
        self._caller = asyncio.get_running_loop()
        _active.add(self.worker.worker_id)
        loop = asyncio.new_event_loop()
        try:
            await self.renew()
            thread = threading.Thread(
                # What it logs is about the run and the worker that it is about here.
                target=contextvars.copy_context().run,
                args=(self._run, loop),
                name="starfish-storage-heartbeat",
                daemon=True,
            )
            thread.start()
        except BaseException:
            _active.discard(self.worker.worker_id)
            loop.close()
            raise
        self._loop = loop

    async def renew(self) -> None:
        """Renew the lease from now on; register the worker again if it was taken for dead."""
        asked = time.monotonic(), time.time()
        self.worker = await self._ledger.save_worker(self.worker, self._lease)
        self._renewed = asked

    async def stop(self) -> None:
        """Renew no more. The worker stays registered, and counts as alive until `forget`. Idempotent."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._stopped.set)
        except RuntimeError:
            pass  # it has ended before
        # Not by joining in a thread of asyncio's: the function's own calls may block all of them.
        await self._ended.wait()
        self._loop = None

    def forget(self) -> None:
        """Count the worker as gone: the ledger no longer has it. Idempotent."""
        _active.discard(self.worker.worker_id)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._until_stopped())
        finally:
            loop.close()
            try:
                cast("asyncio.AbstractEventLoop", self._caller).call_soon_threadsafe(self._ended.set)
            except RuntimeError:
                pass  # the caller's loop is closed: nobody waits any more

    async def _until_stopped(self) -> None:
        # Beside each other: a beat may wait for a group, which may wait for another worker's.
        await asyncio.gather(self._repeat("renewals", self._renew_if_due), self._repeat("heartbeats", self._beat))

    async def _repeat(self, what: str, step: Callable[[], Awaitable[object]]) -> None:
        pause = min(_BEAT_SECONDS, self._lease / _RENEWALS)
        while True:
            try:
                await asyncio.wait_for(self._stopped.wait(), pause)
            except TimeoutError:
                await self._unless_stopped(self._once(what, step))
            else:
                return

    async def _unless_stopped(self, once: Coroutine[Any, Any, None]) -> None:
        """Finish a beat, but let it take no more than a moment when there are to be no more: the store may hang."""
        beat, stopped = asyncio.ensure_future(once), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({beat, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({beat}, timeout=_LAST_SECONDS)
        finally:
            beat.cancel()
            stopped.cancel()
            await asyncio.gather(beat, stopped, return_exceptions=True)

    async def _once(self, what: str, step: Callable[[], Awaitable[object]]) -> None:
        try:
            await step()
        except StorageError as error:
            self._tell(what, error.code)  # the work meets the same error, and waits or raises it to the caller
        except Exception as error:  # noqa: BLE001 (the lease must be renewed next time all the same)
            self._tell(what, type(error).__name__)
        else:
            self._told.pop(what, None)

    def _tell(self, what: str, failure: str) -> None:
        """Log a failure, once in a row: a store may be away for an hour."""
        if failure != self._told.get(what):
            logger.warning("%s of worker %s fail: %s", what, self.worker.worker_id, failure)
            self._told[what] = failure

    async def _renew_if_due(self) -> None:
        if self._is_due():
            await self.renew()

    def _is_due(self) -> bool:
        """Return whether to renew the lease, by either clock of this process: one of them sleeps when the machine does.

        Only the time that has passed counts, not how far off the clocks are; setting a clock costs one renewal.
        """
        clocks = zip((time.monotonic(), time.time()), self._renewed, strict=True)
        return any(abs(now - then) >= self._lease / _RENEWALS for now, then in clocks)


class ExpiredLeases:
    """Tells dead workers from those that could not renew their leases for a while; that takes two looks.

    After the server was away or the machine slept, all leases have expired, and their holders renew them within a
    moment. The first to look must not take the others' inputs.

    Args:
        lease: the length of the run's leases in seconds.
    """

    def __init__(self, lease: float) -> None:
        self._wait = min(_SECOND_LOOK_SECONDS, lease)
        self._seen: dict[str, tuple[datetime, float]] = {}

    def is_dead(self, worker: Worker, now: datetime) -> bool:
        """Return whether a worker is gone, or its lease expired and an earlier look, long enough ago, saw that."""
        if is_gone(worker):
            return True
        if worker.lease_expires > now:
            self._seen.pop(worker.worker_id, None)
            return False
        expired, since = self._seen.get(worker.worker_id, (None, 0.0))
        if expired != worker.lease_expires:
            since = time.monotonic()
            self._seen[worker.worker_id] = (worker.lease_expires, since)
        return time.monotonic() - since >= self._wait


@dataclass(frozen=True, slots=True)
class WorkersSeen:
    """What a look at the workers of a run has found.

    Attributes:
        living: the workers that are not dead, by start time.
        released: how many inputs the dead ones gave up.
        now: the time by the clock of the ledger.
    """

    living: Sequence[Worker]
    released: int
    now: datetime


async def release_dead(
    ledger: RunLedger, master_job_id: str, is_dead: Callable[[Worker, datetime], bool] = is_dead
) -> WorkersSeen:
    """Set the inputs of dead workers back to ``pending``.

    A worker that renews its lease in between keeps its inputs: `RunLedger.remove_worker` sees to it.
    """
    workers, now = await ledger.list_workers(master_job_id), await ledger.now()
    dead = [worker for worker in workers if is_dead(worker, now)]
    released = 0
    for worker in dead:
        released += await ledger.remove_worker(worker, now, died=True)
    released += await ledger.release_unowned_inputs(master_job_id, now)
    return WorkersSeen([worker for worker in workers if worker not in dead], released, now)
