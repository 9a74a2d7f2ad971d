"""Tests run side by side, in processes that end with the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servers.caretaker import gone
from servers.processes import PORTS, ports_of, wait_until

TESTS = Path(__file__).parents[1]

WAITING = """
import os, time

def test_that_waits():
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{os.getpid()}\\n")
    time.sleep(600)  # hangs: it is ended from outside

def test_that_waits_as_well():
    test_that_waits()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_no_worker_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    shutil.copy(TESTS / "side_by_side.py", tmp_path)
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['side_by_side']\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (tmp_path / "test_them.py").write_text(WAITING)
    log = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-n", "2", "-q", str(tmp_path)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LOG": str(log), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        wait_until(lambda: log.exists() and log.read_text().count("\n") == 2, "two tests")
        workers = {int(line) for line in log.read_text().split()}
        running.kill()
    wait_until(lambda: gone(workers), "the workers' end", 4)  # xdist itself ends them later


def test_no_two_workers_take_the_same_ports() -> None:
    shares = [ports_of(worker) for worker in ("", "gw0", "gw1", "gw8")]
    taken = [port for share in shares for port in share]
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(PORTS)
    assert min(len(share) for share in shares) > 1000
