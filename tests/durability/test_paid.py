"""Whatever a function returns and keeps as steps, and whenever its run is killed: what was paid for is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from durability import shim

ORDINARY, SLOW = (3, 4), (6, 0)  # runs that are drawn, and the calls at which each is killed; 0 are all, about 400


def kill(library: Path, directory: Path, runs: int, points: int) -> None:
    result = shim.run(library, "paid_points", directory, runs, points, timeout=3000)
    assert result["runs"] == runs
    assert result["killed"] >= runs * (points - 1)


def test_what_was_paid_for_survives_a_kill(shim_library: Path, memory_path: Path) -> None:
    kill(shim_library, memory_path, *ORDINARY)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_what_was_paid_for_survives_a_kill_at_any_moment(shim_library: Path, memory_path: Path) -> None:
    kill(shim_library, memory_path, *SLOW)
