"""The price of the network is paid for a group: many calls at once take few statements."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from starfish_storage import NotFoundError, ParentNotFoundError, Storage, StorageError, open_storage
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.runs import Attempt, Outcome, Output, RunInput, Step, Worker
from starfish_storage.testing.samples import JOB, MASTER_JOB, a_record, an_execution_job, at, save_run
from starfish_storage.testing.suites.suite import outcome

CALLS = 200


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often something was sent to the server and waited for, by the first words."""
    sent: Counter[str] = Counter()

    def counted(name: str) -> None:
        original = getattr(PostgresConnection, name)

        def send(self: PostgresConnection, statement: str, *rest: Any) -> Any:
            sent[" ".join(statement.split()[:3])] += 1
            return original(self, statement, *rest)

        monkeypatch.setattr(PostgresConnection, name, send)

    counted("execute")
    counted("execute_many")
    return sent


@pytest_asyncio.fixture
async def storage(tmp_path: Path, postgres_uri: str) -> AsyncIterator[Storage]:
    async with open_storage(postgres_uri, tmp_path.as_uri()) as storage:
        await save_run(storage)
        await storage.save_records((a_record(f"there-{number}"), {"n": number}) for number in range(CALLS))
        await prepare_run(storage)
        yield storage


async def prepare_run(storage: Storage) -> None:
    ledger = storage.ledger
    await ledger.start_run(MASTER_JOB)
    await ledger.register_inputs(MASTER_JOB, [RunInput(number, {"n": number}) for number in range(2 * CALLS)])
    await ledger.save_worker(Worker("worker", MASTER_JOB, "a/b/1/2", at(0), at(10**8)))


async def finish(storage: Storage, *, claim_next: bool) -> list[Any]:
    ledger = storage.ledger
    claimed = await ledger.claim_inputs(MASTER_JOB, "worker", CALLS, at(1))
    outcomes = [
        Outcome(
            one,
            "worker",
            Attempt(one.job_id, MASTER_JOB, 0, "worker", "completed", at(1), at(2)),
            [Output("completed", {"n": one.position})],
        )
        for one in claimed
    ]
    return await asyncio.gather(*(ledger.finish_input(one, claim_next=claim_next) for one in outcomes))


Call = Callable[[Storage, int], Awaitable[Any]]

KINDS: dict[str, Call] = {
    "save_record": lambda s, n: s.save_record(a_record(f"r{n}"), {"n": n}),
    "save_record again": lambda s, n: s.save_record(a_record(f"there-{n}"), {"n": -n}),
    "save_record_data": lambda s, n: s.save_record_data(f"d{n}", MASTER_JOB, JOB, {"n": n}),
    "save_record_data again": lambda s, n: s.save_record_data(f"there-{n}", MASTER_JOB, JOB, {"n": -n}),
    "log_record_metadata": lambda s, n: s.log_record_metadata(a_record(f"m{n}")),
    "log_execution_job_start": lambda s, n: s.log_execution_job_start(an_execution_job(f"j{n}")),
    "log_execution_job_end": lambda s, n: s.log_execution_job_end(JOB, "completed", {"completed": n}, at(1), at(2)),
    "save_step": lambda s, n: s.ledger.save_step(Step(JOB, f"step {n}", {"n": n}, 1, at(1))),
}


@pytest.mark.parametrize("name", KINDS)
async def test_many_calls_take_few_statements(storage: Storage, statements: Counter[str], name: str) -> None:
    await asyncio.gather(*(KINDS[name](storage, number) for number in range(CALLS)))
    assert 0 < statements.total() < CALLS / 4, statements


@pytest.mark.parametrize("claim_next", [False, True])
async def test_many_outcomes_take_few_statements(storage: Storage, statements: Counter[str], claim_next: bool) -> None:
    finished = await finish(storage, claim_next=claim_next)
    assert statements.total() < CALLS / 4, statements
    assert {one.status for one in finished} == {"completed"}
    claimed = [one.claimed.position for one in finished if one.claimed is not None]
    assert sorted(claimed) == (list(range(CALLS, 2 * CALLS)) if claim_next else [])
    assert (await storage.ledger.count_inputs(MASTER_JOB))["completed"] == CALLS
    run = await storage.ledger.get_run(MASTER_JOB)
    assert run is not None
    assert run.attempts == CALLS


async def test_what_was_saved_together_is_there(storage: Storage) -> None:
    for call in KINDS.values():
        await asyncio.gather(*(call(storage, number) for number in range(CALLS)))
    for number in range(CALLS):
        again = await storage.get_record_metadata(f"there-{number}")
        assert again is not None
        assert await storage.get_record_data(str(again.output_ref)) == {"n": -number}
    job = await storage.get_execution_job(JOB)
    assert job is not None
    assert job.completed_record_count == CALLS - 1, "of calls for one job, the last counts"
    assert len(await storage.ledger.list_steps(JOB)) == CALLS


async def test_one_that_is_refused_fails_alone(storage: Storage) -> None:
    """Of each kind, in the midst of others."""
    bad: list[tuple[type[StorageError], Awaitable[Any]]] = [
        (ParentNotFoundError, storage.save_record(a_record("orphan", "no-job"), {})),
        (ParentNotFoundError, storage.log_record_metadata(a_record("orphan", "no-job"))),
        (ParentNotFoundError, storage.log_execution_job_start(an_execution_job("orphan", "no-master"))),
        (NotFoundError, storage.log_execution_job_end("nobody", "completed", {}, at(1), at(2))),
        (ParentNotFoundError, storage.ledger.save_step(Step("nobody", "step", {}, 1, at(1)))),
    ]
    good = [call(storage, number) for call in KINDS.values() for number in (0, 1)]
    results = await asyncio.gather(*map(outcome, (*good, *(call for _, call in bad))))
    assert results[len(good) :] == [kind for kind, _ in bad]
    assert not [result for result in results[: len(good)] if isinstance(result, type)]
