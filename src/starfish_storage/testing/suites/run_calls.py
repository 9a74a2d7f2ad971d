"""The contract of a run's ledger: segments, and requests as paid steps."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

from starfish_storage.errors import (
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidStatusError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.interface import Storage
from starfish_storage.runs import CallCounts, CallNote, ClaimedInput, RecordOrigin, Segment, Step, StepSource, Usage
from starfish_storage.testing.samples import MASTER_JOB, PROJECT, a_master_job, a_project, an_execution_job, at
from starfish_storage.testing.suites.run_samples import (
    WORKER,
    a_worker,
    an_attempt,
    an_outcome,
    claim,
    inputs,
    kept,
    start,
    there,
)
from starfish_storage.testing.suites.suite import StorageSuite, refused

KEY, OTHER = "ab" * 32, "cd" * 32
NAME = "POST api.example.com/v1/chat"


def a_request(job_id: str, key: str = KEY, **fields: Any) -> Step:
    """Return a reply to a request."""
    given: dict[str, Any] = {"request": "cGFja2Vk", "asked_when": at(5), **fields}
    return Step(job_id, NAME, {"result": {"status": 200, "body": "e30="}}, 1, at(6), request_key=key, **given)


async def an_input_of(storage: Storage, master_job_id: str, project_id: str) -> ClaimedInput:
    """Start another run with a worker of its own, and return the input that it has claimed."""
    ledger, worker = storage.ledger, f"worker-of-{master_job_id}"
    await storage.save_project(a_project(project_id))
    await storage.log_master_job_start(a_master_job(storage, master_job_id, project_id=project_id))
    await ledger.start_run(master_job_id)
    await ledger.register_inputs(master_job_id, inputs(1))
    await ledger.save_worker(a_worker(worker, master_job_id))
    (claimed,) = await claim(ledger, 1, worker, master_job_id)
    return claimed


class RequestTests(StorageSuite):
    """Requests that were recorded: steps that have a key."""

    async def test_a_request_is_a_step(self, storage: Storage) -> None:
        """Replies are numbered for each request by itself, and are marked, forgotten and counted as those of steps."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        source = StepSource("another run", "its-input", 2, 3, 0.25)
        first = a_request(one.job_id, usage=(Usage("m", 1, 2, 0.5),))
        other = a_request(one.job_id, OTHER, request=None, asked_when=None, reused_from=source)
        plain = Step(one.job_id, NAME, {"result": 1}, 1, at(7))
        given = [first, other, plain, first, replace(first, call=2)]
        assert await asyncio.gather(*map(ledger.save_step, given)) == [1, 1, 1, 2, 1]
        assert await ledger.list_replies(one.job_id, NAME, 1, KEY) == [first, replace(first, reply=2)]
        assert await ledger.list_replies(one.job_id, NAME, 2, KEY) == [replace(first, call=2)]
        assert await ledger.list_replies(one.job_id, NAME, 1, OTHER) == [other]
        assert await ledger.list_replies(one.job_id, NAME) == [plain]
        await ledger.mark_step(one.job_id, NAME, 1, 1, "rejected", "cut off", "code 1", KEY)
        marked = replace(first, status="rejected", reason="cut off", rejected_by="code 1")
        assert await ledger.list_replies(one.job_id, NAME, 1, KEY) == [marked, replace(first, reply=2)]
        assert (await ledger.list_replies(one.job_id, NAME, 1, OTHER))[0].status == "kept"
        with refused(NotFoundError, NAME):
            await ledger.mark_step(one.job_id, NAME, 2, 1, "kept", None, None, OTHER)
        (total,) = await ledger.count_steps(MASTER_JOB)
        assert (total.name, total.kept, total.rejected, total.cost) == (NAME, 4, 1, 1.5)
        assert await ledger.forget_steps(MASTER_JOB, [NAME]) == 5
        assert {step.status for step in await ledger.list_steps(one.job_id)} == {"forgotten"}

    async def test_the_calls_of_an_input_are_its_history(self, storage: Storage) -> None:
        """In the order in which they were asked, of each attempt; what was stored first may have been asked later."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        slow = a_request(one.job_id, OTHER, asked_when=at(3))
        fast = a_request(one.job_id, asked_when=at(4))
        step = replace(Step(one.job_id, "a step", {"result": 1}, 1, at(6)), saved_when=at(3.5))
        later = replace(a_request(one.job_id, call=2, asked_when=at(1)), attempt=2)  # by a clock that is behind
        for given in (later, fast, step, slow, a_request(two.job_id)):
            await ledger.save_step(given)
        assert await ledger.list_calls(one.job_id) == [slow, step, fast, later]
        assert await ledger.list_calls("nowhere") == []

    async def test_a_reply_is_found_in_other_runs(self, storage: Storage) -> None:
        """The newest one that is kept, of the same call; in a project or in the whole store."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        theirs = await an_input_of(storage, "other-run", "elsewhere")
        plain = Step(one.job_id, NAME, {}, 1, at(9))
        old, new = a_request(one.job_id), replace(a_request(theirs.job_id), saved_when=at(8))
        for given in (new, replace(old, saved_when=at(4)), old, replace(old, call=2), plain):
            await ledger.save_step(given)

        async def find(scope: Any = "store", project_id: str | None = None, key: str = KEY, call: int = 1) -> Any:
            return await ledger.find_reply(key, call, scope=scope, project_id=project_id)

        assert await find() == new
        assert await find("project", "elsewhere") == new
        assert await find("project", PROJECT) == replace(old, reply=2)
        assert await find("project", "nowhere") is None
        assert await find(call=2) == replace(old, call=2)
        assert [await find(key=OTHER), await find(call=3), await find(key="")] == [None, None, None]
        await ledger.mark_step(theirs.job_id, NAME, 1, 1, "rejected", None, None, KEY)
        assert await find() == replace(old, reply=2)
        await ledger.mark_step(theirs.job_id, NAME, 1, 1, "kept", None, None, KEY)
        assert there(await find()).job_id == theirs.job_id
        await storage.delete_master_job("other-run")
        assert await find() == replace(old, reply=2)
        with refused(InvalidInputError, "project_id"):
            await find("project")
        with refused(InvalidStatusError, "scope"):
            await find("run", PROJECT)
        with refused(InvalidInputError, "SHA-256"):
            await find(key="no key")

    async def test_the_requests_of_a_run_come_in_pages(self, storage: Storage) -> None:
        """By input and request: none is left out, none comes twice, and none is of another run or no request."""
        ledger = await start(storage)
        one, two, three = await claim(ledger, 3)
        theirs = await an_input_of(storage, "run-2", PROJECT)
        for claimed in (three, one):
            for key in (OTHER, KEY):
                for call in (1, 2, 1):
                    await ledger.save_step(a_request(claimed.job_id, key, call=call))
        await ledger.save_step(Step(two.job_id, NAME, {"result": 1}, 1, at(6)))
        await ledger.save_step(a_request(theirs.job_id))
        found = await ledger.list_requests(MASTER_JOB)
        assert [(step.job_id, step.request_key, step.call, step.reply) for step in found] == [
            (job_id, key, *number) for job_id in (one.job_id, three.job_id) for key in (KEY, OTHER)
            for number in ((1, 1), (1, 2), (2, 1))
        ]  # fmt: skip
        paged: list[Step] = []
        while page := await ledger.list_requests(MASTER_JOB, paged[-1] if paged else None, 5):
            assert len(page) <= 5
            paged += page
        assert paged == found
        assert [step.job_id for step in await ledger.list_requests("run-2")] == [theirs.job_id]
        assert await ledger.list_requests("nowhere") == []
        assert await ledger.list_requests(MASTER_JOB, limit=0) == []
        with refused(InvalidInputError, "limit"):
            await ledger.list_requests(MASTER_JOB, limit=-1)

    async def test_how_requests_were_answered_is_kept_and_counted(self, storage: Storage) -> None:
        """By attempt, and over the attempts of a run; equal notes together, the most frequent first."""
        ledger = await start(storage)
        one, two, three = await claim(ledger, 3)
        busy = CallNote(NAME, KEY, "429", "too many \0 ☃", 3)
        cut = CallNote(NAME, OTHER, "truncated", "12 of 40 bytes")
        first = CallCounts(5, 1, 2, 0.25, 3, (cut, busy))
        second = CallCounts(1, 0, 0, 0.0, 1, (replace(busy, request_key=OTHER, count=2),))
        assert await ledger.count_calls(MASTER_JOB) == CallCounts()
        await ledger.save_attempt(an_attempt(one, status="failed", calls=first, segment=1))
        await asyncio.gather(
            ledger.finish_input(an_outcome(one, kept(), calls=second, segment=2)),
            ledger.finish_input(an_outcome(two, kept(), calls=CallCounts(1, 0, 0), segment=2)),
        )
        await ledger.finish_input(an_outcome(three, kept()))
        attempts = [a for claimed in (one, two, three) for a in await ledger.list_attempts(claimed.job_id)]
        found = [(attempt.segment, attempt.calls) for attempt in attempts]
        assert found == [(1, first), (2, second), (2, CallCounts(1, 0, 0)), (None, None)]
        counts = await ledger.count_calls(MASTER_JOB)
        assert replace(counts, notes=()) == CallCounts(7, 1, 2, 0.25, 4)
        assert [(note.kind, note.count, note.request_key) for note in counts.notes] == [
            ("429", 5, KEY), ("truncated", 1, OTHER),
        ]  # fmt: skip
        many = tuple(replace(cut, message=str(number)) for number in range(30))
        await ledger.save_attempt(an_attempt(one, status="failed", calls=CallCounts(notes=many)))
        assert there((await ledger.list_attempts(one.job_id))[-1].calls).notes == many[:20]
        assert len((await ledger.count_calls(MASTER_JOB)).notes) == 20
        await ledger.add_usage(one.job_id, 1, [Usage("m", 1, 1, 1.0)])
        assert (await ledger.list_attempts(one.job_id))[0].calls == first

    async def test_of_a_dead_worker_the_requests_are_counted(self, storage: Storage) -> None:
        """What it had asked was paid for; what it had reused was not."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.save_step(a_request(one.job_id, usage=(Usage("m", 2, 3, 0.0, {"unpriced_calls": 1}),)))
        await ledger.save_step(a_request(one.job_id, OTHER, usage=(Usage("m", 1, 1, 1.0),)))
        source = StepSource(MASTER_JOB, one.job_id, 1, 1, 0.25)
        await ledger.save_step(a_request(one.job_id, "ef" * 32, reused_from=source))
        await ledger.save_step(Step(one.job_id, "once", {"result": 0}, 1, at(6), (Usage("m", 1, 1, 2.0),)))
        assert await ledger.remove_worker(a_worker(), at(70), died=True) == 1
        (attempt,) = await ledger.list_attempts(one.job_id)
        assert attempt.calls == await ledger.count_calls(MASTER_JOB) == CallCounts(2, 0, 1, 0.25, 1)
        assert attempt.cost == 3.0

    async def test_requests_that_cannot_be_stored_are_refused(self, storage: Storage) -> None:
        """And nothing of them is kept."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        source = StepSource(MASTER_JOB, one.job_id, 1, 1)
        good = a_request(one.job_id)
        bad: list[tuple[type[StorageError], Step]] = [
            (InvalidInputError, replace(good, request_key="AB" * 32)),
            (InvalidInputError, replace(good, request_key=None)),  # type: ignore[arg-type]
            (InvalidInputError, replace(good, request="lone \ud800")),
            (InvalidInputError, replace(good, asked_when="noon")),  # type: ignore[arg-type]
            (InvalidIdError, replace(good, reused_from=replace(source, job_id=""))),
            (InvalidInputError, replace(good, reused_from=replace(source, call=0))),
            (InvalidInputError, replace(good, reused_from=replace(source, cost=math.nan))),
        ]
        for kind, step in bad:
            with refused(kind):
                await ledger.save_step(step)
        assert await ledger.list_steps(one.job_id) == []
        note = CallNote(NAME, KEY, "429", "busy")
        counts: list[CallCounts] = [
            CallCounts(-1), CallCounts(saved_cost=math.inf), CallCounts(notes=(replace(note, count=0),)),
            CallCounts(notes=(replace(note, message="lone \ud800"),)),
        ]  # fmt: skip
        for given in counts:
            with refused(InvalidInputError):
                await ledger.save_attempt(an_attempt(one, status="failed", calls=given))
        with refused(InvalidInputError, "segment"):
            await ledger.save_attempt(an_attempt(one, status="failed", segment=0))
        assert await ledger.list_attempts(one.job_id) == []


class SegmentTests(StorageSuite):
    """What a run was made of."""

    async def test_segments_are_numbered(self, storage: Storage) -> None:
        """From 1 for each run, however many begin at a time; they go with their run."""
        ledger = await start(storage)
        await an_input_of(storage, "run-2", PROJECT)
        before = await ledger.now()
        identity = {"function": {"é\0": [2**70, None]}}
        first = await ledger.add_segment(MASTER_JOB, identity)
        assert first == Segment(MASTER_JOB, 1, first.start_time, identity)
        assert before <= first.start_time <= await ledger.now()
        more = await asyncio.gather(*(ledger.add_segment(MASTER_JOB, {"of": number}) for number in range(5)))
        assert sorted(segment.number for segment in more) == [2, 3, 4, 5, 6]
        assert (await ledger.add_segment("run-2", {})).number == 1
        every = [first, *sorted(more, key=lambda one: one.number)]
        assert await ledger.list_segments(MASTER_JOB) == every
        assert await ledger.list_segments(MASTER_JOB, newest=2) == every[-2:]
        assert await ledger.list_segments(MASTER_JOB, newest=0) == []
        with refused(InvalidInputError, "newest"):
            await ledger.list_segments(MASTER_JOB, newest=-1)
        await storage.delete_master_job(MASTER_JOB)
        assert await ledger.list_segments(MASTER_JOB) == []
        assert len(await ledger.list_segments("run-2")) == 1
        with refused(ParentNotFoundError, MASTER_JOB):
            await ledger.add_segment(MASTER_JOB, {})
        with refused(InvalidDataError):
            await ledger.add_segment("run-2", {"cost": math.nan})

    async def test_a_record_is_of_the_segment_of_its_attempt(self, storage: Storage) -> None:
        """That whose output it is, and not the last one at its input."""
        ledger = await start(storage)
        one, two, three = await claim(ledger, 3)
        await ledger.save_attempt(an_attempt(one, status="failed", segment=1))
        outcome, other = an_outcome(one, kept(), kept(), segment=2), an_outcome(two, kept(), segment=1)
        bare = an_outcome(three, kept())
        for given in (outcome, other, bare):
            await ledger.finish_input(given)
        uids = [f"{one.job_id}-0", f"{one.job_id}-1", f"{two.job_id}-0", f"{three.job_id}-0", "nobody"]
        assert await ledger.find_segments(uids) == {uids[0]: 2, uids[1]: 2, uids[2]: 1}
        assert await ledger.find_segments([]) == {}
        found = await ledger.find_origins(uids)
        assert found == {uid: RecordOrigin(number, 1, 0) for uid, number in zip(uids, (2, 2, 1, None), strict=False)}
        await ledger.reset_inputs(MASTER_JOB, ["completed"], job_ids=[two.job_id])
        (again,) = await claim(ledger)
        await ledger.finish_input(an_outcome(again, status="failed", segment=3))
        assert await ledger.find_segments([uids[2]]) == {uids[2]: 1}, "it stands, though a later attempt failed"
        with refused(InvalidDataError):
            await ledger.add_segment("run-2", [1])  # type: ignore[arg-type]

    async def test_the_attempt_of_a_dead_worker_has_its_segment(self, storage: Storage) -> None:
        """The worker says which: whoever notices its death may work in another one."""
        ledger = await start(storage)
        worker = replace(a_worker(), segment=3)
        await ledger.remove_worker(a_worker(), at(4))
        await ledger.save_worker(worker)
        await ledger.save_worker(a_worker(expires=90))
        assert [one.segment for one in await ledger.list_workers(MASTER_JOB)] == [3]
        (one,) = await claim(ledger)
        assert await ledger.remove_worker(replace(worker, lease_expires=at(90)), at(100), died=True) == 1
        (attempt,) = await ledger.list_attempts(one.job_id)
        assert (attempt.status, attempt.worker_id, attempt.segment) == ("interrupted", WORKER, 3)

    async def test_an_execution_job_that_is_no_input_has_no_requests_of_a_run(self, storage: Storage) -> None:
        """A step of its own is stored, as any other."""
        ledger = await start(storage)
        await storage.log_execution_job_start(an_execution_job("no-input"))
        await ledger.save_step(a_request("no-input"))
        assert [step.job_id for step in await ledger.list_calls("no-input")] == ["no-input"]
        assert await ledger.list_requests(MASTER_JOB) == []
