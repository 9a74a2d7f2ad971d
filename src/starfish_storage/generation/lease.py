"""Which process a worker is, and the heartbeat that keeps its lease.

The heartbeat has a thread and an event loop of its own: a function that blocks the loop it runs in must not cost its
worker the lease, and with it the inputs that it is paying for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import cast

from starfish_storage.errors import StorageError
from starfish_storage.interface import RunLedger
from starfish_storage.models import utc_now
from starfish_storage.runs import Worker

logger = logging.getLogger(__name__)

_RENEWALS = 4  # within one lease: three may fail
_BEAT_SECONDS = 1.0

_active: set[str] = set()
"""The workers of this process."""


def new_worker(master_job_id: str, lease: float) -> Worker:
    """Return a worker of this process, which holds its lease from now."""
    now = utc_now()
    return Worker(uuid.uuid4().hex, master_job_id, process_identity(), now, now + timedelta(seconds=lease))


def process_identity() -> str:
    """Return what tells this process from every other: ``boot/namespace/pid/start`` on Linux."""
    return f"{_machine()}/{os.getpid()}/{_start_of(os.getpid()) or '?'}"


def is_dead(worker: Worker, now: datetime) -> bool:
    """Return whether a worker is dead: its lease has expired, or its process, of this machine, is known to be gone.

    So that a run which was killed goes on at once, and not when a lease has run out.
    """
    return worker.lease_expires <= now or _is_gone(worker)


def _is_gone(worker: Worker) -> bool:
    machine, _, rest = worker.process.rpartition("/")[0].rpartition("/")
    start = worker.process.rpartition("/")[2]
    if machine != _machine() or not rest.isdigit():
        return False  # another machine, or another container: only its lease tells
    if int(rest) == os.getpid() and start == (_start_of(os.getpid()) or "?"):
        return worker.worker_id not in _active
    found = _start_of(int(rest))
    if found is None and sys.platform != "linux":
        return not _exists(int(rest))
    return found != start


@cache
def _machine() -> str:
    """Return this boot of this machine, and the namespace in which process ids are told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return f"{uuid.getnode():012x}/0"


def _start_of(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot: ids of processes are used again."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]  # a zombie does nothing any more


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


class Heartbeat:
    """Renews a worker's lease, and does something every second, in a thread of its own.

    Args:
        ledger: where the lease is noted.
        worker: whose.
        lease: how long it holds, in seconds.
        beat: what else is done each time; errors of the storage in it are logged.
    """

    def __init__(self, ledger: RunLedger, worker: Worker, lease: float, beat: Callable[[], Awaitable[None]]) -> None:
        self.worker = worker
        self._ledger = ledger
        self._lease = timedelta(seconds=lease)
        self._beat = beat
        self._caller: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Note the worker, and begin."""
        self._caller = asyncio.get_running_loop()
        _active.add(self.worker.worker_id)
        loop = asyncio.new_event_loop()
        try:
            await self._ledger.save_worker(self.worker)
            thread = threading.Thread(target=self._run, args=(loop,), name="starfish-storage-heartbeat", daemon=True)
            thread.start()
        except BaseException:
            _active.discard(self.worker.worker_id)
            loop.close()
            raise
        self._loop = loop

    async def renew(self) -> None:
        """Hold the lease from now; note the worker again if it was taken for dead."""
        renewed = replace(self.worker, lease_expires=utc_now() + self._lease)
        await self._ledger.save_worker(renewed)
        self.worker = renewed

    async def stop(self) -> None:
        """Renew no more. The worker stays noted, and counts as alive until `forget`. Idempotent."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._stopped.set)
        except RuntimeError:
            pass  # it has ended before
        # Not by joining in a thread: those that asyncio has for that may all be held up by the function's own calls.
        await self._ended.wait()
        self._loop = None

    def forget(self) -> None:
        """Count the worker as gone: it is not noted any more. Idempotent."""
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
        pause = min(_BEAT_SECONDS, self._lease.total_seconds() / _RENEWALS)
        while True:
            try:
                await asyncio.wait_for(self._stopped.wait(), pause)
            except TimeoutError:
                await self._once()
            else:
                return

    async def _once(self) -> None:
        now = utc_now()
        try:
            if self.worker.lease_expires - now < self._lease * (1 - 1 / _RENEWALS):
                await self.renew()
            await self._beat()
        except StorageError as error:
            # The work itself meets the same trouble, and says so to the caller.
            logger.warning("a heartbeat of worker %s failed: %s", self.worker.worker_id, error.code)
        except Exception as error:  # noqa: BLE001 (the lease must be renewed next time all the same)
            logger.warning("a heartbeat of worker %s failed: %s", self.worker.worker_id, type(error).__name__)


async def release_dead(ledger: RunLedger, master_job_id: str) -> int:
    """Return to ``pending`` what workers held that are dead, and return how many inputs that are."""
    now = utc_now()
    released = 0
    for worker in await ledger.list_workers(master_job_id):
        if is_dead(worker, now):
            released += await ledger.remove_worker(worker, now, died=True)
    return released + await ledger.release_unowned_inputs(master_job_id, now)
