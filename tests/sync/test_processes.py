"""Programs that end, fork or are interrupted while they use the synchronous face."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from durability.processes import run
from starfish_storage import sync
from starfish_storage.maintenance import verify


def program(name: str, *arguments: object) -> tuple[int, str, str]:
    return run(["-m", "sync.programs", name, *map(str, arguments)], timeout=30)


def test_a_program_that_ends_with_an_open_store_closes_it(tmp_path: Path) -> None:
    status, out, err = program("ends_with_an_open_store", tmp_path)
    assert (status, err) == (0, "")
    assert out.startswith("the interpreter is ending, so the synchronous face takes no more calls. Let the main thread")
    assert not list(tmp_path.glob("*-wal"))  # as after close()
    with sync.open_storage(tmp_path) as store:
        assert [one.name for one in store.list_projects()] == ["of main", "of thread"]
    assert verify(str(tmp_path)).is_sound


def test_one_interruption_ends_what_closes_slowly_at_the_end(tmp_path: Path) -> None:
    begun = time.monotonic()
    _, _, err = program("is_interrupted_at_its_end", tmp_path)
    assert "KeyboardInterrupt" in err
    assert time.monotonic() - begun < 8  # of the ten seconds that closing may take


def test_a_forked_child_has_a_portal_of_its_own(tmp_path: Path) -> None:
    status, out, err = program("forks", tmp_path / "store")
    assert (status, out) == (0, "child has 1\nparent has 1\n"), err


@pytest.mark.parametrize(
    ("number", "times", "handles", "status", "left"),
    [
        pytest.param(
            *(signal.SIGINT, 1, "handled", -signal.SIGINT, [("completed", 2), ("pending", 48)]),
            marks=pytest.mark.slow,
        ),
        (signal.SIGINT, 2, "handled", -signal.SIGINT, [("pending", 50)]),
        pytest.param(
            *(signal.SIGTERM, 1, "handled", 128 + signal.SIGTERM, [("completed", 2), ("pending", 48)]),
            marks=pytest.mark.slow,
        ),
        pytest.param(signal.SIGINT, 1, "not handled", -signal.SIGINT, [("pending", 50)], marks=pytest.mark.slow),
    ],
)
def test_a_run_is_interrupted_in_order(
    number: signal.Signals, times: int, handles: str, status: int, left: list[tuple[str, int]], tmp_path: Path
) -> None:
    found, out, err = program("is_interrupted", tmp_path, int(number), times, handles)
    assert out == f"{left} []\n", err
    assert found == status
    assert f"{dict(left).get('completed', 0)} of 50 inputs are done; start the program again to continue" in err
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)
    assert ("again to cancel them" in err) == (handles == "handled")
