"""Tests that run side by side, and those that need the machine for themselves.

A pytest plugin. The workers of pytest-xdist share two locks, so that a test marked ``alone`` begins when the tests of
the other workers have ended, and they go on when it has. (A group of xdist's would keep such tests in one worker, one
after the other, but beside the tests of the others.)
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

MOST_WORKERS = 9
PR_SET_PDEATHSIG = 1

# Files of the project: there is nothing to make or to remove, and a second run on this machine waits as well.
_DOOR = Path(__file__)
_ROOM = Path(__file__).with_name("conftest.py")


@contextmanager
def _held(path: Path, how: int) -> Generator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # said, since a child that the test has forked keeps the descriptor
        os.close(descriptor)


def pytest_configure(config: pytest.Config) -> None:
    """End a worker when the process that started it is gone, however that ended; its servers follow it.

    By itself it would end after its test only, and that may be one that waits. (The signal follows the thread that
    started the worker, which is the main one.)
    """
    if hasattr(config, "workerinput") and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: some tests wait for a disk, a server or a time-out.

    Each takes eight seconds of processor time to collect the tests and starts servers of its own, so more than a few
    gain nothing.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors + 1, MOST_WORKERS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not hasattr(item.config, "workerinput"):
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    with ExitStack() as room:
        with _held(_DOOR, fcntl.LOCK_EX):  # who waits to be alone lets nobody pass: else it might wait for ever
            room.enter_context(_held(_ROOM, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        return (yield)
