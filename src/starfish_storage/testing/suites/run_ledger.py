"""The contract of a run's ledger: paid steps, and the run as a whole."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from starfish_storage.errors import (
    InvalidDataError,
    InvalidInputError,
    InvalidStatusError,
    NotFoundError,
    ParentNotFoundError,
)
from starfish_storage.interface import Storage
from starfish_storage.runs import (
    Conversion,
    ErrorGroup,
    InputAccount,
    Output,
    Step,
    StepTotal,
    Usage,
    output_record_uid,
)
from starfish_storage.testing.samples import JOB, MASTER_JOB, a_record, an_execution_job, at
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_samples import (
    a_worker,
    an_attempt,
    an_outcome,
    claim,
    kept,
    run_again,
    start,
    there,
)
from starfish_storage.testing.suites.suite import StorageSuite, refused


class StepTests(StorageSuite):
    """Paid steps."""

    async def test_replies_to_a_step_are_numbered(self, storage: Storage) -> None:
        """By name and call, for one input; none takes the place of another, and all are listed as they were stored."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        first = Step(one.job_id, "z\0 ☃", {"result": {"é": [1, 2**70]}}, 1, at(6), (Usage("m", 1, 2, 0.5),))
        second = Step(one.job_id, "a", {"result": None}, 1, at(7))
        third = replace(second, call=2, status="rejected", reason="short\0", rejected_by="code 1")
        assert [await ledger.save_step(step) for step in (first, second, third)] == [1, 1, 1]
        assert await ledger.save_step(replace(second, reply=7)) == 2
        assert await ledger.list_replies(one.job_id, "z\0 ☃") == [first]
        assert await ledger.list_replies(one.job_id, "a") == [second, replace(second, reply=2)]
        assert await ledger.list_replies(one.job_id, "a", 2) == [third]
        assert await ledger.list_replies(two.job_id, "a") == []
        slow = replace(second, name="b", attempt=2, saved_when=at(6))  # by a machine whose clock is behind
        await ledger.save_step(replace(first, attempt=2, saved_when=at(8)))
        await ledger.save_step(slow)
        await ledger.finish_input(an_outcome(one, kept()))
        found = await ledger.list_steps((await run_again(ledger, one)).job_id)
        assert [(step.name, step.call, step.reply, step.attempt) for step in found] == [
            ("z\0 ☃", 1, 1, 1), ("a", 1, 1, 1), ("a", 1, 2, 1), ("a", 2, 1, 1), ("b", 1, 1, 2), ("z\0 ☃", 1, 2, 2),
        ]  # fmt: skip

    async def test_many_replies_at_once_have_numbers_of_their_own(self, storage: Storage) -> None:
        """However their calls overlap, to one call of one step and to others."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        step = Step(one.job_id, "call", {"result": 1}, 1, at(6))
        given = [replace(step, job_id=job, call=call) for job in (one.job_id, two.job_id) for call in (1, 1, 2, 1)]
        numbers = await asyncio.gather(*map(ledger.save_step, given))
        assert [sorted(numbers[:4]), sorted(numbers[4:])] == [[1, 1, 2, 3], [1, 1, 2, 3]]
        assert len(await ledger.list_steps(one.job_id)) == 4
        done = await asyncio.gather(
            *map(ledger.save_step, (step, replace(step, job_id="nowhere"))), return_exceptions=True
        )
        assert [done[0], type(done[1])] == [4, ParentNotFoundError]

    async def test_replies_are_marked_and_counted(self, storage: Storage) -> None:
        """Rejected and forgotten ones stay; totals are of all replies."""
        ledger = await start(storage)
        one, two, three = await claim(ledger, 3)
        for job_id in (one.job_id, two.job_id):
            for name in ("ask", "judge", "judge"):
                usage = (Usage("m\0", 10, 5, 0.25), Usage(None, 1, 0, 0.5))
                await ledger.save_step(Step(job_id, name, {"result": 1}, 1, at(6), usage))
        for _ in range(2):
            await ledger.mark_step(one.job_id, "judge", 1, 1, "rejected", "truncated", "code 1")
        marked = (await ledger.list_replies(one.job_id, "judge"))[0]
        assert (marked.status, marked.reason, marked.rejected_by) == ("rejected", "truncated", "code 1")
        assert await ledger.count_steps(MASTER_JOB) == [
            StepTotal("ask", 2, 0, 0, 22, 10, 1.5), StepTotal("judge", 3, 1, 0, 44, 20, 3.0)
        ]  # fmt: skip
        assert await ledger.forget_steps(MASTER_JOB, ["judge", "unknown"], [one.job_id, three.job_id]) == 2
        forgotten = await ledger.list_replies(one.job_id, "judge")
        assert [(step.status, step.reason) for step in forgotten] == [("forgotten", "truncated"), ("forgotten", None)]
        assert [step.status for step in await ledger.list_replies(two.job_id, "judge")] == ["kept", "kept"]
        assert await ledger.forget_steps(MASTER_JOB, ["judge"]) == 2
        assert await ledger.forget_steps(MASTER_JOB, ["judge"]) == await ledger.forget_steps(MASTER_JOB, []) == 0
        assert (await ledger.count_steps(MASTER_JOB))[1] == StepTotal("judge", 0, 0, 4, 44, 20, 3.0)
        assert await ledger.count_steps("nowhere") == []
        with refused(NotFoundError, "judge"):
            await ledger.mark_step(one.job_id, "judge", 1, 3, "kept")
        with refused(InvalidStatusError):
            await ledger.mark_step(one.job_id, "judge", 1, 1, "lost")  # type: ignore[arg-type]
        with refused(ParentNotFoundError, "nowhere"):
            await ledger.forget_steps("nowhere", ["judge"])

    async def test_a_step_that_cannot_be_stored_is_refused(self, storage: Storage) -> None:
        """An earlier one stays."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        step = Step(claimed.job_id, "call", {"result": 1}, 1, at(6))
        await ledger.save_step(step)
        bad: list[tuple[Any, Step]] = [
            (ParentNotFoundError, replace(step, job_id="nowhere")),
            (InvalidDataError, replace(step, result={"result": math.inf})),
            (InvalidDataError, replace(step, result=[1])),  # type: ignore[arg-type]
            (InvalidInputError, replace(step, name="lone \ud800")),
            (InvalidInputError, replace(step, name=None)),  # type: ignore[arg-type]
            (InvalidInputError, replace(step, attempt=0)),
            (InvalidInputError, replace(step, call=0)),
            (InvalidInputError, replace(step, reason="lone \ud800")),
            (InvalidStatusError, replace(step, status="lost")),  # type: ignore[arg-type]
            (InvalidInputError, replace(step, attempt=2**70)),
            (InvalidInputError, replace(step, saved_when=None)),  # type: ignore[arg-type]
        ]
        for kind, given in bad:
            with refused(kind):
                await ledger.save_step(given)
        assert await ledger.list_steps(claimed.job_id) == [step]


class RunTests(StorageSuite):
    """The run as a whole."""

    async def test_inputs_are_accounted_for(self, storage: Storage) -> None:
        """With all that was paid for each, failed attempts too; execution jobs that are no inputs have cost nothing."""
        ledger = await start(storage)
        one, two, three = await claim(ledger, 3)
        failed = an_attempt(one, status="failed", usage=(Usage("m", 1, 2, 0.5), Usage("m", 10, 20, 0.25)))
        await ledger.save_attempt(failed)
        await ledger.finish_input(an_outcome(one, kept(), kept(), usage=(Usage("m", 100, 200, 1.0),)))
        await ledger.finish_input(an_outcome(two, kept()))
        await storage.log_execution_job_start(an_execution_job(run_config={"é": [2**70]}, run_config_hash=None))
        await storage.log_execution_job_start(an_execution_job("no-input", run_config=None, run_config_hash=None))
        jobs = [JOB, three.job_id, one.job_id, "nobody", two.job_id, "no-input"]
        assert await ledger.account_for_inputs(jobs) == {
            one.job_id: InputAccount(one.job_id, 0, {"question": 0}, 2, 111, 222, 1.75),
            two.job_id: InputAccount(two.job_id, 1, {"question": 1}, 1, 0, 0, 0.0),
            three.job_id: InputAccount(three.job_id, 2, {"question": 2}, 0, 0, 0, 0.0),
            JOB: InputAccount(JOB, None, {"é": [2**70]}, 0, 0, 0, 0.0),
            "no-input": InputAccount("no-input", None, None, 0, 0, 0, 0.0),
        }
        assert await ledger.account_for_inputs([]) == {}

    async def test_counts_of_the_master_job_are_brought_up_to_date(self, storage: Storage) -> None:
        """From its records, at any time."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        await ledger.finish_input(an_outcome(claimed, kept(), Output("duplicate", {}), Output("filtered", {})))
        state = await ledger.refresh_run(MASTER_JOB, at(100))
        assert state == await ledger.get_run(MASTER_JOB)
        job = await storage.get_master_job(MASTER_JOB)
        assert job is not None
        counts = (job.completed_record_count, job.filtered_record_count, job.duplicate_record_count)
        assert (*counts, job.failed_record_count, job.last_update_time) == (1, 1, 1, 0, at(100))
        with refused(NotFoundError, "nowhere"):
            await ledger.refresh_run("nowhere", at(100))

    async def test_workers_are_asked_to_stop(self, storage: Storage) -> None:
        """And that is taken back."""
        ledger = await start(storage)
        for reason in ("the cost is reached", "the cost is reached", None):
            await ledger.request_stop(MASTER_JOB, reason)
            assert there(await ledger.get_run(MASTER_JOB)).stop_reason == reason
        with refused(NotFoundError, "nowhere"):
            await ledger.request_stop("nowhere", None)
        with refused(InvalidInputError):
            await ledger.request_stop(MASTER_JOB, "lone \ud800")

    async def test_a_run_is_paused(self, storage: Storage) -> None:
        """Until a time by the ledger's clock; a pause that ends later stands."""
        ledger = await start(storage)
        state = there(await ledger.get_run(MASTER_JOB))
        assert (state.paused_until, state.pause_reason) == (None, None)
        before = await ledger.now()
        until = await ledger.pause_run(MASTER_JOB, 60, "rate limit")
        assert before + timedelta(seconds=60) <= until <= await ledger.now() + timedelta(seconds=60)
        assert await ledger.pause_run(MASTER_JOB, 1.5, "another") == until
        state = there(await ledger.get_run(MASTER_JOB))
        assert (state.paused_until, state.pause_reason) == (until, "rate limit")
        assert await ledger.pause_run(MASTER_JOB, 120, "longer") > until
        assert there(await ledger.refresh_run(MASTER_JOB, at(100))).pause_reason == "longer"
        with refused(NotFoundError, "nowhere"):
            await ledger.pause_run("nowhere", 1, "why")
        for seconds in (-1, math.inf, math.nan, 1e12, "1"):
            with refused(InvalidInputError):
                await ledger.pause_run(MASTER_JOB, seconds, "why")  # type: ignore[arg-type]

    async def test_conversions_are_counted(self, storage: Storage) -> None:
        """Over all attempts of a run, by kind."""
        ledger = await start(storage)
        (one, two) = await claim(ledger, 2)
        given = (Conversion("nan", 2, ("[0].a", "lone \0 ☃")), Conversion("set", 1))
        await ledger.save_attempt(an_attempt(one, status="failed", conversions=given))
        await ledger.finish_input(an_outcome(one, kept(), conversions=given[:1]))
        await ledger.finish_input(an_outcome(two, kept()))
        assert [attempt.conversions for attempt in await ledger.list_attempts(one.job_id)] == [given, given[:1]]
        assert await ledger.count_conversions(MASTER_JOB) == {"nan": 4, "set": 1}
        assert await ledger.count_conversions("nowhere") == {}
        with refused(InvalidInputError):
            await ledger.save_attempt(an_attempt(two, status="failed", conversions=(Conversion("nan", -1),)))

    async def test_errors_are_grouped_by_kind(self, storage: Storage) -> None:
        """The most frequent first, each with an example and whose it is; outputs that were refused stand together."""
        ledger = await start(storage, 5)
        held = await claim(ledger, 5)
        for one, kind in zip(held, ("A", "B", "B", "B"), strict=False):
            outcome = an_outcome(one, Output("failed", None, kind), status="failed", error_type=kind)
            await ledger.finish_input(replace(outcome, error_message=f"{kind} at {one.job_id}"))
        await ledger.finish_input(
            an_outcome(held[4], Output("failed", {"a": 1}, "unfit"), Output("failed", {}, "unfit"))
        )
        groups = await ledger.list_errors(MASTER_JOB)
        assert [(group.kind, group.inputs) for group in groups] == [("B", 3), ("refused output", 2), ("A", 1)]
        assert groups[0].example == f"B at {groups[0].job_id}"
        assert groups[0].job_id in {one.job_id for one in held[1:4]}
        assert groups[1] == ErrorGroup("refused output", 2, "unfit", held[4].job_id)
        assert await ledger.list_errors("nowhere") == []
        records = await storage.get_records_for_master_job(MASTER_JOB)
        failures = await ledger.find_failures([record.record_uid for record in records] + ["nowhere"])
        assert Counter(failures.values()) == {group.kind: group.inputs for group in groups}
        assert failures[output_record_uid(held[0].job_id, 0)] == "A"

    async def test_errors_of_jobs_without_attempts_are_of_an_unknown_kind(self, storage: Storage) -> None:
        """As those of the published API, and of Starfish, are. An output that was refused does not count twice."""
        ledger = await start(storage, 1)
        for name in ("broken", "refused"):
            await storage.log_execution_job_start(an_execution_job(name, attempted_generations=3))
            await storage.log_execution_job_end(name, "failed", {}, at(40), at(41), f"{name} it was")
        ref = await storage.save_record_data("of-refused", MASTER_JOB, "refused", {"a": 1})
        failed = {"status": "failed", "error_message": "unfit"}
        await storage.log_record_metadata(a_record("of-refused", "refused", output_ref=ref, **failed))
        await storage.log_record_metadata(a_record("of-broken", "broken", output_ref=None, **failed))
        assert await ledger.list_errors(MASTER_JOB) == [
            ErrorGroup("refused output", 1, "unfit", "refused"),
            ErrorGroup("unknown", 1, "broken it was", "broken"),
        ]
        kinds = await ledger.find_failures(["of-refused", "of-broken"])
        assert kinds == {"of-refused": "refused output", "of-broken": "unknown"}

    async def test_records_are_searched_by_their_error(self, storage: Storage) -> None:
        """Whatever the case of ASCII letters; by status and in pages."""
        ledger = await start(storage, 2)
        one, two = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(one, Output("filtered", {}, "Too SHORT"), Output("failed", None, "short")))
        await ledger.finish_input(an_outcome(two, Output("failed", None, "100% ärger"), kept()))

        async def search(text: str | None, *statuses: str, **page: Any) -> list[str]:
            found = await ledger.search_records(MASTER_JOB, statuses or None, text, **page)
            return sorted(str(record.error_message) for record in found)

        assert await search("short") == ["Too SHORT", "short"]
        assert await search("SHORT", "failed") == ["short"]
        assert await search("%") == ["100% ärger"]
        assert len(await search(None)) == 4
        assert len(await search("short", limit=1)) == 1
        assert len(await search("short", limit=5, offset=1)) == 1
        with refused(InvalidStatusError):
            await search("short", "broken")
        with refused(InvalidInputError):
            await search("lone \ud800")

    async def test_everything_is_there_after_reopening(self, storage: Storage, store: StoreUnderTest) -> None:
        """Claims, too: the worker may be alive in another process."""
        ledger = await start(storage, 4)
        one, two = await claim(ledger, 2)
        await ledger.save_step(Step(two.job_id, "call", {"result": 1}, 1, at(6), (Usage("m", 1, 1, 0.5),)))
        await ledger.finish_input(an_outcome(one, kept(0, "key"), usage=(Usage("m", 3, 4, 0.1),)))
        await ledger.complete_inputs(MASTER_JOB)
        await ledger.request_stop(MASTER_JOB, "why")
        state = await ledger.get_run(MASTER_JOB)
        await storage.close()
        async with store.open() as again:
            assert await again.ledger.get_run(MASTER_JOB) == state
            assert await again.ledger.list_workers(MASTER_JOB) == [a_worker()]
            assert len(await again.ledger.list_attempts(one.job_id)) == 1
            assert len(await again.ledger.list_steps(two.job_id)) == 1
            assert (await again.ledger.finish_input(an_outcome(two, kept(0, "key")))).status == "duplicate"
            assert [found.position for found in await claim(again.ledger, 9)] == [2, 3]

    async def test_of_what_is_drained_no_input_is_claimed(self, storage: Storage) -> None:
        """Of the store or of a run; what was claimed before is finished, and the state of a run says since when."""
        ledger = await start(storage)
        with refused(NotFoundError, "nobody"):
            await ledger.begin_drain("nobody")
        (first,) = await claim(ledger)
        for of in (None, MASTER_JOB):
            since = await ledger.begin_drain(of)
            assert (await ledger.begin_drain(of), await ledger.list_drains()) == (since, {of: since})
            assert await claim(ledger) == []
            state = await ledger.get_run(MASTER_JOB)
            assert state is not None
            assert state.drained_since == since
            assert [one.inputs for one in await ledger.list_working(of)] == [1]
            await ledger.end_drain(of)
        await ledger.begin_drain(MASTER_JOB)
        await ledger.finish_input(an_outcome(first, kept()))
        assert await ledger.list_working() == []
        await ledger.end_drain()
        assert await ledger.list_drains() == {}
        assert len(await claim(ledger, 2)) == 2
