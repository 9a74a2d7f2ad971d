"""A run whose data cannot be put, while its rows can be written: it waits, and what it has paid for is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from generation.runs import RUN, Paying, Seen, attempts, data, numbers, start, statuses
from servers.proxies import FaultyHttp
from servers.s3 import S3Server
from starfish_storage import ResultsSpooledError, open_storage
from starfish_storage.generation import resume
from starfish_storage.interface import Storage
from starfish_storage.runs import WAITS_FOR_STORE

COUNT, SLOTS = 20, 5
LONG = 60.0


@pytest.fixture(params=["sqlite", "postgres"])
async def storage(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    network: FaultyHttp,
    s3_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Storage]:
    monkeypatch.setenv("STARFISH_STORAGE_RETRY_SECONDS", "20")  # of one call; the run says its own
    monkeypatch.setenv("STARFISH_STORAGE_SPOOL", str(tmp_path / "spools"))
    uri = (tmp_path / "store").as_uri() if request.param == "sqlite" else request.getfixturevalue("postgres_uri")
    async with open_storage(uri, s3_uri, durability="process") as storage:
        objects: Any = storage.data  # type: ignore[attr-defined]
        objects._seconds = 0.2  # of the bucket alone: a busy machine may not open the database in this time
        yield storage


async def counted(storage: Storage) -> tuple[int, int, float]:
    state = await storage.ledger.get_run(RUN)
    assert state is not None
    return state.attempts, state.failed_attempts, state.cost


async def completes(storage: Storage, function: Paying, run: Any) -> None:
    """See to it that everything is there once, and counted once."""
    assert run.records == {"completed": COUNT}
    assert sorted(function.made) == list(range(COUNT))
    assert [one["n"] for one in await data(storage)] == list(range(COUNT))
    assert await counted(storage) == (COUNT, 0, COUNT)
    for n in range(COUNT):
        assert [one.status for one in await attempts(storage, n)] == ["completed"]


async def test_a_bucket_that_is_away_pauses_the_run(storage: Storage, network: FaultyHttp) -> None:
    function = Paying(lambda: network.answer(503), 7, SLOTS)
    held = 2 * SLOTS  # calls do not wait for what is being stored
    seen = Seen(held)
    run = asyncio.create_task(
        start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG, max_cost=30)
    )
    await seen.until_all_wait()
    paid = len(function.made)
    while await counted(storage) != (paid, held, paid):  # rows can be written: the attempts are there, and their cost
        await asyncio.sleep(0.02)
    assert seen.all[-1].cost == paid
    kinds: Counter[str | None] = Counter()
    while kinds != {
        None: paid - held,
        WAITS_FOR_STORE: held,
    }:  # a try under way has others, and SQLite takes it back
        kinds = Counter([one.error_type for n in function.made for one in await attempts(storage, n)])
    assert len(function.made) == paid
    network.pass_on()
    await completes(storage, function, await run)


async def test_no_call_starts_while_a_result_waits(storage: Storage, network: FaultyHttp) -> None:
    """Not even the next attempt at an input whose failed one could be stored: that has no data."""
    seen, made, may_fail = Seen(1), list[int](), asyncio.Event()

    async def answer(n: int) -> dict[str, Any]:
        made.append(n)
        if n == 0:
            network.answer(503)
        elif made.count(n) == 1:
            await may_fail.wait()
            raise TimeoutError
        return {"n": n}

    run = asyncio.create_task(start(storage, answer, numbers(2), max_concurrency=2, progress=seen, patience=LONG))
    await seen.until_all_wait()
    may_fail.set()
    while [one.status for one in await attempts(storage, 1)] != ["failed"]:
        await asyncio.sleep(0.02)
    for _ in range(20):  # time enough for an attempt that waits for nothing
        await asyncio.sleep(0.02)
    assert made == [0, 1]
    network.pass_on()
    assert (await run).records == {"completed": 2}
    assert made == [0, 1, 1]


async def test_a_key_that_was_rotated_is_read_anew(
    storage: Storage, network: FaultyHttp, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses the old one with 403, until the environment has the new one."""
    key = s3_server.secret_key
    rotated = key[::-1]

    def rotate() -> None:
        s3_server.secret_key = rotated
        s3_server.restart()

    function = Paying(rotate, 7, SLOTS)
    seen = Seen(SLOTS)
    try:
        run = asyncio.create_task(
            start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG)
        )
        await seen.until_all_wait()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", rotated)
        await completes(storage, function, await run)
    finally:
        s3_server.secret_key = key
        s3_server.restart()


async def test_credentials_of_a_file_are_read_anew(
    storage: Storage, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(secret: str) -> None:
        lines = f"[runs]\naws_access_key_id = {s3_server.access_key}\naws_secret_access_key = {secret}\n"
        (tmp_path / "credentials").write_text(lines)

    await storage.close()
    write(s3_server.secret_key)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "runs")
    await storage.setup()

    def expire() -> None:
        write("wrong")
        client: Any = storage.data  # type: ignore[attr-defined]
        client._client._was_refused = True  # as if the server had refused the token

    function = Paying(expire, 7, SLOTS)
    seen = Seen(SLOTS)
    run = asyncio.create_task(
        start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG)
    )
    await seen.until_all_wait()
    write(s3_server.secret_key)
    await completes(storage, function, await run)


async def test_what_is_counted_is_not_counted_again_when_it_is_taken_in(storage: Storage, network: FaultyHttp) -> None:
    function = Paying(lambda: network.answer(503), 7, SLOTS)
    with pytest.raises(ResultsSpooledError) as raised:
        await start(storage, function, numbers(COUNT), max_concurrency=SLOTS, patience=1)
    kept = raised.value.results
    assert SLOTS <= kept <= 2 * SLOTS  # calls do not wait for what is being stored
    assert await counted(storage) == (len(function.made), kept, len(function.made))
    assert (await statuses(storage))[1]["pending"] == COUNT - len(function.made) + kept
    network.pass_on()
    run = await resume(storage, RUN, function, progress="quiet")
    await completes(storage, function, run)
