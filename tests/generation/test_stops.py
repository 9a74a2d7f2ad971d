"""When a run stops because of what fails: how many calls are made, and what is left for `resume`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from generation.runs import NEVER, RUN, Calls, attempts, numbers, start, statuses
from servers.paying import PayingServer
from starfish_storage.generation import Context, Progress, resume
from starfish_storage.generation.failures import Failures
from starfish_storage.interface import Storage
from starfish_storage.runs import Attempt, ClaimedInput, Outcome, Output


def asking(server: PayingServer) -> Callable[..., Any]:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        reply = await server.ask_async(f"question {n}.")
        context.log_usage(cost=1)
        return {"n": n, "text": reply["text"]}

    return answer


async def until_stopped(storage: Storage) -> None:
    while (state := await storage.ledger.get_run(RUN)) is None or state.stop_reason is None:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["unauthorized", "forbidden", "quota", "credit"])
async def test_a_refused_key_stops_the_run_at_once_and_no_input_fails_for_it(
    storage: Storage, paying_server: PayingServer, kind: str
) -> None:
    paying_server.tell(kind, match="question 2.")
    if kind == "forbidden":  # once, it may be that very question
        paying_server.tell(kind, match="question 3.")
    answer = asking(paying_server)
    run = await start(storage, answer, numbers(40), max_concurrency=1)
    assert (run.status, run.failed_attempts) == ("cancelled", 2 if kind == "forbidden" else 1)
    assert run.inputs == {"completed": 2, "pending": 38}
    assert run.stop_reason is not None
    assert run.stop_reason.startswith("failing: ModelError: ")
    assert paying_server.requests.total() == (4 if kind == "forbidden" else 3)
    (made,) = await attempts(storage, 2)
    assert (made.status, made.error_type) == ("failed", "ModelError")

    run = await resume(storage, RUN, answer, progress="quiet")
    assert (run.status, run.records) == ("completed", {"completed": 40})
    assert set(paying_server.payments.values()) == {1}


async def test_of_the_first_input_403_is_enough(storage: Storage, paying_server: PayingServer) -> None:
    paying_server.tell("forbidden", times=None)
    run = await start(storage, asking(paying_server), numbers(40), max_concurrency=1)
    assert (run.status, run.inputs, paying_server.requests.total()) == ("cancelled", {"pending": 40}, 1)


async def test_a_question_that_is_forbidden_fails_alone(storage: Storage, paying_server: PayingServer) -> None:
    for n in (2, 5):
        paying_server.tell("forbidden", match=f"question {n}.")
    run = await start(storage, asking(paying_server), numbers(8), max_concurrency=1)
    assert (run.status, run.inputs) == ("completed_with_errors", {"completed": 6, "failed": 2})


async def test_the_calls_in_flight_end_and_are_kept(storage: Storage, paying_server: PayingServer) -> None:
    paying_server.tell("held", match="question 0.")
    paying_server.tell("unauthorized", match="question 1.")
    running = asyncio.create_task(start(storage, asking(paying_server), numbers(40), max_concurrency=2, grace=0))
    await asyncio.to_thread(paying_server.wait_held)
    await until_stopped(storage)
    paying_server.release()
    run = await running
    assert (run.status, run.inputs, run.cost) == ("cancelled", {"completed": 1, "pending": 39}, 1)


async def test_the_first_twenty_that_fail_alike_stop_the_run(storage: Storage, paying_server: PayingServer) -> None:
    shown: list[Progress] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        reply = await paying_server.ask_async(f"question {n}.")
        context.log_usage(cost=1)
        raise ValueError(f"no number in answer {n}: {reply['text']!r}")

    run = await start(storage, answer, numbers(100), max_concurrency=1, progress=shown.append)
    assert paying_server.payments.total() == 60
    assert (run.status, run.inputs, run.cost) == ("cancelled", {"pending": 100}, 60)
    assert run.stop_reason is not None
    assert run.stop_reason.startswith("failing: the first 20 inputs ended with ValueError: no number in answer")
    assert "60 times ValueError: no number in answer 0" in str(shown[-1])

    run = await resume(storage, RUN, asking(paying_server), progress="quiet")
    assert (run.status, run.records) == ("completed", {"completed": 100})
    assert paying_server.payments.total() == 160


async def test_a_run_that_had_no_more_to_begin_ends_with_its_failures(storage: Storage) -> None:
    async def fails(n: int) -> None:
        raise ValueError(n)

    run = await start(storage, fails, numbers(20), retry=NEVER)
    assert (run.status, run.inputs, run.stop_reason) == ("failed", {"failed": 20}, None)


async def test_refused_outputs_stop_the_run_and_keep_their_data(storage: Storage) -> None:
    calls = Calls()
    schema = {"type": "object", "properties": {"n": {"type": "string"}}}
    run = await start(storage, calls, numbers(60), max_concurrency=1, output_schema=schema)
    assert (run.status, run.inputs) == ("cancelled", {"failed": 20, "pending": 40})
    assert len(calls.made) == 20


async def test_so_do_outputs_that_only_the_store_finds_fault_with(storage: Storage) -> None:
    async def with_a_client(n: int) -> dict[str, Any]:
        return {"n": n, "client": object()}

    run = await start(storage, with_a_client, numbers(40), max_concurrency=1)
    assert (run.status, run.inputs) == ("cancelled", {"failed": 20, "pending": 20})
    assert run.stop_reason == (
        "failing: the first 20 inputs ended with return: at $.client: "
        "an object of type builtins.object has no JSON form"
    )


@pytest.mark.parametrize(
    ("limit", "made"), [(3, 5), (0.5, 20), (math.inf, 60), (1000, 60)], ids=["number", "share", "never", "not reached"]
)
async def test_max_failures(storage: Storage, limit: float, made: int) -> None:
    seen: list[int] = []

    async def fails(n: int) -> dict[str, Any]:
        seen.append(n)
        if n < 2:
            return {"n": n}
        raise ValueError("always the same")

    run = await start(storage, fails, numbers(60), max_concurrency=1, retry=NEVER, max_failures=limit)
    assert len(seen) == made
    assert run.inputs == {"completed": 2, "failed": made - 2} | ({"pending": 60 - made} if made < 60 else {})
    assert run.status == ("cancelled" if made < 60 else "completed_with_errors")
    if made < 60:
        # What may fail is counted anew, and so are the first twenty.
        again = await resume(storage, RUN, Calls(), progress="quiet")
        assert again.inputs == {"completed": 62 - made, "failed": made - 2}


async def test_the_other_workers_of_a_run_stop_too(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    calls = Calls(held=range(60))

    async def refused(n: int) -> None:
        class AuthenticationError(Exception):
            status_code = 401

        raise AuthenticationError

    holding = asyncio.create_task(start(storage, calls, numbers(60), max_concurrency=1, grace=0))
    await calls.until(1)
    run = await resume(storage, RUN, refused, inputs=[], max_concurrency=2, progress="quiet")
    assert (run.status, run.inputs) == ("running", {"running": 1, "pending": 59})
    while caplog.text.count("stops: failing: AuthenticationError") < 2:
        await asyncio.sleep(0.01)
    calls.release.set()  # it may take its time, whatever the grace
    assert (await holding).inputs == {"completed": 1, "pending": 59}
    assert "cancelling the calls" not in caplog.text
    assert await statuses(storage) == ("cancelled", {"completed": 1, "pending": 59})


NOW = datetime(2026, 1, 31, tzinfo=UTC)


def failed(message: str, number: int = 0, kind: str | None = "ValueError", data: Any = None) -> Outcome:
    claimed = ClaimedInput(f"job-{number}", RUN, number, {}, 0)
    attempt = Attempt(claimed.job_id, RUN, 1, "w", "failed" if kind else "completed", NOW, NOW, kind, message)
    return Outcome(claimed, "w", attempt, [Output("failed", data, message)], message)


SAME = [
    ("no answer after 12.5 s", "no answer after 3 s"),
    ("request req_0123abc of 2026-01-31T10:00:00Z failed", "request req_99zz9 of 2026-02-01T11:11:11Z failed"),
    ("cannot read 'Paris is'", "cannot read 'The capital'"),
    ("503 at https://api/v1/x", "504 at https://api/v1/x"),
    ("x" * 500 + "a", "x" * 500 + "b"),
]
OTHER = [("no answer", "no question"), ("", "no answer")]


@pytest.mark.parametrize(("first", "second", "are_same"), [(*p, True) for p in SAME] + [(*p, False) for p in OTHER])
def test_what_is_the_same_error(first: str, second: str, are_same: bool) -> None:
    failures = Failures()
    stops = [failures.failed(failed((first, second)[n % 2], n), ValueError()) for n in range(20)]
    assert stops[:19] == [None] * 19
    assert (stops[19] is not None) == are_same
    assert failures.failed(failed(second, 21, "KeyError"), KeyError()) is None


def test_fifty_in_a_row() -> None:
    failures = Failures()
    failures.succeeded()
    assert [failures.failed(failed("same", n), ValueError()) for n in range(49)] == [None] * 49
    failures.succeeded()
    stops = [failures.failed(failed("same", n), ValueError()) for n in range(50)]
    assert stops[:49] == [None] * 49
    assert stops[49] is not None
    assert failures.again == []  # it does not stop yet
    failures.reason = stops[49].reason
    assert failures.again == [f"job-{n}" for n in range(50)]
    assert failures.takes_back(failed("same", 99))
    assert not failures.takes_back(failed("another", 99))
    assert not failures.takes_back(failed("same", 99, data={"n": 1}))  # it yielded something before


def test_what_another_worker_stops_for() -> None:
    failures = Failures()
    failures.failed(failed("host 10 does not answer", 3), ValueError())
    failures.reason = "failing: the first 20 inputs ended with ValueError: host 77 does not answer"
    assert failures.again == ["job-3"]
    failures.reason = "max_cost 3 reached"
    assert failures.again == []
