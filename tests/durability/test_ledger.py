"""The ledger of runs under faults: a failed call changes nothing, one bad call of a group fails alone, and no input
is claimed twice."""

from __future__ import annotations

import asyncio
import errno
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from durability import processes, run_workload, workload
from durability.faults import FaultyStorage, Steps, fail
from durability.run_workload import NOW, an_outcome, rows_of
from durability.test_cancellation import cancelled_after, cancelled_at_step
from durability.test_failures import STEPS, copy_as_after_a_kill
from starfish_storage import InvalidInputError, LocalStorage, StorageFullError, StorageIOError
from starfish_storage.maintenance import verify
from starfish_storage.metadata.sqlite.row_writer import SQLiteRowWriter
from starfish_storage.runs import Attempt, ClaimedInput, Finished, Output, RunInput, Usage

WORKER, INPUTS = "worker", 12


class Run:
    """A run on a storage that fails on command, with all of its inputs but the last two claimed."""

    def __init__(self, storage: FaultyStorage, root: Path, held: list[ClaimedInput]) -> None:
        self.storage, self.root, self.held = storage, root, held

    def rows(self) -> dict[str, list[Any]]:
        return rows_of(self.root / "metadata.db")

    async def finish(self, number: int, *outputs: Output, claim_next: bool = False) -> Finished:
        outputs = outputs or (Output("completed", {"n": number}),)
        outcome = an_outcome(self.held[number], WORKER, outputs)
        return await self.storage.ledger.finish_input(outcome, claim_next=claim_next)

    async def again(self, number: int) -> None:
        """Return an ended input to pending and claim it."""
        ledger, job_id = self.storage.ledger, self.held[number].job_id
        assert await ledger.reset_inputs(workload.MASTER, ["completed"], job_ids=[job_id]) == 1
        (claimed,) = await ledger.claim_inputs(workload.MASTER, WORKER, 1, NOW)
        assert claimed.job_id == job_id
        self.held[number] = claimed

    def heal(self) -> None:
        self.storage.steps.before = lambda _number, _step: None


@pytest.fixture
async def run(memory_path: Path) -> AsyncIterator[Run]:
    root = memory_path / "store"
    storage = FaultyStorage(root, Steps())
    await storage.setup()
    await workload.prepare(storage)
    held = await run_workload.start(storage, workload.MASTER, WORKER, INPUTS)
    await storage.ledger.register_inputs(workload.MASTER, [RunInput(90, {}), RunInput(91, {})])
    run = Run(storage, root, held)
    yield run
    run.heal()
    await storage.close()
    assert verify(f"file://{root}").findings == ()
    run_workload.check_rebuilt(root, memory_path / "rebuilt.db")


def keyed(*keys: str | None) -> tuple[Output, ...]:
    return tuple(Output("completed", {"n": n, "key": key}, None, key) for n, key in enumerate(keys))


OUTCOMES: dict[str, tuple[tuple[Output, ...], tuple[Output, ...]]] = {
    "the first": ((), keyed(None, None)),
    "the first, with keys": ((), keyed("a", "b", "a")),
    "a second of fewer": (keyed(None, None, None), keyed(None)),
    "a second with other keys": (keyed("a", "b", None), keyed("b", "c")),
    "a second without keys": (keyed("a", "b"), keyed(None, None, None)),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_an_outcome_that_cannot_be_stored_changes_nothing(run: Run, step: str, outcome: str) -> None:
    earlier, outputs = OUTCOMES[outcome]
    if earlier:
        await run.finish(0, *earlier)
        await run.again(0)
    before = run.rows()
    run.storage.steps.before = fail(step, errno.ENOSPC)
    with pytest.raises(StorageFullError):
        await run.finish(0, *outputs, claim_next=True)
    run.heal()
    assert run.rows() == before
    done = await run.finish(0, *outputs, claim_next=True)
    assert done.claimed is not None
    assert done.claimed.position == 90
    state = await run.storage.ledger.get_run(workload.MASTER)
    assert state is not None
    assert state.attempts == (2 if earlier else 1)


@pytest.mark.parametrize("rename", [1, 2, 3])
async def test_of_several_outcomes_stored_together_the_failed_one_is_taken_back(run: Run, rename: int) -> None:
    """Also those with records in common statements; its next input is free again."""
    await run.finish(5, *keyed("a", None))
    await run.again(5)
    before = run.rows()
    job_id = run.held[5].job_id
    seen = Counter[str]()

    def before_step(_number: int, step: str) -> None:
        if step.startswith(f"rename {job_id}"):
            seen["renames"] += 1
            if seen["renames"] == rename:
                raise OSError(errno.EIO, "injected")

    run.storage.steps.before = before_step
    last = keyed(None, None, None) if rename < 3 else keyed("b", "c", "d")
    calls = [run.finish(n, *(last if n == 5 else keyed(None)), claim_next=n == 5) for n in range(10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    run.heal()
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)] == [5]
    assert isinstance(outcomes[5], StorageIOError)
    after = run.rows()
    for table in ("inputs", "records", "attempts"):
        own, own_before = ([row for row in rows[table] if job_id in str(row[0])] for rows in (after, before))
        assert own == own_before, table
    ((_, _, _, attempts, _, tokens, _, cost),) = after["runs"]
    assert (attempts, tokens, cost) == (10, 30, 1.0)
    assert (await run.finish(5, *last, claim_next=True)).claimed is not None
    assert await run.storage.ledger.count_inputs(workload.MASTER) == {"completed": 10, "running": 3, "pending": 2}


async def test_outcomes_stored_in_common_statements_give_back_what_one_of_them_claimed(run: Run) -> None:
    """All are the first of their inputs, and all claim the next: there are two for ten."""
    before = run.rows()
    run.storage.steps.before = fail(f"rename {run.held[1].job_id}-0.json")
    calls = [run.finish(n, claim_next=True) for n in range(10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    run.heal()
    assert isinstance(outcomes.pop(1), StorageIOError)
    finished = [one for one in outcomes if isinstance(one, Finished)]
    assert [(one.status, one.statuses) for one in finished] == [("completed", ["completed"])] * 9
    assert [one.claimed.position for one in finished if one.claimed is not None] == [90]
    after, job_id = run.rows(), run.held[1].job_id
    for table in ("inputs", "records", "attempts"):
        own, own_before = ([row for row in rows[table] if job_id in str(row[0])] for rows in (after, before))
        assert own == own_before, table
    again = await run.finish(1, claim_next=True)
    assert again.claimed is not None
    assert again.claimed.position == 91
    state = await run.storage.ledger.get_run(workload.MASTER)
    assert state is not None
    assert state.attempts == 10


async def test_many_outcomes_take_few_statements(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Counter[str]()
    for name in ("execute", "execute_repeated", "change_each"):
        original = getattr(SQLiteRowWriter, name)

        def counted(writer: SQLiteRowWriter, query: str, *rest: Any, original: Callable[..., Any] = original) -> Any:
            taken[query] += 1
            return original(writer, query, *rest)

        monkeypatch.setattr(SQLiteRowWriter, name, counted)
    finished = await asyncio.gather(*(run.finish(n, claim_next=True) for n in range(8)))
    assert {one.status for one in finished} == {"completed"}
    assert taken.total() == len(taken), taken


async def test_a_refused_outcome_of_a_group_fails_alone(run: Run) -> None:
    """One whose claim is lost, one that is refused when it is checked, and one whose file cannot be put in place."""
    await run.finish(4)
    run.storage.steps.before = fail(f"rename {run.held[6].job_id}-0.json")
    bad = an_outcome(run.held[7], WORKER, keyed(None), [Usage("m", -1)])
    outcomes = await asyncio.gather(
        *(run.finish(n) for n in range(7)), run.storage.ledger.finish_input(bad), return_exceptions=True
    )
    run.heal()
    assert [getattr(outcome, "status", type(outcome)) for outcome in outcomes] == [
        *["completed"] * 4,
        None,
        "completed",
        StorageIOError,
        InvalidInputError,
    ]
    assert [one.status for one in await run.storage.ledger.list_attempts(run.held[4].job_id)] == [
        "completed",
        "superseded",
    ]
    state = await run.storage.ledger.get_run(workload.MASTER)
    assert state is not None
    assert (state.attempts, round(state.cost, 6)) == (7, 0.7)


async def test_a_key_of_an_outcome_that_was_taken_back_is_free(run: Run) -> None:
    await run.finish(0, *keyed(None))
    run.storage.steps.before = fail(f"rename {run.held[1].job_id}-0.json")
    with pytest.raises(StorageIOError):
        await run.finish(1, *keyed("a"))
    run.heal()
    assert (await run.finish(2, *keyed("a"))).status == "completed"
    assert (await run.finish(1, *keyed("a"))).status == "duplicate"


async def test_nothing_becomes_a_duplicate_of_what_was_taken_back(run: Run) -> None:
    """Though both were stored at once: the second waits until the first is in place, or is not."""
    run.storage.steps.before = fail(f"rename {run.held[1].job_id}-0.json")
    calls = [run.finish(0, *keyed(None)), *(run.finish(n, *keyed("a")) for n in (1, 2, 3))]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    run.heal()
    assert isinstance(outcomes[1], StorageIOError)
    statuses = [getattr(outcome, "status", None) for outcome in outcomes]
    assert statuses == ["completed", None, "completed", "duplicate"]


async def test_an_outcome_before_a_deletion_is_taken_back_before_it(run: Run) -> None:
    await run.finish(1, *keyed("a", None))
    await run.again(1)
    run.storage.steps.before = fail(f"rename {run.held[1].job_id}-0.json")
    outcomes = await asyncio.gather(
        run.finish(0),
        run.finish(1, *keyed("b")),
        run.storage.delete_master_job(workload.MASTER),
        return_exceptions=True,
    )
    run.heal()
    assert [type(outcome) for outcome in outcomes] == [Finished, StorageIOError, type(None)]
    assert run.rows()["attempts"] == run.rows()["inputs"] == run.rows()["runs"] == []
    await workload.goes_on(run.storage)  # "nothing more is written", had the rows been restored after the deletion


async def test_an_outcome_that_was_taken_back_does_not_come_back(run: Run, memory_path: Path) -> None:
    before = run.rows()
    run.storage.steps.before = fail("rename")
    with pytest.raises(StorageIOError):
        await run.finish(0, claim_next=True)
    run.heal()
    crashed = copy_as_after_a_kill(run.root, memory_path / "crashed")
    async with LocalStorage(f"file://{crashed}"):
        pass
    assert rows_of(crashed / "metadata.db") == {**before, "journaled": []}
    assert not list(crashed.glob("data/*/*"))


CALLS: dict[str, Callable[[Run], Any]] = {
    "finish": lambda run: run.finish(0, *keyed(None, None), claim_next=True),
    "finish with keys": lambda run: run.finish(0, *keyed("a", "a"), claim_next=True),
    "save_attempt": lambda run: run.storage.ledger.save_attempt(
        Attempt(run.held[0].job_id, workload.MASTER, 1, WORKER, "failed", NOW, NOW)
    ),
    "register": lambda run: run.storage.ledger.register_inputs(workload.MASTER, [RunInput(100, {}), RunInput(101, {})]),
    "remove": lambda run: run.storage.ledger.remove_worker(
        run_workload.a_worker(WORKER, workload.MASTER), NOW, died=True
    ),
}


async def either(run: Run, call: Callable[[Run], Any], before: dict[str, list[Any]]) -> None:
    """What was cancelled has taken effect wholly or not at all: at all means that the totals are those of the rows."""
    await run.storage.save_record(workload.record("next", 1), workload.payload("next", 1))
    attempts = len(run.rows()["attempts"]) - len(before["attempts"])
    state = await run.storage.ledger.get_run(workload.MASTER)
    assert state is not None
    assert state.attempts == len(run.rows()["attempts"])
    assert len(await run.storage.ledger.list_workers(workload.MASTER)) == (1 if attempts < INPUTS else 0)
    if call in (CALLS["finish"], CALLS["finish with keys"]):
        job = await run.storage.get_execution_job(run.held[0].job_id)
        records = await run.storage.list_record_metadata(workload.MASTER, run.held[0].job_id)
        assert job is not None
        assert (job.status, len(records)) in (("completed", 2), ("running", 0))
        assert await run.storage.ledger.count_inputs(workload.MASTER) in (
            {"completed": 1, "running": INPUTS, "pending": 2},
            {"running": INPUTS, "pending": 3},
        )


@pytest.mark.parametrize("turns", [0, 1, 2, 4, 16])
@pytest.mark.parametrize("call", CALLS)
async def test_a_cancelled_call_takes_effect_wholly_or_not(run: Run, call: str, turns: int) -> None:
    async def called() -> None:
        await CALLS[call](run)

    before = run.rows()
    await cancelled_after(turns, called())
    await either(run, CALLS[call], before)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_cancelled_at_a_step_of_the_writer_takes_effect_wholly_or_not(
    run: Run, call: str, step: int
) -> None:
    before = run.rows()
    await cancelled_at_step(run.storage, step, CALLS[call](run))
    await either(run, CALLS[call], before)


CLAIMER = """
import asyncio, json, sys
from durability import run_workload, workload
from starfish_storage import LocalStorage
from starfish_storage.runs import Output
async def main(root, name):
    async with LocalStorage("file://" + root) as storage:
        ledger, found = storage.ledger, []
        await ledger.save_worker(run_workload.a_worker(name, workload.MASTER))
        print("ready", flush=True)
        sys.stdin.readline()
        held = await ledger.claim_inputs(workload.MASTER, name, 3, run_workload.NOW)
        while held:
            found += [one.position for one in held]
            done = await asyncio.gather(*(
                ledger.finish_input(
                    run_workload.an_outcome(one, name, [Output("completed", {}, None, f"key-{one.position // 2}")]),
                    claim_next=True,
                ) for one in held
            ))
            held = [one.claimed for one in done if one.claimed is not None]
        print(json.dumps(found), flush=True)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_eight_processes_get_each_input_once(memory_path: Path) -> None:
    root, number = memory_path / "store", 200
    async with LocalStorage(f"file://{root}") as storage:
        await workload.prepare(storage)
        await run_workload.start(storage, workload.MASTER, "nobody", 0)
        await storage.ledger.register_inputs(workload.MASTER, [RunInput(n, {"n": n}) for n in range(number)])
    with ExitStack() as stack:
        claimers = [stack.enter_context(processes.start(["-c", CLAIMER, str(root), f"w{n}"])) for n in range(8)]
        for claimer in claimers:
            assert claimer.stdout is not None
            assert claimer.stdout.readline() == "ready\n", claimer.stderr and claimer.stderr.read()
        found = [claimer.communicate("go\n", timeout=60) for claimer in claimers]
    positions = [position for out, _ in found for position in json.loads(out)]
    assert sorted(positions) == list(range(number))
    async with LocalStorage(f"file://{root}") as storage:
        assert await storage.ledger.count_inputs(workload.MASTER) == {"completed": 100, "duplicate": 100, "pending": 1}
        state = await storage.ledger.get_run(workload.MASTER)
        assert state is not None
        assert state.attempts == number
    assert verify(f"file://{root}").findings == ()
