"""Numbers of runs on the pages: the right ones, also of runs without a ledger, and counted without being waited for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from generation.runs import NEVER, open_store
from starfish_storage import GenerationJob, GenerationMasterJob, Project, Record, open_storage
from starfish_storage.errors import InvalidInputError, StorageUnavailableError
from starfish_storage.generation import Context, generate
from starfish_storage.interface import Storage, StoreSize
from starfish_storage.runs import CallCounts, CallNote, Timeline, TimelineBucket, Verification
from starfish_storage.testing.suites.run_samples import MASTER_JOB, an_attempt, claim, start
from starfish_storage.viewer import gathering
from starfish_storage.viewer.gathering import Gathering, WaitingTime
from starfish_storage.viewer.plots import plots_of, rows_of

from .markup import Page
from .viewing import RUN, viewer

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOGGED = "logged"


async def page(client: httpx.AsyncClient, address: str) -> Page:
    response = await client.get(address)
    assert response.status_code == 200, response.text
    return Page(response.text)


async def log(storage: Storage, number: int, status: str = "running", **fields: Any) -> None:
    """Log a run as a pipeline does that knows nothing of ledgers: a record each half second."""
    await storage.save_project(Project(project_id="p", name="p"))
    reference = storage.generate_request_config_path(LOGGED)
    await storage.save_request_config(reference, {"model": "m"})
    job = GenerationMasterJob(
        master_job_id=LOGGED, project_id="p", request_config_ref=reference, output_schema={}, status=status,  # type: ignore[arg-type]
        storage_uri=storage.storage_uri, target_record_count=12, creation_time=BEGIN, start_time=BEGIN, **fields,
    )  # fmt: skip
    await storage.log_master_job_start(job)
    for n in range(number):
        await storage.log_execution_job_start(GenerationJob(job_id=f"j{n}", master_job_id=LOGGED, status="completed"))
        await storage.save_record(record(n), {"n": n})


def record(n: int) -> Record:
    begun = BEGIN + timedelta(seconds=n / 2)
    return Record(
        record_uid=f"r{n}", job_id=f"j{n}", master_job_id=LOGGED, status="completed", start_time=begun, end_time=begun
    )


async def test_what_a_run_did_over_time(client: httpx.AsyncClient):
    found = (await client.get(f"/run/timeline?id={RUN}")).json()
    assert [plot["title"] for plot in found["plots"]] == [
        "Attempts so far", "A second", "Time of an attempt", "Cost of an attempt"
    ]  # fmt: skip
    so_far = {line["name"]: line["values"] for line in found["plots"][0]["lines"]}
    assert {name: (values[0], values[-1]) for name, values in so_far.items()} == {"completed": (0, 6), "failed": (0, 1)}
    assert (found["is_final"], found["plots"][3]["lines"][0]["values"][0] > 0) == (True, True)
    head, *rows = found["rows"]
    assert head == [
        "Begins (UTC)",
        "completed",
        "failed",
        "half take",
        "95 in 100 take",
        "tokens in",
        "tokens out",
        "cost",
    ]
    assert [sum(int(row[column]) for row in rows) for column in (1, 2, 5, 6)] == [6, 1, 50, 25]
    shown = await page(client, f"/run?id={RUN}")
    for row in found["rows"]:
        assert all(cell in shown.text for cell in row)


async def test_a_run_that_goes_on_has_a_rate_and_an_end(store: str):
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        await log(storage, 9)
        for address in ("/", f"/run?id={LOGGED}"):
            found = await page(client, address)
            assert "Ended" not in found.text
            for words in ("9 of 12", "2.00", "1.5 s", "running"):  # a second, and until the other three are there
                assert words in found.text, (address, words)
        plots = (await client.get(f"/run/timeline?id={LOGGED}")).json()["plots"]
        assert [(plot["title"], plot["lines"][0]["values"]) for plot in plots] == [
            ("Records so far", [0, 2, 4, 6, 8, 9]), ("A second", [2, 2, 2, 2, 1])
        ]  # fmt: skip
        await storage.update_master_job_status(LOGGED, "completed", datetime.now(UTC))
        assert "1.5 s left" not in (await page(client, "/")).text


@pytest.mark.parametrize("number", [0, 1])
async def test_a_run_of_next_to_nothing(store: str, number: int):
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        await log(storage, number, "failed")
        await page(client, "/")
        found = await page(client, f"/run?id={LOGGED}")
        assert ("Nothing has ended yet" in found.text) == (number == 0)
        assert len((await client.get(f"/run/timeline?id={LOGGED}")).json()["plots"]) == 2 * number


async def test_the_store_says_how_large_it_is_and_what_a_check_found(store: str):
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        await log(storage, 3)
        found = await page(client, "/")
        assert "in 2 files" in found.text  # one of all records, and the request configuration
        assert "never, as far as is known" in found.text
        await storage.ledger.save_verification(Verification(BEGIN, BEGIN + timedelta(seconds=5), 0))
        assert "2026-01-31 12:00:05, nothing found" in " ".join((await page(client, "/")).text.split())
        await storage.ledger.save_verification(Verification(BEGIN, BEGIN + timedelta(hours=1), 2))
        assert "2026-01-31 13:00:00, 2 findings" in " ".join((await page(client, "/")).text.split())


async def test_failures_lead_to_their_records(store: str):
    async def answer(n: int, context: Context) -> dict[str, int]:
        context.log_usage(input_tokens=1, output_tokens=1)
        if n % 3 == 0:
            raise {0: ValueError, 3: KeyError}[n % 6](f"ValueError in {n}")
        return {"n": n}

    async with open_store(store) as storage:
        inputs = [{"n": n} for n in range(10)]
        await generate(storage, answer, inputs, project="p", master_job_id=RUN, progress="quiet", retry=NEVER)
        async with viewer(storage) as client:
            found = await page(client, f"/run?id={RUN}")
            for kind, count in {"ValueError": 2, "KeyError": 2}.items():
                table = await page(client, found.link(kind))
                assert len([link for link in table.links if link.startswith("/record?")]) == count


async def test_answers_that_were_not_kept_are_counted(store: str):
    async with open_store(store) as storage:
        ledger = await start(storage)
        (claimed,) = await claim(ledger, 1)
        notes = (CallNote("POST a/b", "", "429", "busy", 44), CallNote("POST a/b", "", "left", "<b>", 1))
        await ledger.save_attempt(an_attempt(claimed, status="failed", calls=CallCounts(3, notes=notes)))
        async with viewer(storage) as client:
            for address in ("/run", "/run/progress"):
                found = await page(client, f"{address}?id={MASTER_JOB}")
                assert "44 x 429: POST a/b; 1 x left: POST a/b" in found.text


async def test_the_limit_that_a_run_shares_is_shown(store: str):
    async def answer(n: int) -> dict[str, Any]:
        return {"n": n}

    async with open_store(store) as storage, viewer(storage) as client:
        how: Any = {"project": "p", "progress": "quiet", "limit": "openai", "rpm": 6000}
        await generate(storage, answer, [{"n": 1}], master_job_id=RUN, **how)
        found = await page(client, f"/run?id={RUN}")
        assert "Limit of its calls: 6,000 requests a minute, which runs share as openai." in found.text


async def test_a_page_begins_where_it_began(store: str):
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        await log(storage, 1)
        job = await storage.get_master_job(LOGGED)
        assert job is not None
        later = {"master_job_id": "later", "creation_time": BEGIN + timedelta(days=1)}
        await storage.log_master_job_start(job.model_copy(update=later))
        found = await page(client, f"/?at={LOGGED}")
        assert (found.has_link("later"), found.has_link(LOGGED), found.has_link("Newest runs")) == (False, True, True)
        assert not (await page(client, "/?at=later")).has_link("Newest runs")


async def test_what_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gathering, "PATIENCE", 0.0)
    counts, goes_on = iter(range(10)), asyncio.Event()
    kept = Gathering()

    async def count() -> int:
        await goes_on.wait()
        return next(counts)

    async def get(version: int) -> int | None:
        found = await kept.get("what", version, count, WaitingTime())
        return None if found is None else found.value

    assert await get(1) is None
    assert await get(1) is None  # it is still the same one that counts
    goes_on.set()
    while await get(1) is None:
        await asyncio.sleep(0)
    assert await get(1) == 0  # nothing has changed
    monkeypatch.setattr(gathering, "_REST", 10**9)
    while await get(2) == 0:  # it took no time, and is counted again at once
        await asyncio.sleep(0)
    assert (await get(2), await get(3), await get(4)) == (1, 1, 1)  # now it rests


async def test_an_error_is_told_and_not_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gathering, "PATIENCE", 20.0)
    answers: list[Exception | None] = [InvalidInputError("it cannot be counted."), None]
    kept = Gathering()

    async def count() -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "counted"

    with pytest.raises(InvalidInputError):
        await kept.get("what", 1, count, WaitingTime())
    found = await kept.get("what", 1, count, WaitingTime())
    assert found is not None
    assert found.value == "counted"


def test_plots_have_no_holes_and_no_end_of_them():
    second = timedelta(seconds=1)
    few = (
        TimelineBucket(BEGIN, {"completed": 2}, 1.0, 2.0, cost=1.0),
        TimelineBucket(BEGIN + 3 * second, {"failed": 1}),
    )
    so_far, each, took, cost = plots_of(Timeline("attempts", second, few, 3, 3))
    assert [line.values for line in so_far.lines] == [[0, 2, 2, 2, 2], [0, 0, 0, 0, 1]]
    assert [line.values for line in each.lines] == [[2, 0, 0, 0], [0, 0, 0, 1]]
    assert took.lines[0].values == [1.0, None, None, None]
    assert cost.lines[0].values == [0.5, None, None, 0.0]
    assert so_far.points(so_far.lines[0]) == ["0.0,150.0 150.0,0.0 300.0,0.0 450.0,0.0 600.0,0.0"]
    assert took.points(took.lines[0]) == ["0.0,75.0 0.0,75.0"]
    far = (few[0], TimelineBucket(datetime(9999, 1, 1, tzinfo=UTC), {"failed": 1}))  # of a clock that went wrong
    assert len(plots_of(Timeline("attempts", second, far, 3, 3))[0].times) == 5
    assert len(rows_of(Timeline("attempts", second, far, 3, 3))) == 3
    assert plots_of(Timeline("attempts", second, (), 0, 0)) == []


async def test_a_size_that_cannot_be_measured_is_said(store: str, monkeypatch: pytest.MonkeyPatch):
    async def fails(seconds: float) -> StoreSize:
        raise StorageUnavailableError("the server", seconds, "it does not answer")

    async with open_storage(store) as storage, viewer(storage) as client:
        monkeypatch.setattr(storage, "measure_size", fails)
        for address in ("/", "/store/size"):
            found = await client.get(address)
            assert found.status_code == 200
            assert "the data cannot be reached" in found.text
            assert "/store/size" not in found.text  # it is not asked for again and again


async def test_a_size_is_asked_for_until_it_is_measured(store: str, monkeypatch: pytest.MonkeyPatch):
    async with open_storage(store) as storage, viewer(storage) as client:
        measure, may_end = storage.measure_size, asyncio.Event()

        async def waits(seconds: float) -> StoreSize:
            await may_end.wait()
            return await measure(seconds=seconds)

        monkeypatch.setattr(storage, "measure_size", waits)
        monkeypatch.setattr(gathering, "PATIENCE", 0.01)
        for address in ("/", "/store/size"):
            found = (await client.get(address)).text
            assert "being measured" in found
            assert 'hx-get="/store/size"' in found
        may_end.set()
        monkeypatch.setattr(gathering, "PATIENCE", 30.0)
        for address in ("/store/size", "/"):
            found = (await client.get(address)).text
            assert "of rows" in found
            assert "/store/size" not in found
