"""What changes in a store while it is viewed: one look a second at each run, however many pages show it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from starfish_storage.errors import NotFoundError, StorageError
from starfish_storage.interface import Storage
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

INTERVAL = 1.0
"""Seconds between two looks at a run that goes on, or at a store."""
INTERVAL_OVER = 5.0
"""Seconds between two looks at a run that has ended: a retry may begin it again."""

_MOST_RUNS = 50


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at a run, or at a store, has found.

    Attributes:
        state: all that tells whether something has changed, as JSON.
        records: how many records are in each status, of a run.
        is_over: whether the run has ended.
        problem: why there was nothing to be seen.
    """

    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    records: Mapping[str, int] = field(default_factory=dict[str, int])
    is_over: bool = False
    problem: str | None = None

    @property
    def mark(self) -> str:
        """A name of this state: a page that comes back with it has missed nothing."""
        return f"{zlib.crc32(repr(asdict(self)).encode('utf-8', 'surrogatepass')):08x}"


class Watch:
    """Looks at one run, or at the store, as long as somebody listens.

    Only the newest sight is kept, so a listener that is slow, or many of them, cost no memory.
    """

    def __init__(self, look: Callable[[], Awaitable[Sight]]) -> None:
        self._look = look
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.sight: Sight | None = None
        self.listeners = 0

    def join(self) -> None:
        """Begin to listen."""
        self.listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._watch())

    def leave(self) -> None:
        """Listen no more; without listeners, nobody looks."""
        self.listeners -= 1
        if not self.listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def changed(self, seen: str | None) -> Sight:
        """Return the sight that is not the one with this mark, as soon as there is one."""
        while self.sight is None or self.sight.mark == seen:
            await self._changed.wait()
        return self.sight

    async def _watch(self) -> None:
        while True:
            try:
                found = await self._look()
            except StorageError as error:
                found = Sight(problem=str(error))
            except Exception as error:
                logger.warning("the viewer could not look for changes", exc_info=error)
                found = Sight(problem="The viewer failed; its terminal shows where.")
            if found != self.sight:
                self.sight = found
                self._changed.set()  # whoever waits goes on, and waits for the next one
                self._changed = asyncio.Event()
            await asyncio.sleep(INTERVAL_OVER if found.is_over else INTERVAL)


class Changes:
    """The watches of a viewer.

    Args:
        storage: what is looked at.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._watches: dict[str | None, Watch] = {}

    def __len__(self) -> int:
        """Return how many runs are looked at."""
        return len(self._watches)

    @contextmanager
    def watching(self, run: str | None) -> Generator[Watch]:
        """Give the watch of a run; with None, that of the store. Whoever has it listens."""
        watch = self._watches.get(run)
        if watch is None:
            look = self._look_at_store if run is None else lambda: self._look_at_run(run)
            watch = self._watches[run] = Watch(look)
        watch.join()
        try:
            yield watch
        finally:
            watch.leave()
            if not watch.listeners:
                self._watches.pop(run, None)

    async def _look_at_run(self, run: str) -> Sight:
        """Look at a run. All that is asked for are counts that the store keeps: it costs the same at any size."""
        job = await self._storage.get_master_job(run)
        if job is None:
            raise NotFoundError("run", run, "it may have been deleted; the first page lists all runs")
        (progress,) = await self._storage.ledger.get_progress([job], with_inputs=False)
        state = {
            "status": job.status,
            "updated": job.last_update_time.isoformat(),
            "ledger": None if progress.state is None else asdict(progress.state),
        }
        return Sight(state, dict(progress.records), is_over=progress.is_over)

    async def _look_at_store(self) -> Sight:
        """Look at the newest runs; those that go on are looked into."""
        ledger, runs = self._storage.ledger, dict[str, Any]()
        for one in await ledger.get_progress(await ledger.find_runs(limit=_MOST_RUNS), with_inputs=False):
            counts = None if one.is_over else (one.state, dict(one.records))
            runs[one.job.master_job_id] = (one.job.status, one.job.last_update_time.isoformat(), counts)
        return Sight(runs)
