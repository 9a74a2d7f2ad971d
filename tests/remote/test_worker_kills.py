"""A worker killed with kill -9, at random moments and at chosen requests: what it acknowledged outside is stored."""

from __future__ import annotations

import json
import logging
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from durability import processes, workload
from durability.shim import evenly
from durability.workload import Line
from remote.stores import check, opened, schema_of, sessions, through
from servers.postgres import PostgresServer
from servers.postgres_wire import Moment, PostgresWire
from servers.processes import HOST, wait_until
from starfish_storage.interface import Layout

ORDINARY_KILLS, SLOW_KILLS = 3, 60
LAYOUTS: tuple[Layout, Layout] = ("packed", "files")
ORDINARY_POINTS, SLOW_POINTS = 3, 120
KILLED_AT = (Moment.SILENT_BEFORE, Moment.SILENT_AFTER)  # nobody tells the process anything before it dies
logger = logging.getLogger(__name__)


def start(uri: str, root: Path, workers: int, steps: int, name: str = "w") -> subprocess.Popen[str]:
    return processes.start(["-m", "remote.writer_process", uri, str(root), str(workers), str(steps), name])


def logged(process: subprocess.Popen[str], *before: str) -> list[Line]:
    """Return what a process wrote before it died: no more than that did it acknowledge."""
    assert process.stdout is not None
    rest = process.stdout.read()
    whole = "".join(before) + rest[: rest.rfind("\n") + 1]
    lines: list[Any] = [json.loads(line) for line in whole.splitlines()]
    return [(kind, change) for kind, change in lines]


def kill_after(uri: str, root: Path, lines: int, workers: int = 8, name: str = "w") -> list[Line]:
    """Start a worker and kill it once it has logged so many lines; return its log."""
    with start(uri, root, workers, 100_000, name) as process:
        assert process.stdout is not None
        read = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        found = logged(process, *read)
        errors = process.stderr.read() if process.stderr else ""
    assert process.returncode == -signal.SIGKILL, errors
    return found


async def check_left(server: PostgresServer, uri: str, root: Path, lines: list[Line]) -> int:
    """Check what a killed worker has left: nobody waits for it, and a deletion, which needs the store alone, works."""
    wait_until(lambda: sessions(server) == 0, "the end of its sessions", 5)
    async with opened(uri, root) as storage:
        count = await check(storage, root, lines, server, uri)
        await workload.prepare(storage, "doomed", "doomed-job")
        await storage.delete_master_job("doomed")
    return count


@pytest.mark.parametrize("number", range(ORDINARY_KILLS))
async def test_a_worker_killed_at_a_random_moment_loses_nothing(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, number: int
) -> None:
    async with opened(postgres_uri, memory_path, layout=LAYOUTS[number % 2]):
        pass  # a store keeps its layout
    lines = kill_after(postgres_uri, memory_path, random.Random(number).randint(2, 400))
    await check_left(postgres_server, postgres_uri, memory_path, lines)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_worker_killed_at_many_random_moments_loses_nothing(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    records = 0
    for number in range(SLOW_KILLS):
        uri, root = f"{postgres_uri}_{number}", memory_path / str(number)
        root.mkdir()
        async with opened(uri, root, layout=LAYOUTS[number % 2]):
            pass
        lines = kill_after(uri, root, random.Random(100 + number).randint(4, 600))
        records += await check_left(postgres_server, uri, root, lines)
        postgres_server.execute(f'DROP SCHEMA "{schema_of(uri)}" CASCADE')
    logger.info("%d kills at random moments, %d records acknowledged", SLOW_KILLS, records)


async def test_of_two_workers_one_is_killed(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """The other one does not wait for it."""
    async with opened(postgres_uri, memory_path) as storage:
        await workload.prepare(storage)
    with start(postgres_uri, memory_path, 2, 12, "other") as other:
        lines = kill_after(postgres_uri, memory_path, 100)
        lines += logged(other)
        assert other.wait(60) == 0
    assert sum(1 if kind == "begin" else -1 for kind, change in lines if "other" in str(change)) == 0
    await check_left(postgres_server, postgres_uri, memory_path, lines)


def kill_at(uri: str, root: Path, wire: PostgresWire, server: PostgresServer, at: int, moment: Moment) -> list[Line]:
    """Kill a worker at a request; return its log."""
    wire.arm(at, moment)
    with start(through(uri, server, wire.port), root, 1, 4) as process:
        wait_until(lambda: wire.fired or process.poll() is not None, "the request")
        assert wire.fired
        process.kill()
        return logged(process)


async def kill_at_points(points: int, moment: Moment, server: PostgresServer, uri: str, path: Path) -> None:
    with PostgresWire(HOST, server.port) as wire:
        wire.arm(0, moment)
        (path / "counted").mkdir()
        with start(through(f"{uri}_counted", server, wire.port), path / "counted", 1, 4) as process:
            assert process.wait(60) == 0
        chosen = evenly(wire.requests - 5, points)
        for at in chosen:
            one, root = f"{uri}_{at}", path / str(at)
            root.mkdir()
            lines = kill_at(one, root, wire, server, at, moment)
            await check_left(server, one, root, lines)
            server.execute(f'DROP SCHEMA "{one.rpartition("=")[2]}" CASCADE')
    logger.info("killed at %d requests, %s", len(chosen), moment.name)


@pytest.mark.parametrize("moment", KILLED_AT)
async def test_a_worker_killed_at_a_request_loses_nothing(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, moment: Moment
) -> None:
    await kill_at_points(ORDINARY_POINTS, moment, postgres_server, postgres_uri, memory_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("moment", KILLED_AT)
async def test_a_worker_killed_at_many_requests_loses_nothing(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, moment: Moment
) -> None:
    await kill_at_points(SLOW_POINTS, moment, postgres_server, postgres_uri, memory_path)
