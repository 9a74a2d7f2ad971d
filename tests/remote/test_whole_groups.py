"""The most frequent groups take one round trip; and what one has claimed is known though its answer was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from remote.stores import opened, through
from remote.test_batches import prepare_run
from servers.postgres import PostgresServer
from servers.postgres_wire import Moment, PostgresWire
from servers.processes import HOST
from starfish_storage import Storage
from starfish_storage.runs import Attempt, ClaimedInput, Outcome, Output
from starfish_storage.testing.samples import MASTER_JOB, a_record, at, save_run

TOGETHER = 20


@pytest_asyncio.fixture
async def far(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> AsyncIterator[tuple[Storage, PostgresWire]]:
    """A store whose statements are prepared, and the connection to it."""
    with PostgresWire(HOST, postgres_server.port) as wire:
        async with opened(through(postgres_uri, postgres_server, wire.port), memory_path) as storage:
            await save_run(storage)
            await prepare_run(storage)
            (first,) = await storage.ledger.claim_inputs(MASTER_JOB, "worker", 1, at(1))
            await storage.ledger.finish_input(outcome_of(first))
            yield storage, wire


def outcome_of(claimed: ClaimedInput) -> Outcome:
    attempt = Attempt(claimed.job_id, MASTER_JOB, 0, "worker", "completed", at(1), at(2))
    return Outcome(claimed, "worker", attempt, [Output("completed", {"n": claimed.position})])


async def test_what_comes_together_takes_one_round_trip(far: tuple[Storage, PostgresWire]) -> None:
    storage, wire = far
    wire.arm(0, Moment.BEFORE)
    await asyncio.gather(*(storage.save_record(a_record(f"r{n}"), {"n": n}) for n in range(TOGETHER)))
    assert wire.requests <= 2, "the data of the first may be there before that of the others"
    wire.arm(0, Moment.BEFORE)
    claimed = await storage.ledger.claim_inputs(MASTER_JOB, "worker", TOGETHER, at(1))
    assert (len(claimed), wire.requests) == (TOGETHER, 1)
    wire.arm(0, Moment.BEFORE)
    finished = await asyncio.gather(*(storage.ledger.finish_input(outcome_of(one)) for one in claimed))
    assert {one.status for one in finished} == {"completed"}
    assert wire.requests <= 2


async def test_what_was_claimed_is_known_though_the_answer_was_lost(far: tuple[Storage, PostgresWire]) -> None:
    storage, wire = far
    (first,) = await storage.ledger.claim_inputs(MASTER_JOB, "worker", 1, at(1))
    wire.arm(1, Moment.AFTER)
    finished = await storage.ledger.finish_input(outcome_of(first), claim_next=True)
    assert wire.fired
    assert finished.status == "completed"
    assert finished.claimed is not None
    assert finished.claimed.position == first.position + 1
    running = await storage.ledger.list_inputs(MASTER_JOB, first=first.position, limit=3)
    assert [one.status for one in running] == ["completed", "running", "pending"]
