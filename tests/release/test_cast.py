"""The recording of a terminal: it is small, of no machine, and shows what it is to show; its picture loads nothing."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CAST = ROOT / "docs" / "images" / "demo.cast"
LARGEST = 200_000


def check(cast: Path) -> None:
    assert cast.stat().st_size < LARGEST
    assert cast.with_suffix(".svg").stat().st_size < LARGEST
    header, *events = map(json.loads, cast.read_text("utf-8").splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 100, 30)
    assert all(len(event) == 3 and event[1] == "o" for event in events)
    times = [event[0] for event in events]
    assert times[0] == 0
    assert all(before < after <= before + 2.2 for before, after in itertools.pairwise(times))
    text = "".join(event[2] for event in events)
    for shown in ("kill -9 when", "not paid for twice:", "The store is ~/store", "sound"):
        assert shown in text
    drawn = cast.with_suffix(".svg").read_text("utf-8")
    assert "not&#160;paid&#160;for&#160;twice:" in drawn
    for of_machine in ("/tmp", "/root", "/home", "/work", "/usr", ".venv", "Traceback"):
        assert of_machine not in text
        assert of_machine not in drawn
    assert set(re.findall(r"https?://[^\"' <)]+", drawn)) <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}


def test_the_recording_in_the_documentation():
    check(CAST)


@pytest.mark.slow  # it waits for four commands in a terminal
def test_a_recording_that_is_made_now(tmp_path: Path):
    made = tmp_path / "demo.cast"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make_cast.py"), str(made)], check=True)
    check(made)
