"""A server that is silent or gone: how long a call waits, what it says then, and that the storage works on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from durability import processes, workload
from remote.stores import PATIENCE, SHORT, check_itself, opened, rows, sessions, through, until
from servers.postgres import PostgresServer
from servers.processes import HOST, wait_until
from servers.proxies import TcpProxy
from starfish_storage.errors import StorageClosedError, StorageUnavailableError
from starfish_storage.metadata.postgres import readers
from starfish_storage.storage.postgres import PostgresStorage

SLACK = 8.0  # for the last try, on a machine that has other things to do

Faults = dict[str, tuple[str, str]]
FAULTS: Faults = {"silent": ("stall", "flow"), "gone": ("refuse", "allow")}


@pytest.fixture
def proxy(postgres_server: PostgresServer, postgres_uri: str) -> Iterator[TcpProxy]:
    with TcpProxy(HOST, postgres_server.port) as proxy:
        yield proxy


def break_off(proxy: TcpProxy, fault: str) -> None:
    getattr(proxy, FAULTS[fault][0])()
    if fault == "gone":
        proxy.cut()


def mend(proxy: TcpProxy, fault: str) -> None:
    getattr(proxy, FAULTS[fault][1])()


async def filled(uri: str, server: PostgresServer, proxy: TcpProxy, root: Path, patience: float) -> PostgresStorage:
    """Return an open storage that has read and written, so that it has its connections."""
    storage = opened(through(uri, server, proxy.port), root, patience)
    await storage.setup()
    await workload.prepare(storage)
    assert await storage.get_project(workload.PROJECT) is not None
    return storage


async def prepare(storage: PostgresStorage, name: str) -> None:
    await workload.prepare(storage, name, f"{name}-job")


async def save(storage: PostgresStorage, uid: str) -> str:
    return await storage.save_record(workload.record(uid, 1), workload.payload(uid, 1))


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_call_waits_for_a_server_that_comes_back(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path, fault: str
) -> None:
    storage = await filled(postgres_uri, postgres_server, proxy, memory_path, PATIENCE)
    break_off(proxy, fault)
    calls = asyncio.gather(*(save(storage, f"r{number}") for number in range(20)), storage.get_project("project"))
    done, _ = await asyncio.wait((calls,), timeout=1)
    assert not done
    mend(proxy, fault)
    await calls
    await storage.close()
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records") == [["20"]]
    check_itself(postgres_server, postgres_uri)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_call_waits_for_a_server_that_comes_back_after_half_a_minute(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path, fault: str
) -> None:
    """With the patience that there is by default."""
    storage = await filled(postgres_uri, postgres_server, proxy, memory_path, 60)
    for number in range(2):
        break_off(proxy, fault)
        calls = asyncio.gather(*(save(storage, f"r{number}-{n}") for n in range(20)), storage.list_projects())
        done, _ = await asyncio.wait((calls,), timeout=30)
        assert not done
        mend(proxy, fault)
        await calls
    await storage.close()
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records") == [["40"]]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_call_gives_up_when_it_has_waited_long_enough(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path, fault: str
) -> None:
    storage = await filled(postgres_uri, postgres_server, proxy, memory_path, SHORT)
    break_off(proxy, fault)
    started = time.monotonic()

    async def refused(call: Awaitable[Any]) -> None:
        with pytest.raises(StorageUnavailableError) as caught:
            await call
        assert SHORT <= time.monotonic() - started < SHORT + SLACK
        assert caught.value.seconds >= SHORT
        assert postgres_server.password not in str(caught.value)
        assert str(proxy.port) in caught.value.place
        assert "does not answer" in str(caught.value)
        assert "call again" in str(caught.value)

    await asyncio.gather(*map(refused, (save(storage, "r"), storage.get_project("project"), prepare(storage, "m"))))
    mend(proxy, fault)
    await save(storage, "r")
    assert await storage.get_record_metadata("r") is not None
    await storage.close()


async def test_calls_that_pile_up_do_not_wait_for_each_other(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path
) -> None:
    """Each of these is a group by itself, and a try takes a second; none waits much longer than it would alone."""
    storage = await filled(postgres_uri, postgres_server, proxy, memory_path, SHORT)
    break_off(proxy, "silent")
    started = time.monotonic()
    calls = (storage.delete_master_job(f"m{number}") for number in range(40))
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - started < SHORT + 2 * SLACK
    assert {type(one) for one in failures} == {StorageUnavailableError}
    mend(proxy, "silent")
    await save(storage, "r")
    await storage.close()


async def test_closing_does_not_wait_for_readers_as_they_do_for_the_server(
    postgres_server: PostgresServer,
    postgres_uri: str,
    proxy: TcpProxy,
    memory_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers, "_CLOSING_SECONDS", 0.1)
    storage = await filled(postgres_uri, postgres_server, proxy, memory_path, 120)
    break_off(proxy, "gone")
    reading = [asyncio.create_task(storage.get_project("project")) for _ in range(9)]
    done, _ = await asyncio.wait(reading, timeout=0.2)
    assert not done
    await asyncio.wait_for(storage.close(), SLACK)
    ended = await asyncio.wait_for(asyncio.gather(*reading, return_exceptions=True), SLACK)
    assert {type(one) for one in ended} == {StorageClosedError}


@pytest.mark.parametrize("fault", FAULTS)
async def test_closing_ends_although_the_server_is_gone(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path, fault: str
) -> None:
    storage = await filled(postgres_uri, postgres_server, proxy, memory_path, SHORT)
    break_off(proxy, fault)
    calls = [asyncio.create_task(save(storage, f"r{number}")) for number in range(5)]
    reading = [asyncio.create_task(storage.get_project("project")) for _ in range(9)]
    await asyncio.sleep(0)
    started = time.monotonic()
    await storage.close()
    assert time.monotonic() - started < SHORT + 2 * SLACK
    ended = await asyncio.gather(*calls, *reading, return_exceptions=True)
    assert {type(one) for one in ended} <= {StorageUnavailableError, StorageClosedError}
    mend(proxy, fault)
    await storage.setup()
    await save(storage, "again")
    await storage.close()


async def test_cancelling_a_setup_ends_it(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path
) -> None:
    proxy.refuse()
    before = set(threading.enumerate())
    storage = opened(through(postgres_uri, postgres_server, proxy.port), memory_path, 60)
    setting_up = asyncio.create_task(storage.setup())
    await asyncio.wait((setting_up,), timeout=0.5)
    setting_up.cancel()
    await asyncio.gather(setting_up, return_exceptions=True)
    waiting = {one for one in threading.enumerate() if one.name.startswith("starfish")} - before
    wait_until(lambda: not any(one.is_alive() for one in waiting), "the end of what waits", 5)
    proxy.allow()
    await storage.setup()
    await storage.close()


# --- programs ---------------------------------------------------------------------------------------------------------

UNCLOSED = """
import asyncio, sys
from pathlib import Path
from durability import workload
from remote.stores import opened
log = workload.Log(None)
async def main():
    storage = opened(sys.argv[1], Path(sys.argv[2]), 60)
    await storage.setup()
    await workload.prepare(storage)
    async def work(name):
        for number in range(10**6):
            uid = f"{name}-{number}"
            await storage.save_record(workload.record(uid, 1), workload.payload(uid, 1))
            log.write("done", {"save": {uid: 1}})
            if number == 20 and sys.argv[3] == "forget":
                return
    await asyncio.gather(*(work(f"w{number}") for number in range(4)))
asyncio.run(main())
"""


def started(uri: str, root: Path, how: str) -> subprocess.Popen[str]:
    return processes.start(["-c", UNCLOSED, uri, str(root), how])


def test_a_program_that_never_closes_its_storage_ends(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    with started(postgres_uri, memory_path, "forget") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert len(out.splitlines()) == 84
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records") == [["84"]]
    until(
        postgres_server,
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'starfish%')",
        "the end of its sessions",
    )


@pytest.mark.parametrize("fault", ["none", "silent", pytest.param("gone", marks=pytest.mark.slow)])
def test_a_program_that_is_interrupted_ends(
    postgres_server: PostgresServer, postgres_uri: str, proxy: TcpProxy, memory_path: Path, fault: str
) -> None:
    """By Ctrl-C, in the middle of its calls, also while it waits for the server."""
    with started(through(postgres_uri, postgres_server, proxy.port), memory_path, "go on") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(50)]
        if fault != "none":
            break_off(proxy, fault)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()  # not communicate(): it passes over what readline() has buffered
        err = process.stderr.read()
        waited = time.monotonic() - asked
    assert waited < 5 + SLACK
    assert err.rstrip().endswith("KeyboardInterrupt")
    mend(proxy, "silent")
    acknowledged = len(lines) + rest.count("\n")
    ((stored,),) = rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records")
    assert acknowledged <= int(stored) <= acknowledged + 4
    assert sessions(postgres_server) >= 0
