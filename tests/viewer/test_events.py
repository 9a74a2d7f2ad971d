"""Server-sent events: what is told, when, to how many, and that nothing is left of who has gone."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from starfish_storage import Record, open_storage
from starfish_storage.errors import StorageUnavailableError
from starfish_storage.interface import Storage
from starfish_storage.viewer import changes, events

from .viewing import RUN, make, viewer


class Stream:
    """The events of a stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.mark = ""

    async def next(self) -> tuple[str, Any]:
        """Return the next event, or comment, with its data."""
        name, data = "", ""
        async for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.mark = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
            elif not line and name:
                return name, json.loads(data)
            elif line.startswith(":"):
                return "heartbeat", None
        return "end", None


@asynccontextmanager
async def listening(client: httpx.AsyncClient, run: str | None = RUN, mark: str = "") -> AsyncGenerator[Stream]:
    headers = {"Last-Event-ID": mark} if mark else {}
    parameters = {} if run is None else {"run": run}
    async with client.stream("GET", "/events", params=parameters, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Stream(response)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "INTERVAL", 0.01)
    monkeypatch.setattr(changes, "INTERVAL_OVER", 0.01)


async def add(storage: Storage, uid: str) -> None:
    (job, *_) = await storage.list_execution_jobs(RUN, limit=1)
    record = Record(record_uid=uid, job_id=job.job_id, master_job_id=RUN, status="completed")
    await storage.save_record(record, {"n": uid})


async def test_what_changes_is_told_once(store: str):
    await make(store, 2)
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        async with listening(client) as stream, listening(client, None) as whole:
            assert await stream.next() == ("records", {"completed": 2})
            assert await stream.next() == ("progress", {"over": True})
            assert [(await whole.next())[0] for _ in range(2)] == ["records", "progress"]
            await add(storage, "late")
            assert await stream.next() == ("records", {"completed": 3})
            assert await stream.next() == ("progress", {"over": True})
            await storage.update_master_job_status(RUN, "running", datetime.now(UTC))
            assert await stream.next() == ("progress", {"over": False})  # the records are as they were
            assert await whole.next() == ("progress", {"over": False})
        async with listening(client, mark=stream.mark) as back:  # a page that comes back has missed nothing
            await add(storage, "later")
            assert await back.next() == ("records", {"completed": 4})


async def test_a_stream_that_has_nothing_to_tell_says_so(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    async with listening(client) as stream:
        told = [(await stream.next())[0] for _ in range(4)]
    assert [one for one in told if one != "heartbeat"] in (["records", "progress"], [])
    assert "heartbeat" in told
    assert (await client.head("/events")).content == b""


async def test_a_run_that_is_not_there_is_a_problem_and_not_the_end(client: httpx.AsyncClient):
    async with listening(client, "../x") as stream:
        name, data = await stream.next()
    assert name == "problem"
    assert "'../x'" in data["text"]


async def test_however_many_listen_one_looks(made: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MOST_STREAMS", 50)
    async with open_storage(made, read_only=True) as storage:
        looks = 0
        get_master_job = storage.get_master_job

        async def counted(run: str) -> Any:
            nonlocal looks
            looks += 1
            return await get_master_job(run)

        monkeypatch.setattr(storage, "get_master_job", counted)
        monkeypatch.setattr(changes, "INTERVAL_OVER", 1000)
        async with viewer(storage) as client, AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(listening(client)) for _ in range(20)]
            assert {(await stream.next())[0] for stream in streams} == {"records"}
            assert looks == 1


async def test_nobody_looks_once_all_have_gone(made: str):
    async with open_storage(made, read_only=True) as storage, viewer(storage) as client:
        async with listening(client) as one, listening(client) as other:
            await one.next()
            await other.next()
            watches = [one for one in gc.get_objects() if isinstance(one, changes.Changes) and len(one)]
            assert [len(one) for one in watches] == [1]
        async with asyncio.timeout(10):
            while len(watches[0]):
                await asyncio.sleep(0.01)
        assert not [task for task in asyncio.all_tasks() if "Watch._watch" in repr(task.get_coro())]


async def test_the_fifth_stream_of_a_client_ends_and_asks_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(listening(client)) for _ in range(events.MOST_STREAMS)]
        assert {(await stream.next())[0] for stream in streams} == {"records"}
        async with listening(client) as fifth:
            assert [(await fifth.next())[0] for _ in range(3)] == ["records", "progress", "end"]
        async with listening(client, mark=fifth.mark) as again:
            assert await again.next() == ("end", None)  # nothing has changed since
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    async with asyncio.timeout(10):  # the server sees a little later that they have gone
        told = "end"
        while told == "end":
            async with listening(client, mark=fifth.mark) as stream:
                told = (await stream.next())[0]
    assert told == "heartbeat"


async def test_a_store_that_fails_is_told_and_so_is_its_return(made: str, monkeypatch: pytest.MonkeyPatch):
    async def fails(_: str) -> None:
        raise StorageUnavailableError("the server", 0, "it does not answer")

    async with (
        open_storage(made, read_only=True) as storage,
        viewer(storage) as client,
        listening(client) as stream,
    ):
        assert [(await stream.next())[0] for _ in range(2)] == ["records", "progress"]
        with monkeypatch.context() as patched:
            patched.setattr(storage, "get_master_job", fails)
            name, data = await stream.next()
            assert (name, "does not answer" in data["text"]) == ("problem", True)
        assert [(await stream.next())[0] for _ in range(2)] == ["records", "progress"]


async def test_the_end_of_the_viewer_ends_the_streams(made: str):
    async with open_storage(made, read_only=True) as storage, httpx.AsyncClient(timeout=30) as outside:
        async with AsyncExitStack() as stack, viewer(storage) as client:
            address = client.base_url.join("/events")
            response = await stack.enter_async_context(outside.stream("GET", address, params={"run": RUN}))
            stream = Stream(response)
            await stream.next()
            began = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - began
    assert took < 1.5  # uvicorn would wait for 2 s, and then cut it off


async def test_many_events_leave_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(changes, "INTERVAL", 0)
    looks = itertools.count()

    async def look() -> changes.Sight:
        return changes.Sight({"attempts": next(looks)}, {"completed": 1})

    watch, ending = changes.Watch(look), asyncio.Event()
    tasks = len(asyncio.all_tasks())
    watch.join()
    slow = events.told(watch, None, ending, stays=True)  # hears of the first, and reads no further
    assert "retry" in await anext(slow)
    assert "records" in await anext(slow)
    async with aclosing(events.told(watch, None, ending, stays=True)) as stream:
        for _ in range(600):
            await anext(stream)
        assert len([one for one in gc.get_objects() if isinstance(one, changes.Sight)]) < 10
    await slow.aclose()
    watch.leave()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks
