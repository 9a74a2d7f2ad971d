"""What the tests of runs share: a storage that is sound when they are done with it, of the engines that matter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from generation.paid_steps import Ask, asking
from generation.runs import open_store, sound
from servers.emptied_schemas import EmptiedSchemas
from servers.paying import PayingServer
from servers.postgres import PostgresServer
from starfish_storage.generation import gate
from starfish_storage.generation.stopping import StoppedError, Stopping
from starfish_storage.interface import Storage

_OF_THE_LEDGER = frozenset(
    {
        "test_completed_hashes",
        "test_attempts",
        "test_budgets",
        "test_context",
        "test_forks",
        "test_resume",
        "test_retry",
        "test_returns",
        "test_reuse",
        "test_run_segments",
    }
    | {"test_secrets_in_errors", "test_shared_limits", "test_sharing", "test_waking"}
)
"""The modules whose tests ask a ledger for all that it does: they run on every engine. The others see no difference."""

_ONCE = frozenset(
    {
        "test_a_resumed_run_reads_only_what_it_works_on",  # thousands of commits, one after the other
        # Processes take seconds to start; the suite of contracts says the same of each engine, in one process, and
        # slow tests with eight.
        "test_workers_spend_no_more_than_one_call_each_above_the_limit",
        "test_a_limit_that_is_the_providers_fails_nothing",
        "test_plain_calls_that_hang_do_not_keep_others_from_running",  # waits for threads
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    assert metafunc.module is not None
    module = metafunc.module.__name__.rpartition(".")[2]
    if "engine" in metafunc.fixturenames:
        is_on_both = module in _OF_THE_LEDGER and metafunc.definition.originalname not in _ONCE
        metafunc.parametrize("engine", ["sqlite", "postgres"] if is_on_both else ["sqlite"])


@pytest.fixture
def postgres_uri(postgres_server: PostgresServer, emptied_schemas: EmptiedSchemas) -> Iterator[str]:
    """The URI of a schema that does not exist yet, or holds an empty store; afterwards the server runs."""
    postgres_server.start()
    schema = emptied_schemas.take()
    yield postgres_server.uri(schema=schema)
    emptied_schemas.give_back(schema)


@pytest.fixture
def store(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> str:
    """Where a store is, as `open_store` takes it."""
    root = (tmp_path / "store").as_uri()
    return root if engine == "sqlite" else f"{request.getfixturevalue('postgres_uri')} {root}"


@pytest.fixture
def ask(paying_server: PayingServer) -> Ask:
    """What makes a call of the model for a step."""
    return asking(paying_server)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass in a run's pauses and between attempts; return how long each was."""
    waited: list[float] = []

    async def pause(stopping: Stopping, seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)
        if stopping.is_wanted:
            raise StoppedError

    monkeypatch.setattr(Stopping, "pause", pause)
    monkeypatch.setattr(gate, "monotonic", lambda: time.monotonic() + sum(waited))
    return waited


@pytest.fixture
async def storage(store: str) -> AsyncIterator[Storage]:
    async with open_store(store) as storage:
        yield storage
    sound(store)
