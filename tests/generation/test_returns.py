"""What a function returns or yields is in the store, whatever it is; checks are run again without calling anything."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from generation.runs import AT_ONCE, NEVER, RUN, Calls, attempts, data, numbers, start, statuses
from starfish_storage import InvalidInputError
from starfish_storage.generation import Context, Filtered, Where, generate, resume, retry
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.runs import Conversion

WHEN = dt.date(2026, 1, 31)


async def records(storage: Storage) -> list[Record]:
    return sorted([one async for one in storage.iter_records(RUN)], key=lambda one: one.record_uid)


async def test_what_is_no_json_is_converted_and_noted_and_counted(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls()

    async def answer(n: int) -> Any:
        await calls(n)
        return {"n": n, "when": WHEN, "scores": [float("nan"), 1.5], "client": object() if n == 2 else None}

    caplog.set_level(logging.WARNING, "starfish_storage.generation.outcomes")
    run = await start(storage, answer, max_concurrency=1)
    assert (run.records, run.inputs) == ({"completed": 2, "failed": 1}, {"completed": 2, "failed": 1})
    assert run.conversions == {"date": 3, "nan": 3}
    assert calls.made == [0, 1, 2]
    assert await data(storage) == [
        {"n": n, "when": "2026-01-31", "scores": [None, 1.5], "client": None} for n in range(2)
    ]
    (failed,) = await data(storage, "failed")
    assert (failed["when"], failed["client"]["__type__"]) == ("2026-01-31", "builtins.object")
    (made,) = await attempts(storage, 2)
    assert (made.status, made.conversions) == (
        "completed",
        (Conversion("date", 1, ("$.when",)), Conversion("nan", 1, ("$.scores[0]",))),
    )
    (record,) = await storage.get_records_for_master_job(RUN, ["failed"])
    assert record.error_message == "return: at $.client: an object of type builtins.object has no JSON form"
    job = await storage.get_master_job(RUN)
    assert job is not None
    assert job.summary is not None
    assert job.summary["conversions"] == run.conversions
    warned = [one.getMessage() for one in caplog.records]
    assert [("kind date" in one, "kind nan" in one, "for input 0" in one) for one in warned] == [
        (True, False, True),
        (False, True, True),
    ]


@pytest.mark.parametrize("kind", ["async", "plain", "timeout"])
async def test_what_was_yielded_before_an_error_is_kept(storage: Storage, kind: str) -> None:
    async def pages(n: int) -> AsyncIterator[Any]:
        yield {"n": n, "page": 1}
        yield {"n": n, "page": WHEN}
        if n == 0 and kind == "timeout":
            await asyncio.Event().wait()
        if n == 0:
            raise KeyError("next")

    def plain(n: int) -> Iterator[Any]:
        yield {"n": n, "page": 1}
        yield {"n": n, "page": WHEN}
        if n == 0:
            raise KeyError("next")

    limit = 0.05 if kind == "timeout" else None
    run = await start(storage, plain if kind == "plain" else pages, numbers(2), retry=NEVER, timeout=limit)
    assert (run.inputs, run.records) == ({"completed": 1, "failed": 1}, {"completed": 4, "failed": 1})
    kept = [{"n": n, "page": page} for n in range(2) for page in (1, "2026-01-31")]
    assert sorted(await data(storage), key=str) == sorted(kept, key=str)
    (made,) = await attempts(storage, 0)
    assert (made.status, made.error_type) == ("failed", "TimeoutError" if kind == "timeout" else "KeyError")
    assert made.conversions == (Conversion("date", 1, ("$[1].page",)),)
    run = await retry(storage, RUN, plain if kind == "plain" else Calls(), retry=NEVER, progress="quiet")
    completed = {"completed": 4, "failed": 1} if kind == "plain" else {"completed": 3, "cancelled": 2}
    assert run.records == completed


async def test_what_earlier_attempts_yielded_is_kept_as_versions(storage: Storage) -> None:
    """Also of an attempt that is stopped, and of more outputs than the last attempt has."""
    yielding, attempt = asyncio.Event(), 0

    async def pages(n: int) -> AsyncIterator[Any]:
        nonlocal attempt
        attempt += 1
        yield {"n": n, "attempt": attempt}
        if attempt == 1:
            yield {"n": n, "when": WHEN}
            raise ConnectionError
        if attempt == 2:
            yielding.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(start(storage, pages, numbers(1), grace=0))
    await yielding.wait()
    running.cancel()
    await asyncio.wait([running])
    assert (await statuses(storage))[1] == {"pending": 1}
    run = await resume(storage, RUN, pages, progress="quiet")
    assert (run.records, run.attempts) == ({"completed": 1}, 3)
    (record,) = await records(storage)
    ledger = storage.ledger
    versions = await ledger.list_versions(record.record_uid)
    assert [(one.number, one.status, one.error_message) for one in versions] == [
        (1, "completed", None),
        (2, "failed", "the attempt was stopped before it ended"),
        (3, "completed", None),
    ]
    for version in versions:
        assert await ledger.get_version_data(record.record_uid, version.number) == {"n": 0, "attempt": version.number}
    second = f"{record.job_id}-1"
    assert await ledger.get_version_data(second, 1) == {"n": 0, "when": "2026-01-31"}


async def test_what_was_returned_is_kept_if_the_run_is_stopped_while_it_is_checked(storage: Storage) -> None:
    checking = asyncio.Event()

    async def accept(data: dict[str, Any]) -> bool:
        checking.set()
        await asyncio.Event().wait()
        return True

    running = asyncio.create_task(start(storage, lambda n: {"n": n, "when": WHEN}, numbers(1), accept=accept, grace=0))
    await checking.wait()
    running.cancel()
    await asyncio.wait([running])
    assert (await statuses(storage))[1] == {"pending": 1}
    (job,) = await storage.list_execution_jobs(RUN)
    assert await storage.ledger.get_version_data(f"{job.job_id}-0", 1) == {"n": 0, "when": "2026-01-31"}


async def test_a_generator_that_ends_in_a_panic_has_made_what_it_yielded(storage: Storage) -> None:
    class Panic(BaseException):
        pass

    async def pages(n: int) -> AsyncIterator[Any]:
        yield {"n": n}
        raise Panic

    run = await start(storage, pages, numbers(1), retry=NEVER)
    assert run.records == {"completed": 1, "failed": 1}


async def test_checks_are_run_again_over_records_of_several_attempts(storage: Storage) -> None:
    run = await start(storage, lambda n: [{"n": n}, {"n": n + 10}])
    await retry(
        storage, RUN, lambda n: [{"n": n}, {"n": n + 20}], where=Where(statuses=["completed"]), progress="quiet"
    )
    for record in await records(storage):
        if record.record_uid.endswith("-1"):
            await storage.ledger.restore_version(record.record_uid, 1)
    run = await retry(storage, RUN, recheck=True, accept=lambda data: data["n"] < 10, progress="quiet")
    assert run.records == {"completed": 3, "filtered": 3}
    assert run.rechecked == {"completed to filtered": 3, "unchanged": 3}


async def test_a_broken_check_takes_nothing_away(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    await start(storage, lambda n: [{"n": n}, {"n": n + 10}], numbers(2), unique_by="n", accept=lambda d: d["n"] != 1)

    def broken(data: dict[str, Any]) -> bool:
        return {0: False}[data["n"]]

    run = await retry(storage, RUN, recheck=True, accept=broken, unique_by="n", progress="quiet")
    assert run.records == {"completed": 2, "filtered": 2}
    assert run.rechecked == {"completed to filtered": 1, "unchanged": 3}
    assert "3 outputs stay as before: accept raised KeyError" in caplog.text
    run = await retry(storage, RUN, recheck=True, accept=lambda data: True, unique_by="n", progress="quiet")
    assert (run.records, run.rechecked["filtered to completed"]) == ({"completed": 4}, 2)


async def test_a_verdict_on_what_a_retry_replaces_meanwhile_is_not_stored(storage: Storage) -> None:
    await start(storage, lambda n: {"n": n, "made": 1}, numbers(1))
    judging, replaced = asyncio.Event(), asyncio.Event()

    async def accept(data: dict[str, Any]) -> bool:
        judging.set()
        await replaced.wait()
        return data["made"] == 2

    rechecking = asyncio.create_task(retry(storage, RUN, recheck=True, accept=accept, progress="quiet"))
    await judging.wait()
    await retry(storage, RUN, lambda n: {"n": n, "made": 2}, where=Where(statuses=["completed"]), progress="quiet")
    replaced.set()
    run = await rechecking
    assert (run.rechecked, run.records) == ({}, {"completed": 1})


async def test_nothing_may_be_no_output(storage: Storage) -> None:
    run = await start(storage, lambda n: [None, [], [None, {"n": n}]][n], on_empty="skip")
    assert (run.status, run.records, run.inputs) == ("completed", {"completed": 1}, {"completed": 3})
    run = await start(storage, lambda n: None, numbers(1), master_job_id="run-2")
    assert (run.status, run.records) == ("failed", {"failed": 1})
    (group,) = await storage.ledger.list_errors("run-2")
    assert "None is no output; return data, or pass on_empty='skip'" in str(group.example)
    with pytest.raises(InvalidInputError, match="on_empty must be 'fail' or 'skip', not 'drop'"):
        await start(storage, lambda n: None, on_empty="drop")


class Answer(BaseModel):
    n: int
    answer: int = Field(alias="Answer", default=0)


async def test_checks_are_run_again_without_calling_anything(storage: Storage) -> None:
    """Broken, refusing and passing checks become right ones; what the function itself said stays."""
    calls = Calls()

    async def answer(n: int) -> Any:
        await calls(n)
        if n == 5:
            return Filtered({"n": n}, "mine")
        if n == 6:
            raise ValueError("no answer")
        return [{"n": n, "key": n % 3}, {"n": n, "key": object()}] if n == 7 else {"n": n, "key": n % 3}

    def broken(data: dict[str, Any]) -> Any:
        return {0: True, 1: "too small", 2: None}.get(data["n"]) if data["n"] != 3 else data["nowhere"]

    schema = {"properties": {"n": {"maximum": 3}}}
    run = await start(storage, answer, numbers(8), accept=broken, output_schema=schema, retry=NEVER)
    assert run.records == {"completed": 1, "filtered": 2, "failed": 6}
    before = {one.record_uid: (one.status, one.error_message, one.output_ref) for one in await records(storage)}

    run = await retry(storage, RUN, recheck=True, accept=lambda data: True, unique_by="key", output_schema={})
    assert len(calls.made) == 8
    assert (run.attempts, run.status) == (8, "completed_with_errors")
    assert (
        run.rechecked
        == {
            "failed to completed": 2,
            "failed to duplicate": 2,
            "completed to duplicate": 1,
            "unchanged": 3,
            "filtered to completed": 1,
        }
        or sum(run.rechecked.values()) == 9
    )
    assert run.records == {"completed": 3, "duplicate": 3, "filtered": 1, "failed": 2}
    now = {one.record_uid: (one.status, one.error_message, one.output_ref) for one in await records(storage)}
    for uid, (status, message, ref) in now.items():
        assert ref == before[uid][2]
        if message in ("mine", "ValueError: no answer") or str(message).startswith("return: "):
            assert (status, message) == before[uid][:2]
    again = await retry(storage, RUN, recheck=True, accept=lambda data: True, unique_by="key", output_schema={})
    assert again.rechecked == {"unchanged": 9}
    assert (await statuses(storage))[1] == {"completed": 3, "duplicate": 3, "filtered": 1, "failed": 1}

    for wrong in ({"where": None, "function": answer}, {"forget": ["x"]}):
        with pytest.raises(InvalidInputError, match="recheck=True calls no function"):
            await retry(storage, RUN, recheck=True, **wrong)  # pyright: ignore[reportArgumentType]


async def test_what_fitted_its_schema_is_not_failed_by_how_it_is_stored(storage: Storage) -> None:
    """A model's instance may dump itself in a way that neither its JSON Schema nor itself takes strictly."""
    run = await start(storage, lambda n: Answer(n=n), numbers(1), output_schema=Answer)
    for schema in (None, Answer):
        run = await retry(storage, RUN, recheck=True, output_schema=schema)
        assert (run.rechecked, run.records) == ({"unchanged": 1}, {"completed": 1})
    assert await data(storage) == [{"n": 0, "answer": 0}]


async def test_a_run_that_has_not_ended_is_rechecked_as_far_as_it_is(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> Any:
        context.log_usage(cost=1)
        return {"n": n}

    run = await start(storage, answer, numbers(6), accept=lambda data: None, max_cost=2, max_concurrency=1)
    assert (run.status, run.inputs) == ("cancelled", {"failed": 2, "pending": 4})
    run = await retry(storage, RUN, recheck=True, accept=lambda data: True)
    assert (run.status, run.inputs, run.rechecked) == (
        "cancelled",
        {"completed": 2, "pending": 4},
        {"failed to completed": 2},
    )
    assert run.done_before == 2
    run = await resume(storage, RUN, answer, accept=lambda data: True, max_cost=100.0, progress="quiet")
    assert (run.status, run.records, run.cost) == ("completed", {"completed": 6}, 6)


async def test_what_steps_reply_is_noted_and_counted_too(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(n: int, context: Context) -> Any:
        reply = await context.once("ask", lambda: {"when": WHEN, "score": float("nan")})
        return {"n": n, "reply": reply, "when": WHEN}

    run = await start(storage, answer, numbers(2))
    assert (run.records, run.conversions) == ({"completed": 2}, {"date": 4, "nan": 2})
    assert len([one for one in caplog.records if "JSON form" in one.getMessage()]) == 2


async def test_a_misfit_is_retried_if_asked_for(storage: Storage) -> None:
    replies = ["no number", 5, "none", "none"]
    asked: list[int] = []

    async def answer(n: int) -> Any:
        asked.append(n)
        return {"n": n, "answer": replies[len(asked) - 1]}

    schema = {"properties": {"answer": {"type": "integer"}}}
    options: dict[str, Any] = {"output_schema": schema, "retry": AT_ONCE, "max_concurrency": 1, "project": "p"}
    run = await start(storage, answer, numbers(1), **options, retry_on_misfit=True)
    assert (run.records, run.attempts, run.failed_attempts) == ({"completed": 1}, 2, 1)
    first, last = await attempts(storage, 0)
    assert (first.status, first.error_type, first.error_message) == (
        "failed",
        "OutputMisfitError",
        "output_schema: at $.answer: type must be integer",
    )
    assert last.status == "completed"
    uid = (await records(storage))[0].record_uid
    versions = await storage.ledger.list_versions(uid)
    assert [(one.status, one.is_current) for one in versions] == [("failed", False), ("completed", True)]
    assert await storage.ledger.get_version_data(uid, 1) == {"n": 0, "answer": "no number"}
    run = await generate(storage, answer, numbers(1), **options, progress="quiet")
    assert (run.records, run.attempts) == ({"failed": 1}, 1)  # not asked for
    with pytest.raises(InvalidInputError, match="retry_on_misfit must be True or False"):
        await start(storage, answer, retry_on_misfit="yes")
