"""`pack`, compressing and `unpack`, killed: nothing is lost, and the same commands go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from durability import shim

ORDINARY_POINTS = 8  # of about 220


def kill_at_points(library: Path, directory: Path, action: str, points: int) -> None:
    result = shim.run(library, "packing_points", directory, action, points, timeout=3000)
    assert result["failures"] == {}
    assert result["calls"] > (150 if action == "KILL" else 60)
    assert result["killed"] >= (points or result["calls"]) - 5, "the last calls vary with the moment of the checkpoint"


@pytest.mark.parametrize("action", ["KILL", "KILL_TORN"])
def test_changing_the_layout_can_be_killed_at_a_call_that_changes_files(
    shim_library: Path, memory_path: Path, action: str
) -> None:
    kill_at_points(shim_library, memory_path, action, ORDINARY_POINTS if action == "KILL" else 3)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("action", ["KILL", "KILL_TORN"])
def test_changing_the_layout_can_be_killed_at_any_call_that_changes_files(
    shim_library: Path, memory_path: Path, action: str
) -> None:
    kill_at_points(shim_library, memory_path, action, points=0)
