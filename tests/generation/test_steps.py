"""Which replies of paid steps are used again and which are asked again: a model outside the process counts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from durability import processes
from generation.paid_steps import BOTH, Ask, chain, lenient, replies, steps
from generation.runs import AT_ONCE, NEVER, RUN, attempts, data, numbers, open_store, start
from generation.steps_process import judged
from servers.paying import PayingServer
from starfish_storage.errors import StorageUnavailableError
from starfish_storage.generation import Context, resume, retry
from starfish_storage.generation.replies import Reask
from starfish_storage.interface import Storage

# --- the n-th call of a name ----------------------------------------------------------------------------------------


async def test_halves_of_a_character_are_joined_before_the_function_gets_them(storage: Storage) -> None:
    """So a retry gets what the first attempt got, and what is stored."""
    got: list[str] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        got.append(await context.once("stream", lambda: "cut \ud83d" + "\ude00"))
        return {"text": got[-1]}

    await start(storage, answer, numbers(1))
    assert got == ["cut \U0001f600"]
    assert await data(storage) == [{"text": "cut \U0001f600"}]


async def test_the_nth_call_of_a_name_is_its_nth_step(storage: Storage, paying_server: PayingServer, ask: Ask) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        call = ask(context, f"sample {n}")
        together = await asyncio.gather(*[context.once("sample", call) for _ in range(4)])
        for _ in range(3):
            together.append(await context.once("sample", call))
        if context.attempt == 1:
            raise ConnectionError
        return {"n": n, "samples": [json.loads(one)["reply"] for one in together]}

    run = await start(storage, answer, numbers(2))
    assert run.cost == 14
    assert paying_server.payments == {"sample 0": 7, "sample 1": 7}
    first, second = await data(storage)
    assert sorted(first["samples"]) == sorted(second["samples"]) == [1, 2, 3, 4, 5, 6, 7]
    again = await retry(storage, RUN, answer, where=BOTH, progress="quiet")
    assert again.cost == 14
    assert await data(storage) == [first, second], "each call gets its own reply again, in whatever order they came"


async def test_a_step_is_numbered_when_it_is_called_and_awaited_later(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        late, early = context.once("step", lambda: "first"), context.once("step", lambda: "second")

        async def never() -> str:
            raise AssertionError("it is not called")

        _left = context.once("left", never())  # nothing is paid, and Python warns of nothing
        del _left
        task = asyncio.create_task(context.once("task", lambda: "task"))
        async with asyncio.TaskGroup() as group:
            other = group.create_task(early)
        got = [other.result(), await late, await task]
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await late
        return {"n": n, "got": got}

    run = await start(storage, answer, numbers(1))
    assert run.records == {"completed": 1}, (await attempts(storage))[-1].error_traceback
    assert (await data(storage))[0]["got"] == ["second", "first", "task"]
    assert [(one.call, one.result["result"]) for one in await steps(storage, "step")] == [(2, "second"), (1, "first")]


# --- which replies are used again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unavailable", "limited", "broken", "hang_up"])
async def test_an_error_of_a_call_says_nothing_about_earlier_replies(
    storage: Storage, paying_server: PayingServer, ask: Ask, kind: str
) -> None:
    paying_server.tell(kind, match="judge", times=2, retry_after=0)
    run = await start(storage, chain(ask, json.loads), numbers(1))
    assert (run.records, run.cost) == ({"completed": 1}, 3)
    assert paying_server.payments == {"question 0": 1, "answer 0": 1, "judge 0": 1}
    assert {status for *_, status in await replies(storage)} == {"kept"}


async def test_a_truncated_reply_is_asked_for_again_and_kept_as_rejected(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    paying_server.tell("truncated", match="judge", times=2)
    run = await start(storage, chain(ask, json.loads), numbers(1))
    assert (run.records, run.attempts, run.cost) == ({"completed": 1}, 3, 5)
    assert paying_server.payments == {"question 0": 1, "answer 0": 1, "judge 0": 3}
    first, second, third = await steps(storage, "judge")
    assert [(one.reply, one.attempt, one.status) for one in (first, second, third)] == [
        (1, 1, "rejected"),
        (2, 2, "rejected"),
        (3, 3, "kept"),
    ]
    assert first.reason is not None
    assert first.reason.startswith("JSONDecodeError after it: ")
    assert first.rejected_by == second.rejected_by != third.rejected_by is None
    assert json.loads(third.result["result"])["reply"] == 3


async def test_mended_code_tries_the_stored_replies_first_and_the_latest_before_the_others(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    paying_server.tell("truncated", match="judge", times=None)
    strict = chain(ask, json.loads)
    run = await start(storage, strict, numbers(1))
    assert (run.inputs, run.cost, paying_server.payments["judge 0"]) == ({"failed": 1}, 5, 3)
    run = await retry(storage, RUN, chain(ask, lenient), progress="quiet")
    assert (run.records, run.cost) == ({"completed": 1}, 5), "a mended parser costs nothing"
    assert await replies(storage) == [
        ("answer", 1, 1, "kept"),
        ("judge", 1, 1, "rejected"),
        ("judge", 1, 2, "rejected"),
        ("judge", 1, 3, "kept"),  # the latest, which the function could use
        ("question", 1, 1, "kept"),
    ]

    def stricter(text: str) -> Any:
        return json.loads(text)["answer"]

    # Code that can use none of the three tries each once, which counts as no attempt, and asks then.
    paying_server.reset()
    run = await retry(storage, RUN, chain(ask, stricter), where=BOTH, retry=NEVER, progress="quiet")
    assert (run.records, run.cost, paying_server.payments) == ({"completed": 1}, 6, {"judge 0": 1})
    assert (run.attempts, run.failed_attempts) == (8, 6)


async def test_a_defect_is_not_retried_and_pays_nothing_once_it_is_mended(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    def broken(text: str) -> Any:
        raise AttributeError(text)

    run = await start(storage, chain(ask, broken), numbers(1))
    assert (run.attempts, run.cost) == (1, 3)
    run = await retry(storage, RUN, chain(ask, broken), progress="quiet")
    assert (run.attempts, run.cost, paying_server.payments["judge 0"]) == (2, 4, 2), "the same code asks the last again"
    run = await retry(storage, RUN, chain(ask, lenient), progress="quiet")
    assert (run.records, run.cost) == ({"completed": 1}, 4)


async def test_replies_that_came_together_are_asked_again_in_turn(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    """Otherwise a truncated one, unless it is the last, would be read for ever."""
    paying_server.tell("truncated", match="sample 1")

    async def answer(n: int, context: Context) -> dict[str, Any]:
        calls = [context.once("sample", ask(context, f"sample {number}")) for number in range(3)]
        return {"n": n, "samples": [json.loads(one) for one in await asyncio.gather(*calls)]}

    run = await start(storage, answer, numbers(1), retry=AT_ONCE)
    if run.inputs == {"failed": 1}:
        run = await retry(storage, RUN, answer, retry=AT_ONCE, progress="quiet")
    assert run.records == {"completed": 1}
    assert all(count <= 2 for count in paying_server.payments.values())
    assert paying_server.payments["sample 1"] == 2


@pytest.mark.parametrize(
    ("reask", "same", "changed"),
    [
        ("auto", (1, 1, 2), (1, 1, 1)),
        ("never", (1, 1, 1), (1, 1, 1)),
        ("last", (1, 1, 2), (1, 1, 2)),
        ("all", (2, 2, 2), (2, 2, 2)),
    ],
)
async def test_reask_says_what_is_asked_again(
    storage: Storage,
    paying_server: PayingServer,
    ask: Ask,
    reask: Reask,
    same: tuple[int, ...],
    changed: tuple[int, ...],
) -> None:
    """A row of the table in docs/runs.md: the payments for question, answer and judge after a retry."""

    def paid() -> tuple[int, ...]:
        return tuple(paying_server.payments[f"{name} 0"] for name in ("question", "answer", "judge"))

    paying_server.tell(text="no JSON", match="judge", times=None)
    strict = chain(ask, json.loads)
    for function, expected in ((strict, same), (chain(ask, lenient), changed)):
        paying_server.reset()
        paying_server.tell(text="no JSON", match="judge", times=None)
        run_id = f"{RUN}-{expected}-{function is strict}"
        await start(storage, strict, numbers(1), master_job_id=run_id, retry=NEVER, reask=reask)
        await retry(storage, run_id, function, retry=NEVER, progress="quiet")
        assert paid() == expected


async def test_after_a_failed_call_all_asks_again_and_the_others_nothing(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    function = chain(ask, json.loads)
    for reask, expected in (("auto", 1), ("last", 1), ("never", 1), ("all", 2)):
        paying_server.reset()
        paying_server.tell("broken", match="judge")
        await start(storage, function, numbers(1), master_job_id=f"{RUN}-{reask}", reask=reask)
        assert paying_server.payments == {"question 0": expected, "answer 0": expected, "judge 0": 1}


async def test_an_output_that_does_not_fit_is_asked_for_again_only_if_that_is_wanted(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    schema = {"type": "object", "properties": {"verdict": {"type": "object"}}}
    paying_server.tell(text='"no object"', match="judge", times=2)
    function = chain(ask, json.loads)
    run = await start(storage, function, numbers(1), output_schema=schema)
    assert (run.records, run.attempts, run.cost) == ({"failed": 1}, 1, 3)
    run = await retry(storage, RUN, function, progress="quiet")
    assert (run.records, run.attempts, run.cost) == ({"failed": 1}, 2, 3)
    run = await retry(storage, RUN, function, retry_on_misfit=True, progress="quiet")
    assert (run.records, run.attempts, run.cost) == ({"completed": 1}, 5, 5), "read, asked, and asked again"
    assert [one.status for one in await steps(storage, "judge")] == ["rejected", "rejected", "kept"]


@pytest.mark.parametrize("tries", [1, 2])
async def test_a_kill_between_an_attempt_and_its_mark_pays_for_nothing(
    storage: Storage, paying_server: PayingServer, ask: Ask, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """The bad reply is read once more, marked then, and asked for again."""

    async def killed(*_given: object, **_named: object) -> None:
        raise StorageUnavailableError("there", 60, "it does not answer")

    paying_server.tell("truncated", match="judge")
    strict, patient = chain(ask, json.loads), replace(AT_ONCE, attempts=tries)
    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "mark_step", killed)
        with pytest.raises(StorageUnavailableError):
            await start(storage, strict, numbers(1), retry=patient)
    again = retry if tries == 1 else resume
    run = await again(storage, RUN, strict, retry=AT_ONCE, progress="quiet")
    assert (run.records, run.cost, paying_server.payments["judge 0"]) == ({"completed": 1}, 4, 2)
    assert (run.attempts, run.failed_attempts) == (3, 2)
    assert [one.reply for one in await steps(storage, "judge") if one.status == "rejected"] == [1]


async def test_what_a_killed_process_had_paid_for_is_used_by_the_next(
    store: str, paying_server: PayingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYING_PORT", str(paying_server.port))
    paying_server.tell("held", match="judge")
    with processes.start(["-m", "generation.steps_process", store]) as process:
        await asyncio.to_thread(paying_server.wait_held)
        process.kill()
    paying_server.release()
    async with open_store(store) as storage:
        run = await resume(storage, RUN, judged, progress="quiet")
        assert (run.records, run.cost, run.attempts) == ({"completed": 1}, 3, 2)
        assert paying_server.payments == {"question 0": 1, "answer 0": 1, "judge 0": 2}, "what was in flight, again"


async def test_the_code_of_another_process_is_the_same_code(
    store: str, paying_server: PayingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYING_PORT", str(paying_server.port))
    paying_server.tell("truncated", match="judge")
    status, _, error = await asyncio.to_thread(processes.run, ["-m", "generation.steps_process", store])
    assert status == 0, error
    async with open_store(store) as storage:
        run = await retry(storage, RUN, judged, retry=NEVER, progress="quiet")
        assert (run.records, run.cost, run.attempts) == ({"completed": 1}, 4, 2)
        assert paying_server.payments == {"question 0": 1, "answer 0": 1, "judge 0": 2}
