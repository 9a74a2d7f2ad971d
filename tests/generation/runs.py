"""Starting runs in tests, and looking at what they have stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from starfish_storage import open_storage
from starfish_storage.generation import Context, Progress, Retry, Run, generate
from starfish_storage.interface import Layout, Storage
from starfish_storage.maintenance import verify
from starfish_storage.runs import Attempt

RUN = "run-1"
AT_ONCE = Retry(attempts=3, first_wait=0, longest_wait=0, jitter=0)
NEVER = Retry(attempts=1)


def open_store(store: str, layout: Layout | None = None) -> Storage:
    """Return the storage at a place: a URI, and after a space that of its data if this lies elsewhere."""
    uri, _, data_uri = store.partition(" ")
    return open_storage(uri, data_uri or None, durability="process", layout=layout)


def sound(store: str) -> None:
    """See to it that a local store is sound."""
    if store.startswith("file:"):
        report = verify(store)
        assert report.is_sound, str(report)


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"n": number} for number in range(count)]


async def start(storage: Storage, function: Callable[..., Any], inputs: Any = None, **options: Any) -> Run:
    """Generate, with what is usual in tests: a store that fails ends the run at once."""
    usual = {"project": "p", "master_job_id": RUN, "progress": "quiet", "retry": AT_ONCE, "patience": 0}
    return await generate(storage, function, numbers(3) if inputs is None else inputs, **{**usual, **options})


async def data(storage: Storage, status: str = "completed") -> list[dict[str, Any]]:
    """Return the data of the records of a status, in the order of the inputs' numbers."""
    records = [one async for one in storage.iter_records(RUN, [status])]
    found = await storage.get_records_data([one.output_ref for one in records if one.output_ref])
    return sorted(found, key=lambda one: one.get("n", 0))


async def attempts(storage: Storage, n: int = 0) -> list[Attempt]:
    """Return the attempts at the input of a number."""
    return await storage.ledger.list_attempts(await job_id(storage, n))


async def job_id(storage: Storage, n: int = 0) -> str:
    jobs = await storage.list_execution_jobs(RUN)
    return next(one.job_id for one in jobs if (one.run_config or {}).get("n") == n)


async def statuses(storage: Storage) -> tuple[str, dict[str, int]]:
    """Return the status of the master job, and how many inputs are in each."""
    job = await storage.get_master_job(RUN)
    assert job is not None
    return job.status, await storage.ledger.count_inputs(RUN)


class Calls:
    """A function of an input's number that counts its calls, and holds those of some numbers up until released."""

    def __init__(self, held: Iterable[int] = ()) -> None:
        self.made: list[int] = []
        self.held = set(held)
        self.release = asyncio.Event()
        self._entered = asyncio.Condition()

    async def __call__(self, n: int) -> dict[str, Any]:
        async with self._entered:
            self.made.append(n)
            self._entered.notify_all()
        if n in self.held:
            await self.release.wait()
        return {"n": n}

    async def until(self, count: int) -> None:
        """Wait until so many calls have begun."""
        async with self._entered:
            await self._entered.wait_for(lambda: len(self.made) >= count)


class Paying(Calls):
    """Lets something fail once so many calls are in flight, of which the first is that of a number; each costs 1."""

    def __init__(self, fail: Callable[[], object], at: int, slots: int) -> None:
        super().__init__()
        self._fail, self._at, self._slots = fail, at, slots
        self._inside = 0
        self._failed = asyncio.Event()

    async def __call__(self, n: int, context: Context) -> dict[str, Any]:  # type: ignore[override]
        context.log_usage(cost=1.0)
        if n >= self._at and not self._failed.is_set():
            self._inside += 1
            if self._inside == self._slots:
                self._fail()
                self._failed.set()
            await self._failed.wait()
        return await super().__call__(n)


class Seen:
    """The progress of a run, and when it says that so many results wait."""

    def __init__(self, slots: int) -> None:
        self.all: list[Progress] = []
        self._slots = slots
        self._all_wait = asyncio.Event()

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)
        if progress.waiting >= self._slots:
            self._all_wait.set()

    async def until_all_wait(self) -> None:
        await asyncio.wait_for(self._all_wait.wait(), 60)


def endless() -> Iterator[dict[str, Any]]:
    number = 0
    while True:
        yield {"n": number}
        number += 1
