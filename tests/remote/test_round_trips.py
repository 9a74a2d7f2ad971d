"""How often a run asks a server that is far away before its first call and after its last."""

from __future__ import annotations

from pathlib import Path

from remote.stores import opened, through
from servers.postgres import PostgresServer
from servers.postgres_wire import Moment, PostgresWire
from servers.processes import HOST
from starfish_storage.generation import generate
from starfish_storage.testing.samples import a_record, save_run

BEFORE_THE_CALL, ALL = 58, 80


async def test_a_run_asks_seldom_before_its_first_call_and_after_its_last(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """Each statement that a connection has not made before is two requests; a few are made beside the others."""
    with PostgresWire(HOST, postgres_server.port) as wire:
        async with opened(through(postgres_uri, postgres_server, wire.port), memory_path) as storage:
            await save_run(storage)
            await storage.save_record(a_record("r"), {"n": 1})
            wire.arm(0, Moment.BEFORE)
            asked: list[int] = []

            async def answer(n: int) -> dict[str, int]:
                asked.append(wire.requests)
                return {"n": n}

            await generate(storage, answer, [{"n": 1}], project="project", progress="quiet")
            asked.append(wire.requests)
    before, all_of_them = asked
    assert before <= BEFORE_THE_CALL
    assert all_of_them <= ALL
