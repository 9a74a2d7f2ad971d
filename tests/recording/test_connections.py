"""A connection of httpx2 is free again once its answer is stored, whatever becomes of the answer; httpx's at once."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from durability.faults import FaultyStorage, Steps, fail
from generation.runs import NEVER, RUN, attempts, data, numbers, sound, start
from recording.asking import WAYS, Client, Clients
from recording.test_recording import replies
from servers.paying import PayingServer
from starfish_storage import ResultsSpooledError
from starfish_storage.generation import Context, resume

LONG = 60.0


class Store:
    """A local storage whose writes of rows wait once they are told to.

    Attributes:
        storage: the storage.
        is_asked: a write waits, or has waited.
    """

    def __init__(self, root: Path) -> None:
        self.storage = FaultyStorage(root, Steps(), "process")
        self.is_asked = threading.Event()
        self._may_write = threading.Event()

    def hold(self) -> None:
        self.is_asked.clear()
        self._may_write.clear()
        self.storage.steps.before = self._wait

    def release(self) -> None:
        self.storage.steps.before = lambda _number, _step: None
        self._may_write.set()

    async def until_asked(self) -> None:
        assert await asyncio.to_thread(self.is_asked.wait, LONG)

    def _wait(self, _number: int, step: str) -> None:
        if step.startswith("page"):
            self.is_asked.set()
            assert self._may_write.wait(LONG)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setenv("STARFISH_STORAGE_SPOOL", str(tmp_path / "spools"))
    made = Store(tmp_path / "store")
    async with made.storage:
        yield made
        made.release()
    sound((tmp_path / "store").as_uri())


class Pool:
    """A client that may have one connection, and what becomes of that."""

    def __init__(self, clients: Clients, family: str = "httpx2", how: str = "async") -> None:
        library: Any = {"httpx": httpx, "httpx2": httpx2}[family]
        make = library.AsyncHTTPTransport if how == "async" else library.HTTPTransport
        transport = make(limits=library.Limits(max_connections=1, max_keepalive_connections=1))
        self.client: Client = clients(family, how, transport=transport)
        self._pool = transport._pool

    @property
    def is_free(self) -> bool:
        """Whether nobody has the connection, or waits for it."""
        return not self._pool._requests and all(one.is_idle() for one in self._pool.connections)

    def check(self, *, asked: int) -> None:
        """The connection is free, and the same that so many requests went through; with 0, there is none."""
        assert self.is_free
        (one,) = self._pool.connections or [None]
        assert (f"Request Count: {asked}" in repr(one)) if asked else one is None


@pytest.mark.parametrize("how", ["async", "blocking"])
async def test_one_connection_does_for_all_calls(
    store: Store, paying_server: PayingServer, clients: Clients, how: str
) -> None:
    """After each other, and at once."""
    pool = Pool(clients, how=how)

    def answer(n: int) -> dict[str, Any]:
        return {"n": n, "texts": [pool.client.ask_blocking(f"{which} {n}") for which in ("first", "second")]}

    async def answer_async(n: int) -> dict[str, Any]:
        texts = await asyncio.gather(*[pool.client.ask(f"{which} {n}") for which in ("first", "second")])
        return {"n": n, "texts": [*texts, await pool.client.ask(f"third {n}")]}

    run = await start(store.storage, answer_async if how == "async" else answer, numbers(3))
    assert (run.records, run.attempts) == ({"completed": 3}, 3)
    assert set(paying_server.payments.values()) == {1}
    pool.check(asked=9 if how == "async" else 6)


@pytest.mark.parametrize(("family", "how"), WAYS)
async def test_a_connection_waits_for_the_store(
    store: Store, paying_server: PayingServer, clients: Clients, family: str, how: str
) -> None:
    pool = Pool(clients, family, how)

    def answer(n: int) -> dict[str, Any]:
        store.hold()
        return {"n": n, "text": pool.client.ask_blocking("question")}

    async def answer_async(n: int) -> dict[str, Any]:
        store.hold()
        return {"n": n, "text": await pool.client.ask("question")}

    run = asyncio.create_task(
        start(store.storage, answer_async if how == "async" else answer, numbers(1), patience=LONG)
    )
    await store.until_asked()
    while family == "httpx" and not pool.is_free:
        await asyncio.sleep(0)
    assert pool.is_free is (family == "httpx")
    store.release()
    assert (await run).records == {"completed": 1}
    pool.check(asked=1)


async def test_who_is_cancelled_gives_the_connection_back(
    store: Store, paying_server: PayingServer, clients: Clients
) -> None:
    pool = Pool(clients)

    async def answer(n: int) -> dict[str, Any]:
        store.hold()
        asking = asyncio.create_task(pool.client.ask("question"))
        await store.until_asked()
        assert not pool.is_free
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        pool.check(asked=1)
        store.release()
        return {"n": n, "texts": [await pool.client.ask(prompt) for prompt in ("question", "other")]}

    run = await start(store.storage, answer, numbers(1), patience=LONG)
    assert (run.records, run.attempts) == ({"completed": 1}, 1)
    assert paying_server.payments == {"question": 1, "other": 1}
    pool.check(asked=2)


@pytest.mark.parametrize("how", ["async", "blocking"])
async def test_a_store_that_refuses_gives_the_connection_back(
    store: Store, paying_server: PayingServer, clients: Clients, how: str
) -> None:
    pool = Pool(clients, how=how)
    becomes_full = [False, True, False]

    def fill() -> None:
        if becomes_full.pop(0):
            store.storage.steps.before = fail("page", errno.ENOSPC, for_good=True)

    def answer(n: int) -> dict[str, Any]:
        fill()
        return {"n": n, "text": pool.client.ask_blocking(f"question {n}")}

    async def answer_async(n: int) -> dict[str, Any]:
        fill()
        return {"n": n, "text": await pool.client.ask(f"question {n}")}

    function = answer_async if how == "async" else answer
    with pytest.raises(ResultsSpooledError):
        await start(store.storage, function, numbers(2), max_concurrency=1)
    pool.check(asked=2)
    store.release()
    run = await resume(store.storage, RUN, function, progress="quiet")
    assert run.status == "completed"
    assert paying_server.payments == {"question 0": 1, "question 1": 1}


@pytest.mark.parametrize("how", ["async", "blocking"])
async def test_a_stream_that_is_given_up_gives_the_connection_back(
    store: Store, paying_server: PayingServer, clients: Clients, how: str
) -> None:
    pool = Pool(clients, how=how)
    client = pool.client
    body = client.body("story", stream=True)

    def answer(n: int) -> dict[str, Any]:
        with client.http.stream("POST", client.url, json=body) as response:
            next(response.iter_lines())
        pool.check(asked=0)
        return {"n": n, "text": client.ask_blocking("question")}

    async def answer_async(n: int) -> dict[str, Any]:
        async with client.http.stream("POST", client.url, json=body) as response:
            await anext(response.aiter_lines())
        pool.check(asked=0)
        return {"n": n, "text": await client.ask("question")}

    run = await start(store.storage, answer_async if how == "async" else answer, numbers(1), retry=NEVER)
    assert run.records == {"completed": 1}
    pool.check(asked=1)
    assert await replies(store.storage) == [(1, 1, "rejected"), (1, 1, "kept")]


async def test_who_waits_too_long_for_a_connection_gets_the_error_of_the_client(
    store: Store, paying_server: PayingServer, clients: Clients
) -> None:
    """The store is slow, and the pool has a timeout: that is an error of the attempt as any other of the network."""
    pool = Pool(clients)
    pool.client.http.timeout = LONG

    async def answer(n: int, context: Context) -> dict[str, Any]:
        if n == 0:
            store.hold()
        if n == 1 and context.attempt == 1:
            await store.until_asked()
            pool.client.http.timeout = httpx2.Timeout(LONG, pool=0.05)
            with pytest.raises(httpx2.PoolTimeout) as raised:
                await pool.client.ask(f"question {n}")
            pool.client.http.timeout = LONG
            store.release()
            raise raised.value
        return {"n": n, "text": await pool.client.ask(f"question {n}")}

    run = await start(store.storage, answer, numbers(2), patience=LONG)
    assert (run.records, run.failed_attempts) == ({"completed": 2}, 1)
    assert [one.status for one in await attempts(store.storage, 1)] == ["failed", "completed"]
    assert paying_server.payments == {"question 0": 1, "question 1": 1}
    assert [one["n"] for one in await data(store.storage)] == [0, 1]
    pool.check(asked=2)
