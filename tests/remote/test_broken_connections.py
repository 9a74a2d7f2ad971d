"""A connection breaks at a chosen request: each call is settled rightly, whatever the server has heard of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from durability import workload
from durability.shim import evenly
from remote.stores import PATIENCE, Kept, check, opened, through, unreferenced
from servers.postgres import PostgresServer
from servers.postgres_wire import Moment, PostgresWire
from servers.processes import HOST, wait_until

STEPS = 4  # a save, an overwrite, a batch and a deletion, and a run of several inputs
ORDINARY_POINTS = 2  # of each moment; some 250 requests there are
QUIET = (Moment.SILENT_BEFORE, Moment.SILENT_AFTER)  # each takes as long as a silent server is waited for
logger = logging.getLogger(__name__)


async def live(wire: PostgresWire, server: PostgresServer, uri: str, root: Path, at: int, moment: Moment) -> int:
    """Live the life of a writer whose connection breaks at a request, and check; return how many it made."""
    log = Kept()
    wire.arm(at, moment)
    patience = 4.0 if moment in QUIET else PATIENCE
    async with opened(through(uri, server, wire.port), root, patience) as storage:
        await workload.run(storage, log, STEPS)
        requests = wire.requests
        assert wire.fired == bool(at)
        wire.arm(0, moment)
        # Every call was acknowledged: of what it saved nothing is missing, of what it replaced nothing is left.
        assert log.in_flight() == 0
        assert await check(storage, root, log.lines, server, uri) > STEPS
        wait_until(lambda: not unreferenced(root, server, uri), "what was replaced to be removed")
    return requests


async def live_at(points: int, moment: Moment, server: PostgresServer, uri: str, path: Path) -> None:
    with PostgresWire(HOST, server.port) as wire:
        count = await live(wire, server, uri, path / "counted", 0, moment)
        chosen = evenly(count, points)
        for at in chosen:
            one = f"{uri}_{at}"
            await live(wire, server, one, path / str(at), at, moment)
            server.execute(f'DROP SCHEMA "{one.rpartition("=")[2]}" CASCADE')
    logger.info("%s: %d of %d requests", moment.name, len(chosen), count)


@pytest.mark.parametrize("moment", [Moment.AFTER, Moment.HALF_OPEN, Moment.LATE, Moment.SILENT_AFTER])
async def test_a_connection_breaks(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, moment: Moment
) -> None:
    await live_at(ORDINARY_POINTS, moment, postgres_server, postgres_uri, memory_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("moment", Moment)
async def test_a_connection_breaks_at_any_request(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, moment: Moment
) -> None:
    await live_at(40 if moment in QUIET else 0, moment, postgres_server, postgres_uri, memory_path)
