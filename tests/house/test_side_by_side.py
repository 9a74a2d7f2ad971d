"""Tests run side by side in whatever order, and one that is marked `alone` runs beside no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

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


def test_what_is_alone_runs_beside_no_other_test(tmp_path: Path) -> None:
    shutil.copy(TESTS / "side_by_side.py", tmp_path)
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['side_by_side']\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\npythonpath = .\n")
    (tmp_path / "test_marked.py").write_text(MARKED)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-n", "2", "--dist", "load", "-q", str(tmp_path)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LOG": str(tmp_path / "log"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "24 passed" in ran.stdout, ran.stdout + ran.stderr
    lives = sorted(tuple(map(float, line.split())) for line in (tmp_path / "log").read_text().splitlines())
    alone = {tuple(map(float, line.split())) for line in (tmp_path / "log.alone").read_text().splitlines()}
    assert len(alone) == 4
    assert not [pair for pair in pairwise(lives) if alone & set(pair) and pair[0][1] > pair[1][0]]
    assert [pair for pair in pairwise(lives) if pair[0][1] > pair[1][0]], "nothing ran side by side at all"
