"""Tests run side by side in whatever order, and one that is marked `alone` runs beside no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from servers.caretaker import gone
from servers.processes import wait_until

TESTS = Path(__file__).parents[1]

MARKED = """
import os, time
from pathlib import Path

import pytest


LOG = Path(os.environ["LOG"])

def lived():
    began = time.monotonic()
    while time.monotonic() < began + 0.02:  # the machine's own time, so that others have begun meanwhile
        pass
    with LOG.open("a") as log:
        log.write(f"{began} {time.monotonic()}\\n")

@pytest.mark.parametrize("number", range(20))
def test_of_many(number):
    lived()

@pytest.mark.alone
@pytest.mark.parametrize("number", range(4))
def test_alone(number):
    lived()
    with LOG.with_suffix(".alone").open("a") as log:
        log.write(LOG.read_text().splitlines()[-1] + "\\n")
"""


WAITING = """
import os, time

def test_that_waits():
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{os.getpid()}\\n")
    time.sleep(600)

def test_that_waits_as_well():
    test_that_waits()
"""


def start_pytest(directory: Path, tests: str) -> subprocess.Popen[str]:
    shutil.copy(TESTS / "side_by_side.py", directory)
    (directory / "conftest.py").write_text("pytest_plugins = ['side_by_side']\n")
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = alone\npythonpath = .\n")
    (directory / "test_them.py").write_text(tests)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-n", "2", "--dist", "load", "-q", str(directory)],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "LOG": str(directory / "log"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_is_alone_runs_beside_no_other_test(tmp_path: Path) -> None:
    with start_pytest(tmp_path, MARKED) as running:
        out, _ = running.communicate()
    assert "24 passed" in out, out
    lives = sorted(tuple(map(float, line.split())) for line in (tmp_path / "log").read_text().splitlines())
    alone = {tuple(map(float, line.split())) for line in (tmp_path / "log.alone").read_text().splitlines()}
    assert len(alone) == 4
    assert not [pair for pair in pairwise(lives) if alone & set(pair) and pair[0][1] > pair[1][0]]
    assert [pair for pair in pairwise(lives) if pair[0][1] > pair[1][0]], "nothing ran side by side at all"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_no_worker_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with start_pytest(tmp_path, WAITING) as running:
        wait_until(lambda: log.exists() and log.read_text().count("\n") == 2, "two tests")
        workers = {int(line) for line in log.read_text().split()}
        running.kill()
    wait_until(lambda: gone(workers), "the workers' end", 4)  # xdist itself ends them later
