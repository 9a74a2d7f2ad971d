"""A run that is killed after an answer was stored asks for nothing that it has, wherever it was."""

from __future__ import annotations

import pytest

from durability import processes
from generation.runs import sound
from servers.paying import PayingServer

TURNS = {"async": 2, "blocking": 2, "stream": 2, "agent": 10}
EVERY_POINT = [(way, at) for way, turns in TURNS.items() for at in range(1, 2 * turns + 3)]
# After an answer is stored and before the SDK has it, between turns, and around the end.
SOME_POINTS = [("async", 6), ("stream", 2), ("agent", 21)]


def run_to(store: str, server: PayingServer, way: str, at: int | None) -> list[str]:
    """Run until a point, and kill there; return the points. None: to the end."""
    arguments = ["-m", "recording.killed_process", store, server.url, way, str(TURNS[way])]
    passed: list[str] = []
    with processes.start(arguments) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        while line := process.stdout.readline().strip():
            passed.append(line)
            if len(passed) == at:
                process.kill()
                break
            if line.startswith("{"):
                break
            process.stdin.write("\n")
            process.stdin.flush()
        _, errors = process.communicate(timeout=60)
        assert at is not None or process.returncode == 0, errors
    return passed


def check_killed(store: str, server: PayingServer, way: str, at: int) -> None:
    points = run_to(store, server, way, at)
    assert len(points) == at
    assert server.payments.total() == points.count("kept")
    if points[-1] != "finished":
        assert '"completed"' in run_to(store, server, way, None)[-1]
    assert server.payments.total() == TURNS[way]
    assert set(server.payments.values()) == {1}
    sound(store)


@pytest.mark.parametrize(("way", "at"), SOME_POINTS)
def test_each_call_is_paid_once(store: str, paying_server: PayingServer, way: str, at: int) -> None:
    check_killed(store, paying_server, way, at)


@pytest.mark.slow
@pytest.mark.parametrize(("way", "at"), EVERY_POINT)
def test_each_call_is_paid_once_at_every_point(store: str, paying_server: PayingServer, way: str, at: int) -> None:
    check_killed(store, paying_server, way, at)
