"""A store that cannot take a result pauses the run: nothing that was paid for is lost, or paid for again."""

from __future__ import annotations

import asyncio
import errno
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from durability import processes
from durability.faults import FaultyStorage, Steps, fail
from generation import waiting_process
from generation.runs import (
    RUN,
    Calls,
    Paying,
    Seen,
    attempts,
    data,
    job_id,
    numbers,
    open_store,
    sound,
    start,
    statuses,
)
from servers.processes import wait_until
from starfish_storage import (
    Context,
    InvalidInputError,
    LocalStorage,
    ResultsSpooledError,
    StorageFullError,
    StorageUnavailableError,
)
from starfish_storage.codec import decode
from starfish_storage.generation import cancel, held, paid, resume, spool
from starfish_storage.runs import (
    Attempt,
    CallCounts,
    CallNote,
    ClaimedInput,
    Conversion,
    Outcome,
    Output,
    Step,
    StepSource,
    Usage,
)
from starfish_storage.testing.samples import at
from starfish_storage.testing.suites import run_samples

COUNT = 12
SLOTS = 4
LONG = 60.0


@pytest.fixture
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where spools go in this test."""
    monkeypatch.setenv("STARFISH_STORAGE_SPOOL", str(tmp_path / "spools"))
    return tmp_path / "spools"


@pytest.fixture
async def storage(tmp_path: Path, spools: Path) -> AsyncIterator[FaultyStorage]:
    async with FaultyStorage(tmp_path / "store", Steps(), "process") as storage:
        yield storage
        heal(storage)
    sound((tmp_path / "store").as_uri())


def fill(storage: FaultyStorage) -> None:
    storage.steps.before = fail("write", errno.ENOSPC, for_good=True)


def heal(storage: FaultyStorage) -> None:
    storage.steps.before = lambda _number, _step: None


async def all_attempts(storage: Any, count: int = COUNT) -> list[tuple[str, float]]:
    return [(one.status, one.cost) for n in range(count) for one in await attempts(storage, n)]


async def test_a_full_disk_pauses_the_run(storage: FaultyStorage, spools: Path) -> None:
    function, seen = Paying(lambda: fill(storage), 5, SLOTS), Seen(SLOTS)
    run = asyncio.create_task(
        start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG, max_cost=100)
    )
    await seen.until_all_wait()
    paid = len(function.made)
    stored = (await statuses(storage))[1].get("completed", 0)
    assert SLOTS <= seen.all[-1].waiting <= paid - stored <= 2 * SLOTS
    assert " results waiting for the store since " in str(seen.all[-1])
    await asyncio.sleep(0.5)  # some tries, and the writing of the spool, in a thread of its own
    assert len(function.made) == paid == seen.all[-1].cost, "no call starts meanwhile, and what waits counts"
    (file,) = spools.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes().splitlines()) == 1 + paid - stored
    heal(storage)
    done = await run
    assert (done.status, done.records) == ("completed", {"completed": COUNT})
    assert (done.attempts, done.failed_attempts) == (COUNT, 0)
    assert sorted(function.made) == list(range(COUNT))
    assert await all_attempts(storage) == [("completed", 1.0)] * COUNT
    assert list(spools.iterdir()) == []


async def test_what_waits_when_patience_ends_is_taken_in_later(storage: FaultyStorage, spools: Path) -> None:
    function = Paying(lambda: fill(storage), 5, SLOTS)
    with pytest.raises(ResultsSpooledError, match=r"resume stores them.*spool=FILE \(--spool\)") as raised:
        await start(storage, function, numbers(COUNT), max_concurrency=SLOTS, patience=0.3)
    assert isinstance(raised.value.__cause__, StorageFullError)
    (file,) = spools.iterdir()
    assert raised.value.paths == [str(file)]
    stored = (await statuses(storage))[1]["completed"]
    assert SLOTS <= raised.value.results == len(function.made) - stored <= 2 * SLOTS
    heal(storage)
    again = Calls()
    run = await resume(storage, RUN, again, progress="quiet")
    assert (run.status, run.done_before, run.attempts) == ("completed", len(function.made), COUNT)
    assert run.cost == len(function.made)
    assert sorted(function.made + again.made) == list(range(COUNT)), "nothing is paid for twice"
    assert [one["n"] for one in await data(storage)] == list(range(COUNT))
    assert list(spools.iterdir()) == []


async def test_a_spool_may_be_taken_in_twice(storage: FaultyStorage, spools: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsSpooledError):
        await start(storage, Paying(lambda: fill(storage), 0, 3), numbers(3), max_concurrency=3, patience=0)
    heal(storage)
    (file,) = spools.iterdir()
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(file.read_bytes() + b'{"kind":"outcome","outc')  # and its worker was killed while it wrote
    assert (await resume(storage, RUN, Calls(), progress="quiet")).attempts == 3
    before = await all_attempts(storage, 3)
    run = await start(storage, Calls(), numbers(3), spool=copy)
    assert (run.status, run.attempts, await all_attempts(storage, 3)) == ("completed", 3, before)
    assert not copy.exists()


async def test_a_spool_whose_worker_was_killed_while_making_it_stops_no_run(
    storage: FaultyStorage, spools: Path
) -> None:
    with pytest.raises(ResultsSpooledError):
        await start(storage, Paying(lambda: fill(storage), 0, 3), numbers(3), max_concurrency=3, patience=0)
    heal(storage)
    (file,) = spools.iterdir()
    head = file.read_bytes().partition(b"\n")[0]
    for number, begun in enumerate((b"", head[:20], head)):
        file.with_name(file.name.replace(".spool.jsonl", f"{number}.spool.jsonl")).write_bytes(begun)
    assert len(spool.spools_of(RUN)) == 4
    assert (await resume(storage, RUN, calls := Calls(), progress="quiet")).status == "completed"
    assert (calls.made, file.exists()) == ([], False)


async def test_a_spool_of_another_run_is_refused(storage: FaultyStorage, spools: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsSpooledError):
        await start(storage, Paying(lambda: fill(storage), 0, 3), numbers(3), max_concurrency=3, patience=0)
    heal(storage)
    (file,) = spools.iterdir()
    async with open_store((tmp_path / "other").as_uri()) as other:
        run = await start(other, Calls(), numbers(3))  # of the same id: its spools are looked for in the same place
        assert (run.status, file.exists()) == ("completed", True)
        with pytest.raises(InvalidInputError, match="belongs to another run"):
            await start(other, Calls(), numbers(3), spool=file)
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_bytes(file.read_bytes().replace(b'"outcome"', b'"outcom"', 1))
    with pytest.raises(InvalidInputError, match="not what this release writes"):
        await resume(storage, RUN, Calls(), progress="quiet", spool=damaged)
    damaged.write_text("{}\n")
    with pytest.raises(InvalidInputError, match="not a spool of this release"):
        await resume(storage, RUN, Calls(), progress="quiet", spool=damaged)
    assert (await resume(storage, RUN, calls := Calls(), progress="quiet")).status == "completed"
    assert calls.made == []


async def test_results_beyond_what_memory_may_hold_wait_in_the_spool_alone(
    storage: FaultyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_MOST_IN_MEMORY", 0)
    function, seen = Paying(lambda: fill(storage), 5, SLOTS), Seen(SLOTS)
    run = asyncio.create_task(
        start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG)
    )
    await seen.until_all_wait()
    heal(storage)
    assert (await run).records == {"completed": COUNT}
    assert [one["n"] for one in await data(storage)] == list(range(COUNT))


async def test_failed_attempts_and_paid_steps_wait_as_well(storage: FaultyStorage, spools: Path) -> None:
    """A disk that takes no rows either."""
    paid: list[str] = []

    async def call() -> str:
        paid.append("step")
        storage.steps.before = fail("page", errno.ENOSPC, for_good=True)
        return "dear"

    async def answer(n: int, context: Context) -> dict[str, Any]:
        reply = await context.once("call", call)
        if context.attempt == 1:
            storage.steps.before = fail("page", errno.ENOSPC, for_good=True)
            raise TimeoutError
        return {"n": n, "reply": reply}

    seen = Seen(SLOTS)
    run = asyncio.create_task(start(storage, answer, numbers(1), progress=seen, patience=LONG))
    while not run.done():
        if seen.all and seen.all.pop().waiting:
            heal(storage)
        await asyncio.sleep(0.01)
    assert list(spools.iterdir()) == []
    assert (await run).records == {"completed": 1}
    assert paid == ["step"]
    assert [one.status for one in await attempts(storage)] == ["failed", "completed"]


async def test_a_run_that_is_stopped_while_it_waits_leaves_a_spool(storage: FaultyStorage, spools: Path) -> None:
    function, seen = Paying(lambda: fill(storage), 5, SLOTS), Seen(SLOTS)
    run = asyncio.create_task(
        start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG)
    )
    await seen.until_all_wait()
    await cancel(storage, RUN, "enough")
    assert (await run).stop_reason == "enough"
    heal(storage)
    again = Calls()
    assert (await resume(storage, RUN, again, progress="quiet")).status == "completed"
    assert sorted(function.made + again.made) == list(range(COUNT))


def test_the_spool_goes_where_it_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = spool.RunIdentity("run", "now", "postgresql://db/runs")
    monkeypatch.delenv("STARFISH_STORAGE_SPOOL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "state"))
    (tmp_path / "file").write_text("no directory can be made here")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    written = spool.ResultSpool(run, "w")
    written.add(b'{"kind":"none"}\n')
    assert written.paths == spool.spools_of("run")
    assert [Path(path).parent for path in written.paths] == [tmp_path / "here"]
    assert spool.SpoolFile.open(written.paths[0]) is None, "its worker is alive"
    written.close()
    left = spool.SpoolFile.open(spool.spools_of("run")[0])
    assert left is not None
    assert (left.run(), list(left.entries())) == (run, [{"kind": "none"}])
    left.close()


KEY = "ab" * 32
USAGE = (Usage("small-1", 3, 4, 0.5, {"cached_tokens": 2}), Usage())
CONVERTED = (Conversion("set", 2, ("$.a",)),)
CALLS = CallCounts(3, 1, 2, 0.25, 1, (CallNote("POST a/b", KEY, "429", "busy", 2),))
ATTEMPT = Attempt("job", RUN, 2, "w", "failed", at(1), at(2), "ValueError", "bad", "line 1", USAGE, CONVERTED, 1, CALLS)
REPLY = Step("job", "call", {"result": [1]}, 2, at(3), USAGE, call=4, status="rejected", reason="cut")
SOURCE = StepSource("run", "job", 1, 2, 0.5)
ASKED = replace(
    REPLY, request_key=KEY, request="what", asked_when=at(2), reused_from=StepSource("run", "job", 1, 2, 0.5)
)
OUTPUTS = [Output("completed", {"text": "\ud800", "more": [{"n": 1.5}, None]}), Output("failed", None, "why", "key")]


@pytest.mark.parametrize(
    "what",
    [
        paid.PaidOutcome(Outcome(ClaimedInput("job", RUN, 7, {"n": 2**70}, 1), "w", ATTEMPT, OUTPUTS, "why")),
        paid.PaidAttempt(ATTEMPT),
        paid.StoppedAttempt(ATTEMPT),
        paid.PaidOutputs(paid.KeptAttempt(ATTEMPT, tuple(OUTPUTS), release=True)),
        paid.PaidReply(REPLY),
        paid.PaidReply(ASKED),
        paid.PaidUsage(paid.LateUsage("job", 2, USAGE)),
    ],
    ids=lambda what: what.kind,
)
def test_what_waits_is_read_as_it_was_written(what: paid.Paid[Any]) -> None:
    read = paid.read(decode(what.line()))
    assert (type(read), read.value()) == (type(what), what.value())


async def test_a_reply_to_a_request_is_recognised(tmp_path: Path) -> None:
    async with LocalStorage(tmp_path.as_uri()) as storage:
        ledger = await run_samples.start(storage, 1)
        (claimed,) = await run_samples.claim(ledger)
        what = paid.PaidReply(replace(ASKED, job_id=claimed.job_id, call=1))
        assert await what.stored(ledger) is None
        assert await what.store(ledger) == await what.stored(ledger) == 1
        plain = paid.PaidReply(replace(what.step, request_key=""))
        assert await plain.stored(ledger) is None, "it is another step"


async def test_a_spool_from_another_machine_is_given_on_the_command_line(
    storage: FaultyStorage, spools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ResultsSpooledError):
        await start(storage, Paying(lambda: fill(storage), 0, 3), numbers(3), max_concurrency=3, patience=0)
    heal(storage)
    (file,) = spools.iterdir()
    file = file.rename(tmp_path / "elsewhere.jsonl")
    (tmp_path / "paid.py").write_text("def answer(n):\n    raise AssertionError('paid twice')\n")
    monkeypatch.chdir(tmp_path)
    words = ("resume", RUN, "paid.py:answer", "--store", "store", "--spool", str(file), "--patience", "5", "-q")
    assert (await asyncio.to_thread(call, *words))[:2] == (0, "")
    assert [one["n"] for one in await data(storage)] == [0, 1, 2]
    assert not file.exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
async def test_a_process_that_ends_while_it_waits_has_its_results_taken_in(
    tmp_path: Path, spools: Path, end: signal.Signals
) -> None:
    with processes.start([waiting_process.__file__, str(tmp_path), str(COUNT)]) as process:
        wait_until(lambda: lines_in(spools) == 1 + SLOTS, "all results in the spool")
        process.send_signal(end)
        out, errors = process.communicate(timeout=LONG)
    paid = [int(line.split()[1]) for line in out.splitlines()]
    assert len(paid) == SLOTS
    (file,) = spools.iterdir()
    if end != signal.SIGKILL:
        assert "the store takes nothing now, so the run waits for up to 1:00:00: " in errors
        left = f"4 results wait in {str(file)!r}, and resume stores them"
        assert f"start the program again to continue; {left}\n" in errors
    calls = Calls()
    async with open_store((tmp_path / "store").as_uri()) as storage:
        run = await resume(storage, RUN, calls, progress="quiet")
        assert (run.status, run.attempts, run.failed_attempts) == ("completed", COUNT, 0)
        assert sorted(paid + calls.made) == list(range(COUNT))
        assert await all_attempts(storage) == [("completed", 0.0)] * COUNT
    assert not file.exists()


def lines_in(directory: Path) -> int:
    return sum(len(file.read_bytes().splitlines()) for file in directory.glob("*"))


async def test_answers_that_were_lost_change_nothing(storage: FaultyStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of claims, replies, attempts and outcomes: each took effect, and then the connection was gone."""
    ledger = storage.ledger
    lost: set[str] = set()

    def losing(name: str) -> Any:
        call = getattr(ledger, name)

        async def called(*given: Any, **named: Any) -> Any:
            answer = await call(*given, **named)
            if name not in lost:
                lost.add(name)
                raise StorageUnavailableError("db", 1, "the answer was lost")
            return answer

        return called

    names = ("claim_inputs", "save_step", "save_attempt", "finish_input", "complete_inputs", "mark_step")
    for name in names:
        monkeypatch.setattr(ledger, name, losing(name))
    paid: list[int] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        reply = await context.once("call", lambda: paid.append(n) or n)
        if n == 3 and context.attempt == 1:
            raise TimeoutError
        return {"n": reply}

    run = await start(storage, answer, numbers(COUNT), max_concurrency=SLOTS, patience=LONG)
    assert lost >= set(names) - {"mark_step"}
    assert (run.records, run.attempts, run.failed_attempts) == ({"completed": COUNT}, COUNT + 1, 1)
    assert [one["n"] for one in await data(storage)] == list(range(COUNT))
    assert sorted(set(paid)) == list(range(COUNT))
    replies = [len(await ledger.list_replies(await job_id(storage, n), "call")) for n in range(COUNT)]
    assert sum(replies) == len(paid)


async def test_a_reply_that_waits_outlives_the_time_limit_of_its_attempt(storage: FaultyStorage) -> None:
    paid: list[int] = []

    async def call() -> str:
        paid.append(1)
        storage.steps.before = fail("page", errno.ENOSPC, for_good=True)
        return "dear"

    async def answer(n: int, context: Context) -> dict[str, Any]:
        return {"n": n, "reply": await context.once("call", call)}

    seen = Seen(2)  # the reply, and the attempt that ran out of its time
    run = asyncio.create_task(start(storage, answer, numbers(1), progress=seen, patience=LONG, timeout=0.2))
    await seen.until_all_wait()
    heal(storage)
    assert (await run).records == {"completed": 1}
    assert paid == [1]
    assert [one.status for one in await attempts(storage)] == ["failed", "completed"]
