"""Every state that a file system may leave after a power cut, as far as they can be counted, is opened and checked.

Real cuts, as in `test_power_cuts`, leave what one file system happens to leave; see `disk_model` for what may be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from durability import shim

# Of each life, so many moments; the rows of all layouts are the same, and most of each trace is theirs.
POINTS = {
    ("files", "power"): 15,
    ("packed", "power"): 15,
    ("mixed", "power"): 10,
    ("files", "process"): 8,
    ("packed", "process"): 8,
}
FAILED_SYNCS = {"files": (8, 22), "packed": (15, 29)}  # the last is of a pack


def enumerate_states(library: Path, directory: Path, layout: str, durability: str, *numbers: int) -> dict[str, Any]:
    return shim.run(library, "crash_states", directory, layout, durability, *numbers, timeout=3000)


@pytest.mark.parametrize(("layout", "durability"), POINTS)
def test_no_state_after_a_cut_lacks_what_was_acknowledged(
    shim_library: Path, memory_path: Path, layout: str, durability: str
) -> None:
    """For the process: none is torn, and each can be opened."""
    result = enumerate_states(shim_library, memory_path, layout, durability, POINTS[layout, durability], 1, 1, 0)
    assert result["failures"] == {}
    assert result["states"] > 4 * POINTS[layout, durability]
    assert (result["packs"] > 1) == (layout != "files"), "no pack was full"


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("layout", ["files", "packed", "mixed"])
def test_no_state_after_a_cut_at_any_call_lacks_what_was_acknowledged(
    shim_library: Path, memory_path: Path, layout: str, durability: str
) -> None:
    result = enumerate_states(shim_library, memory_path, layout, durability, 0, 4, 3, 0)
    assert result["failures"] == {}
    assert result["states"] > 5000


@pytest.mark.parametrize(
    ("layout", "failing"), [(layout, failing) for layout, numbers in FAILED_SYNCS.items() for failing in numbers]
)
def test_a_failed_sync_is_never_retried_into_success(
    shim_library: Path, memory_path: Path, layout: str, failing: int
) -> None:
    """What the system forgot when a sync failed is not on the disk after the next one; nobody may rely on it."""
    result = enumerate_states(shim_library, memory_path, layout, "power", 6, 1, 1, failing)
    assert result["failures"] == {}
    assert result["states"] > 10


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("layout", FAILED_SYNCS)
def test_no_failed_sync_is_ever_retried_into_success(shim_library: Path, memory_path: Path, layout: str) -> None:
    states = failing = 0
    while True:
        failing += 1
        directory = memory_path / str(failing)
        directory.mkdir()
        result = enumerate_states(shim_library, directory, layout, "power", 40, 3, 2, failing)
        assert result["failures"] == {}, f"sync {failing}"
        states += result["states"]
        if failing >= result["syncs"]:
            break
    assert failing > 25
    assert states > 3000


@pytest.mark.parametrize("layout", FAILED_SYNCS)
def test_the_states_tell_a_disk_that_lies(shim_library: Path, memory_path: Path, layout: str) -> None:
    result = enumerate_states(shim_library, memory_path, layout, "power", 4, 1, 0, -1)
    assert len(result["failures"]) > 3
