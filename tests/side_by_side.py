"""How tests run side by side: how many workers of pytest-xdist there are, and how each of them ends.

A pytest plugin. Each worker has servers of its own (`servers/`), so no test waits for one of another worker.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

import pytest

MOST_WORKERS = 9
PR_SET_PDEATHSIG = 1


def pytest_configure(config: pytest.Config) -> None:
    """End a worker when the process that started it is gone, however that ended; its servers follow it.

    By itself it would end some time after that, and its tests would go on meanwhile. (The signal follows the thread
    that started the worker, which is the main one.)
    """
    if hasattr(config, "workerinput") and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: some tests wait for a disk, a server or a time-out.

    Each takes eight seconds of processor time to collect the tests, and starts servers of its own: more than a few
    gain nothing.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors + 1, MOST_WORKERS)
