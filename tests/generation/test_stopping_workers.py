"""One worker is stopped: it finishes what it has under way, and others go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from generation.runs import RUN, Calls, data, numbers, start, statuses
from starfish_storage import InvalidInputError, NotFoundError
from starfish_storage.generation import lease, resume, stop_worker, stopping
from starfish_storage.interface import Storage
from starfish_storage.runs import this_actor
from starfish_storage.times import utc_now


class Heard(logging.Handler):
    """Is set when a worker has heard that it should stop."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "stops: " in record.getMessage():
            self.event.set()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Event]:
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 0.05)
    handler, logger = Heard(), logging.getLogger(stopping.__name__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)  # which also forgets what it has found to be switched off
    yield handler.event
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


async def test_a_worker_that_is_asked_finishes_what_it_has_under_way(storage: Storage, heard: asyncio.Event) -> None:
    """Its call ends and is stored, it claims nothing more, and nobody pays twice."""
    mine = Calls(held=[0])
    stopped = asyncio.create_task(start(storage, mine, numbers(6), max_concurrency=1, grace=0))
    await mine.until(1)
    (worker,) = await storage.ledger.list_workers(RUN)
    assert worker.who == this_actor()
    for name in ("nobody", ""):
        with pytest.raises(NotFoundError, match=f"worker '{name}' does not exist"):
            await stop_worker(storage, name)
    twin = replace(worker, worker_id=f"{worker.worker_id[:8]} twin", process="of another machine")
    await storage.ledger.save_worker(twin, 60)
    with pytest.raises(InvalidInputError, match="2 workers have ids that begin with"):
        await stop_worker(storage, worker.worker_id[:8])
    await storage.ledger.remove_worker(twin, utc_now())
    asked = await stop_worker(storage, worker.worker_id[:8])
    assert asked.stop_reason == f"stopped by {this_actor()}"
    await heard.wait()
    mine.release.set()
    run = await stopped
    assert (run.status, run.stop_reason, run.inputs) == ("cancelled", asked.stop_reason, {"completed": 1, "pending": 5})
    assert await storage.ledger.list_workers(RUN) == []
    others = Calls()
    assert (await resume(storage, RUN, others, progress="quiet")).status == "completed"
    assert (mine.made, sorted(others.made)) == ([0], [1, 2, 3, 4, 5])
    assert await data(storage) == numbers(6)


async def test_the_other_workers_of_a_run_go_on(
    storage: Storage, heard: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Calls(held=[0]), Calls(held=[1])
    stopped = asyncio.create_task(start(storage, first, numbers(9), max_concurrency=1))
    await first.until(1)
    (worker,) = await storage.ledger.list_workers(RUN)
    how: dict[str, Any] = {"inputs": numbers(9), "max_concurrency": 2, "progress": "quiet"}
    other = asyncio.create_task(resume(storage, RUN, second, **how))
    await second.until(1)
    await stop_worker(storage, worker.worker_id, "a new image")
    await heard.wait()
    first.release.set()
    run = await stopped
    assert (run.status, run.stop_reason, first.made) == ("running", "a new image", [0])
    (said,) = [record for record in caplog.records if "stops: " in record.getMessage()]
    assert said.getMessage() == f"this worker of run {RUN} stops: a new image"
    assert (vars(said)["run"], vars(said)["worker"]) == (RUN, worker.worker_id)
    second.release.set()
    assert (await other).status == "completed"
    assert sorted(second.made) == list(range(1, 9))
    assert (await statuses(storage)) == ("completed", {"completed": 9})
