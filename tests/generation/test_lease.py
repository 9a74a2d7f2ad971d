"""Who is taken for dead: across machines, containers and clocks only an expired lease tells, and not at one look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durability import processes
from generation.runs import RUN, Calls, numbers, start
from starfish_storage.files.processes import start_of
from starfish_storage.generation import lease
from starfish_storage.generation.lease import ExpiredLeases, is_gone, new_worker, process_identity
from starfish_storage.interface import Storage
from starfish_storage.runs import Worker

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="how processes are told apart elsewhere is less sure")


def worker_of(process: str) -> Worker:
    return Worker("another", RUN, process, NOON, LATER)


def identity_of(process: subprocess.Popen[Any]) -> str:
    machine = process_identity().rsplit("/", 2)[0]
    return f"{machine}/{process.pid}/{start_of(process.pid)}"


@pytest.fixture
def another() -> Iterator[subprocess.Popen[str]]:
    with processes.start(["-c", "input()"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_of_this_machine_is_gone_when_it_is_dead(another: subprocess.Popen[str]) -> None:
    worker = worker_of(identity_of(another))
    assert not is_gone(worker)
    another.kill()
    os.waitid(os.P_PID, another.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(worker)  # a zombie still
    another.wait()
    assert is_gone(worker)


def test_a_process_that_has_the_id_of_another_is_not_it(another: subprocess.Popen[str]) -> None:
    assert is_gone(worker_of(identity_of(another).rpartition("/")[0] + "/1"))


def test_of_another_container_or_machine_nothing_is_known() -> None:
    """With the same boot, too: containers of one machine differ in their namespace alone."""
    boot, namespace, pid, begun = process_identity().split("/")
    for process in (f"{boot}/{int(namespace) + 1}/{pid}/{begun}", f"other/{namespace}/{pid}/1", "other/0/1/?", "x", ""):
        assert not is_gone(worker_of(process))


def test_a_process_that_is_hidden_is_not_gone(another: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of other users are where /proc is mounted with hidepid."""
    worker = worker_of(identity_of(another))
    monkeypatch.setattr(lease, "start_of", lambda pid: None if pid == another.pid else start_of(pid))
    assert not is_gone(worker)
    another.kill()
    another.wait()
    assert is_gone(worker)


@pytest.mark.parametrize("missing", ["/proc/sys/kernel/random/boot_id", "/proc/self"])
def test_machines_that_cannot_be_told_apart_are_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Two containers of two machines may have one hardware address, and the same ids of processes."""
    opened, link = open, os.readlink

    def hides_file(path: Any, *given: Any, **named: Any) -> Any:
        if path == missing:
            raise FileNotFoundError(path)
        return opened(path, *given, **named)

    monkeypatch.setattr("builtins.open", hides_file)
    # As in a namespace of processes whose /proc is still its parent's.
    monkeypatch.setattr(os, "readlink", lambda path: "1" if path == missing else link(path))
    machine = lease._machine.__wrapped__
    assert machine(os.getpid()) != machine(os.getpid())
    assert machine(os.getpid()).startswith("unknown-")


def test_one_look_at_an_expired_lease_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: clock[0])
    worker, leases = worker_of("elsewhere/0/1/?"), ExpiredLeases(60)
    assert not leases.is_dead(worker, NOON)
    assert not leases.is_dead(worker, LATER)
    clock[0] += 4.9
    assert not leases.is_dead(worker, LATER)
    renewed = replace(worker, lease_expires=LATER + timedelta(seconds=1))
    assert not leases.is_dead(renewed, LATER)  # the server was away, and is back
    assert not leases.is_dead(renewed, LATER + timedelta(seconds=1))
    clock[0] += 4.9
    assert not leases.is_dead(renewed, LATER + timedelta(seconds=5))
    clock[0] += 0.1
    assert leases.is_dead(renewed, LATER + timedelta(seconds=5))


async def test_a_clock_that_is_set_costs_no_lease(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewals go by what has passed, by two clocks; a sleeping machine stops one of them."""
    calls = Calls()
    await start(storage, calls, numbers(1))
    for shift in (0.0, 20.0, -20.0):
        heart = lease.Heartbeat(storage.ledger, new_worker(RUN), 60, lambda: None)  # pyright: ignore[reportArgumentType]
        await heart.renew()
        assert not heart._is_due()
        now = lease.time.time
        with monkeypatch.context() as patched:
            patched.setattr(lease.time, "time", lambda now=now, shift=shift: now() + shift)
            assert heart._is_due() == (shift != 0)
        await storage.ledger.remove_worker(heart.worker, NOON)
