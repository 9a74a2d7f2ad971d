"""What two processes do at a run at the same moment: each test puts the steps into the order that would go wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from remote.transactions import Transaction
from starfish_storage import open_storage
from starfish_storage.errors import NotFoundError
from starfish_storage.interface import Storage
from starfish_storage.metadata import ledger_rows, ledger_writer
from starfish_storage.metadata.finishing import Finishing
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.row_writer import PostgresRowWriter
from starfish_storage.metadata.reopening import EndedInputs, reset_inputs
from starfish_storage.metadata.unique_keys import names_of_keys
from starfish_storage.metadata.writer import _portions
from starfish_storage.runs import ClaimedInput, Outcome, output_record_uid
from starfish_storage.testing.samples import MASTER_JOB, at
from starfish_storage.testing.suites.run_samples import (
    WORKER,
    a_worker,
    an_attempt,
    an_outcome,
    claim,
    inputs,
    kept,
    start,
)

NOON = "2026-01-31T12:00:00.000000Z"


class Store:
    def __init__(self, uri: str, data: Path) -> None:
        self.uri = uri
        self.data = data
        self._stack = ExitStack()

    def open(self) -> Storage:
        return open_storage(self.uri, self.data.as_uri())

    def transaction(self) -> Transaction:
        return self._stack.enter_context(Transaction(self.uri, self.data))

    def close(self) -> None:
        self._stack.close()

    def counts(self) -> dict[str, int]:
        async def counted() -> dict[str, int]:
            async with self.open() as storage:
                return await storage.ledger.count_inputs(MASTER_JOB)

        return asyncio.run(counted())


@pytest.fixture
def store(tmp_path: Path, postgres_uri: str) -> Iterator[Store]:
    store = Store(postgres_uri, tmp_path)
    yield store
    store.close()


@pytest.fixture
def held(store: Store) -> list[ClaimedInput]:
    """Two inputs that a worker holds, of three."""

    async def begun() -> list[ClaimedInput]:
        async with store.open() as storage:
            return await claim(await start(storage), 2)

    return asyncio.run(begun())


def finishing(claimed: ClaimedInput, worker: str = WORKER) -> Finishing:
    outcome = an_outcome(claimed, worker_id=worker)
    return Finishing(outcome, ledger_rows.outcome_row(outcome), (), (), NOON, claim_next=True)


def remove(rows: PostgresRowWriter) -> int:
    return ledger_writer.remove_worker(rows, ledger_rows.worker_row(a_worker()), NOON, died=True)


def test_an_input_is_finished_while_its_worker_is_taken_for_dead(store: Store, held: list[ClaimedInput]) -> None:
    """Whoever comes second waits, and then finds what is so: nobody has the input, so it is finished all the same."""
    remover, worker = store.transaction(), store.transaction()
    remover.make(lambda rows: rows.first("get_worker", (WORKER,)))
    finished = worker.begin_waiting(finishing(held[0]).apply, remover)
    assert remover.make(remove) == 2
    remover.commit()
    assert finished.result()
    worker.commit()
    assert store.counts() == {"completed": 1, "pending": 2}


def test_a_worker_is_taken_for_dead_while_it_finishes_an_input(store: Store, held: list[ClaimedInput]) -> None:
    """Who removes it waits for nothing. What it has finished stays so; what it has claimed then is given back later."""
    worker, remover = store.transaction(), store.transaction()
    done = finishing(held[0])
    worker.make(done.apply)
    assert done.claimed is not None
    assert remover.make(remove) == 0
    worker.commit()
    assert remover.make(remove) == 2
    remover.commit()
    assert store.counts() == {"completed": 1, "pending": 2}


@pytest.mark.parametrize("how", ["save_attempt", "release_input"])
def test_an_attempt_is_stored_while_its_worker_is_taken_for_dead(
    store: Store, held: list[ClaimedInput], how: str
) -> None:
    """In place of the interrupted one."""
    remover, worker = store.transaction(), store.transaction()
    remover.make(lambda rows: rows.first("get_worker", (WORKER,)))
    attempt = an_attempt(held[0], status="failed")
    saved = worker.begin_waiting(lambda rows: getattr(ledger_writer, how)(rows, attempt, NOON), remover)
    assert not saved.done()
    remover.make(remove)
    remover.commit()
    assert saved.result() in (1, None)
    worker.commit()

    async def look() -> None:
        async with store.open() as storage:
            found = await storage.ledger.list_attempts(held[0].job_id)
            assert [(one.number, one.status) for one in found] == [(1, "failed")]

    asyncio.run(look())


def test_a_worker_that_is_taken_for_dead_claims_nothing(store: Store, held: list[ClaimedInput]) -> None:
    remover, worker = store.transaction(), store.transaction()
    remover.make(remove)
    claimed = worker.begin_waiting(lambda rows: ledger_writer.claim_inputs(rows, MASTER_JOB, WORKER, 1, NOON), remover)
    remover.commit()
    with pytest.raises(NotFoundError):
        claimed.result()


def test_a_worker_that_renews_its_lease_is_not_taken_for_dead(store: Store, held: list[ClaimedInput]) -> None:
    worker, remover = store.transaction(), store.transaction()
    worker.make(lambda rows: ledger_writer.save_worker(rows, ledger_rows.worker_row(a_worker()), 60))
    removed = remover.begin_waiting(remove, worker)
    worker.commit()
    assert removed.result() == 0
    remover.commit()
    assert store.counts() == {"pending": 1, "running": 2}


def test_two_claim_at_once(store: Store, held: list[ClaimedInput]) -> None:
    """Nobody waits, and nobody gets what another one gets."""
    one, two = store.transaction(), store.transaction()
    for rows, name in ((one, "worker-2"), (two, "worker-3")):
        worker = ledger_rows.worker_row(a_worker(name))
        rows.make(lambda rows, worker=worker: ledger_writer.save_worker(rows, worker, None))
    assert len(one.make(lambda rows: ledger_writer.claim_inputs(rows, MASTER_JOB, "worker-2", 1, NOON))) == 1
    assert two.make(lambda rows: ledger_writer.claim_inputs(rows, MASTER_JOB, "worker-3", 1, NOON)) == []


def test_what_another_worker_has_claimed_meanwhile_is_not_released(store: Store, held: list[ClaimedInput]) -> None:
    """Though that worker was not there when the look for unowned inputs began."""
    one, two = store.transaction(), store.transaction()
    one.execute("DELETE FROM workers")  # as after a repair
    one.commit()
    one = store.transaction()
    one.make(lambda rows: rows.first("get_input", (held[0].job_id,)))
    released = two.begin_waiting(lambda rows: ledger_writer.release_unowned_inputs(rows, MASTER_JOB, NOON), one)

    def take(rows: PostgresRowWriter) -> Any:
        rows.change("return_input", (NOON, held[0].job_id))
        ledger_writer.save_worker(rows, ledger_rows.worker_row(a_worker("worker-2")), None)
        return ledger_writer.claim_inputs(rows, MASTER_JOB, "worker-2", 1, NOON)

    assert one.make(take)[0][0] == held[0].job_id
    one.commit()
    assert released.result() == 1  # the other one
    two.commit()
    assert store.counts() == {"running": 1, "pending": 2}


def test_an_input_is_not_reset_that_was_claimed_meanwhile(store: Store, held: list[ClaimedInput]) -> None:
    """As when every node of a cluster calls `retry` for one run."""
    worker, another = store.transaction(), store.transaction()
    worker.make(finishing(held[0]).apply)
    worker.commit()

    def reset(rows: PostgresRowWriter) -> int:
        meant = EndedInputs(("completed", "failed"), None, None, None, failed_outputs=False, stand=True)
        return reset_inputs(rows, MASTER_JOB, meant, NOON)

    worker = store.transaction()
    assert worker.make(reset) == 1
    waiting = another.begin_waiting(reset, worker)
    claimed = worker.make(lambda rows: ledger_writer.claim_inputs(rows, MASTER_JOB, WORKER, 1, NOON))
    assert claimed[0][0] == held[0].job_id
    worker.commit()
    assert waiting.result() == 0
    another.commit()
    assert store.counts() == {"running": 3}


def test_inputs_on_their_way_are_counted_as_the_target(store: Store, held: list[ClaimedInput]) -> None:
    one, two = store.transaction(), store.transaction()
    completing: list[Any] = []
    rest = [ledger_rows.registered_row(MASTER_JOB, given, NOON) for given in inputs(7, 3)]

    def register(rows: PostgresRowWriter) -> int:
        repeated = rows.change_repeated

        def register_and_wait(name: str, given: Any) -> int:
            new = repeated(name, given)
            completing.append(two.begin(lambda rows: ledger_writer.complete_inputs(rows, MASTER_JOB)))
            while not completing[0].done() and not one.holds_up(two.pid):
                pass  # a question to the server takes its time
            return new

        rows.change_repeated = register_and_wait  # type: ignore[method-assign]
        return ledger_writer.register_inputs(rows, MASTER_JOB, rest)

    assert one.make(register) == 7
    one.commit()
    assert completing[0].result() == 10


def test_two_register_the_same_inputs(store: Store, held: list[ClaimedInput]) -> None:
    """The second waits, and stores nothing."""
    rows = [ledger_rows.registered_row(MASTER_JOB, given, NOON) for given in inputs(6)]
    one, two = store.transaction(), store.transaction()
    assert one.make(lambda writer: ledger_writer.register_inputs(writer, MASTER_JOB, rows)) == 3
    second = two.begin_waiting(lambda writer: ledger_writer.register_inputs(writer, MASTER_JOB, rows[::-1]), one)
    one.commit()
    assert second.result() == 0


def test_counts_are_refreshed_while_inputs_are_stored(store: Store, held: list[ClaimedInput]) -> None:
    """Both in one group, while another process completes the inputs: neither waits for the other."""
    rows = [ledger_rows.registered_row(MASTER_JOB, given, NOON) for given in inputs(6)]
    one, two = store.transaction(), store.transaction()
    one.make(lambda writer: ledger_writer.refresh_run(writer, MASTER_JOB, NOON))
    completed = two.begin_waiting(lambda writer: ledger_writer.complete_inputs(writer, MASTER_JOB), one)
    assert one.make(lambda writer: ledger_writer.register_inputs(writer, MASTER_JOB, rows)) == 3
    one.commit()
    assert completed.result() == 6


def test_counts_are_not_waited_for(store: Store, held: list[ClaimedInput]) -> None:
    """Every worker refreshes them once a second, in groups that must not wait for each other."""
    first, second = store.transaction(), store.transaction()
    first.make(lambda rows: ledger_writer.refresh_run(rows, MASTER_JOB, NOON))
    found = second.make(lambda rows: ledger_writer.refresh_run(rows, MASTER_JOB, NOON))
    assert found[0] == MASTER_JOB
    second.commit()
    first.commit()


def test_attempts_of_two_workers_are_numbered_one_after_the_other(store: Store, held: list[ClaimedInput]) -> None:
    one, two = store.transaction(), store.transaction()
    attempt = an_attempt(held[0], status="failed")
    late = an_attempt(held[0], "another", status="superseded")
    assert one.make(lambda rows: ledger_writer.save_attempt(rows, attempt, NOON)) == 1
    second = two.begin_waiting(lambda rows: ledger_writer.save_attempt(rows, late, NOON), one)
    one.commit()
    assert second.result() == 2


@pytest.mark.parametrize("keys", [3, 40])
async def test_outputs_with_many_unique_keys(store: Store, keys: int) -> None:
    """Of two processes, each with all the keys at once: more than are locked one by one, and fewer."""
    async with store.open() as storage, store.open() as another:
        ledger = await start(storage, 12)
        held = await claim(ledger, 12)

        async def finish(ledger: Any, claimed: ClaimedInput, count: int) -> None:
            outputs = [kept(number, f"key {number}") for number in range(count)]
            await ledger.finish_input(Outcome(claimed, WORKER, an_attempt(claimed), outputs))

        given = [(held[n], (storage, another)[n % 2].ledger, keys if n % 3 else 2) for n in range(12)]
        await asyncio.gather(*(finish(ledger, claimed, count) for claimed, ledger, count in given))
        stored = sum(count for _, _, count in given)
        found = await storage.count_records_for_master_job(MASTER_JOB)
        assert found == {"completed": keys, "duplicate": stored - keys}
        assert await storage.get_record_metadata(output_record_uid(held[0].job_id, 0)) is not None


@pytest.mark.parametrize(("held", "keys"), [("lock_all_names", 2), ("share_names", 33)])
async def test_many_unique_keys_are_decided_alone(store: Store, held: str, keys: int) -> None:
    """While others decide on any key, an outcome with very many of them waits, and the other way round."""
    async with store.open() as storage:
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        outputs = [kept(number, f"key {number}") for number in range(keys)]
        other = await asyncio.to_thread(store.transaction)
        await asyncio.to_thread(other.make, lambda rows: rows.execute(held, (other.lock("names"),)))
        finished = asyncio.create_task(ledger.finish_input(Outcome(claimed, WORKER, an_attempt(claimed), outputs)))
        while not finished.done() and not await asyncio.to_thread(other.make, other.holds_up_anybody):
            pass  # a question to the server takes its time
        assert not finished.done()
        await asyncio.to_thread(other.commit)
        assert (await finished).status == "completed"


async def test_what_comes_back_waits_for_others_that_decide_about_its_unique_key(store: Store) -> None:
    """It is a duplicate of what another process stores at the same moment, and not completed as well."""
    async with store.open() as storage:
        ledger = await start(storage)
        first, second = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(first, kept(1, "same")))
        await ledger.finish_input(an_outcome(second, kept(1, "another")))
        await ledger.cancel_inputs(MASTER_JOB, [first.job_id], at(9))
        other = await asyncio.to_thread(store.transaction)
        (name,) = names_of_keys(MASTER_JOB, ["same"])

        def has_it(rows: PostgresRowWriter) -> None:
            rows.execute("lock_names", ([other.lock(name)],))
            rows.change("set_unique_key", ("same", output_record_uid(second.job_id, 0)))

        await asyncio.to_thread(other.make, has_it)
        restored = asyncio.create_task(ledger.restore_inputs(MASTER_JOB, [first.job_id], at(10)))
        while not restored.done() and not await asyncio.to_thread(other.make, other.holds_up_anybody):
            pass  # a question to the server takes its time
        assert not restored.done()
        await asyncio.to_thread(other.commit)
        assert await restored == 1
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 1, "duplicate": 1}


def test_a_group_decides_on_few_names() -> None:
    """The server's table of locks is that of all groups of all processes."""
    operations = [WriteOperation(decides=[f"{number}", f"{number}'"]) for number in range(40)]
    operations.insert(7, WriteOperation(decides=[f"of one: {number}" for number in range(100)]))
    operations[20:20] = [WriteOperation() for _ in range(50)]
    portions = list(_portions(operations, 32))
    assert [one for portion in portions for one in portion] == operations
    decided = [sum(len(one.decides) for one in portion) for portion in portions]
    assert decided == [14, 100, 32, 32, 2]
    assert len(list(_portions(operations, sys.maxsize))) == 1
