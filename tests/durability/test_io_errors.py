"""Every call that writes, syncs, renames, opens or makes a directory fails in turn: see `io_errors` for the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from durability import shim

KINDS = ["WRITE", "SHORT", "SYNC", "RENAME", "OPEN", "MKDIR"]
MORE_KINDS = [*KINDS, "UNLINK", "LINK", "TRUNCATE", "ALL"]
KINDS_OF_PACKS = ["WRITE", "SHORT", "SYNC", "OPEN", "MKDIR"]


def fail_at_points(library: Path, directory: Path, *which: str, points: int, cases: int) -> None:
    result = shim.run(library, "io_errors", directory, *which, points, timeout=1800)
    assert result["wrong"] == {}
    assert result["cases"] >= cases
    assert result["failed"] > result["cases"] / 5, "the faults hardly hit anything"


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_fails_says_so_and_changes_nothing(shim_library: Path, memory_path: Path, kind: str) -> None:
    """Three calls of the kind, each with EIO and with ENOSPC, once and for good."""
    fail_at_points(shim_library, memory_path, "files", kind, "power", points=3, cases=12)


@pytest.mark.parametrize("kind", KINDS_OF_PACKS)
def test_a_call_on_a_pack_that_fails_says_so_and_changes_nothing(
    shim_library: Path, memory_path: Path, kind: str
) -> None:
    """The other calls of a packed store are those of a store of files."""
    fail_at_points(shim_library, memory_path, "packed", kind, "power", points=3, cases=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("kind", MORE_KINDS)
def test_any_call_that_fails_says_so_and_changes_nothing(
    shim_library: Path, memory_path: Path, kind: str, durability: str
) -> None:
    fail_at_points(shim_library, memory_path, "files", kind, durability, points=0, cases=16)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("kind", KINDS_OF_PACKS)
def test_any_call_on_a_pack_that_fails_says_so_and_changes_nothing(
    shim_library: Path, memory_path: Path, kind: str, durability: str
) -> None:
    fail_at_points(shim_library, memory_path, "packed", kind, durability, points=0, cases=2)
