"""How a run is told to be going: what is said, how often, and that telling never stops it."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import sys
from dataclasses import replace
from typing import Any

import pytest

from starfish_storage import InvalidInputError
from starfish_storage.generation.progress import Progress, Reporter, reporter

PROGRESS = Progress(
    master_job_id="run-1",
    total=1000,
    done=300,
    running=50,
    completed=280,
    filtered=10,
    duplicate=4,
    failed=6,
    failed_inputs=3,
    done_before=100,
    cost=1.5,
    seconds=20.0,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _a_capable_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_rate_and_eta_are_those_of_this_call() -> None:
    assert PROGRESS.rate == 10.0
    assert PROGRESS.eta_seconds == 70.0


def test_rate_and_eta_where_they_cannot_be_told() -> None:
    assert Progress("run-1").rate == 0.0
    assert Progress("run-1").eta_seconds is None
    assert Progress("run-1", total=10, seconds=5.0).eta_seconds is None
    assert replace(PROGRESS, total=None).eta_seconds is None
    assert replace(PROGRESS, done=1000).eta_seconds == 0.0
    assert replace(PROGRESS, done=1001).eta_seconds == 0.0
    assert Progress("run-1", total=0).eta_seconds == 0.0


def test_as_a_line() -> None:
    assert str(PROGRESS) == (
        "run-1: 300/1,000 inputs, 10.0/s, ETA 0:01:10, 50 in flight, 10 filtered, 4 duplicate, 6 failed, "
        "3 failed inputs, cost $1.50"
    )
    assert str(Progress("run-1", done=277, failed=277, failed_inputs=277, seconds=1)).endswith("277.0/s, 277 failed")
    assert str(Progress("run-1", done=3, failed_inputs=2, seconds=1)).endswith("3.0/s, 2 failed inputs")
    assert str(Progress("run-1")) == "run-1: 0 inputs, 0.0/s"
    assert str(Progress("run-1", done=2000, cost=0.0123, seconds=1)) == "run-1: 2,000 inputs, 2,000.0/s, cost $0.012"
    assert str(replace(PROGRESS, failed_inputs=6)).endswith(", 6 failed, cost $1.50")  # and not said again


@pytest.mark.parametrize(("kind", "is_shown"), [("bar", True), ("lines", True), ("quiet", False), (print, False)])
def test_a_note_is_for_those_who_read(kind: Any, is_shown: bool) -> None:
    stream = io.StringIO()
    told = reporter(kind, stream)
    told.begin(Progress("run-1"))
    told.note("waiting for [12] calls")
    told.end(Progress("run-1"))
    assert ("waiting for [12] calls\n" in stream.getvalue()) == is_shown


def lines_after(told: Reporter, stream: io.StringIO, clock: Clock) -> list[str]:
    """Tell of a hundred updates, one a second, and return what was written."""
    told.begin(Progress("run-1", total=100))
    for number in range(1, 101):
        clock.now += 1
        told.update(Progress("run-1", total=100, done=number, seconds=float(number)))
        told.update(Progress("run-1", total=100, done=number, seconds=float(number)))
    told.end(Progress("run-1", total=100, done=100, seconds=101.0))
    return stream.getvalue().splitlines()


def test_lines_at_the_start_every_ten_seconds_and_at_the_end() -> None:
    """Also that the last one is not said twice."""
    stream, clock = io.StringIO(), Clock()
    lines = lines_after(reporter("lines", stream, clock=clock), stream, clock)
    done = [line.split()[1].partition("/")[0] for line in lines]
    assert done == ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]
    assert "\x1b" not in stream.getvalue()


def test_what_was_said_is_not_said_again() -> None:
    stream = io.StringIO()
    told = reporter("lines", stream, clock=Clock())
    told.begin(PROGRESS)
    told.end(PROGRESS)
    told.end(PROGRESS)
    assert stream.getvalue().count("\n") == 1


def test_auto_is_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), Clock()
    assert len(lines_after(reporter("auto", stream, clock=clock), stream, clock)) == 11
    monkeypatch.setenv("TERM", "dumb")
    dumb = Terminal()
    assert len(lines_after(reporter("auto", dumb, clock=clock), dumb, clock)) == 11


def test_auto_is_a_bar_in_a_terminal() -> None:
    stream = Terminal()
    told = reporter("auto", stream, clock=Clock())
    told.begin(PROGRESS)
    told.end(replace(PROGRESS, done=1000, running=0, total=1000))
    shown = stream.getvalue()
    assert "300/1,000  10.0/s  ETA 0:01:10  50 in flight  10 filtered  4 duplicate  6 failed" in shown
    assert "cost $1.50" in shown
    assert "1,000/1,000" in shown
    assert "━" in shown


def test_a_bar_is_drawn_ten_times_a_second_at_most() -> None:
    stream, clock = Terminal(), Clock()
    told: Any = reporter("bar", stream, clock=clock)
    told.update(PROGRESS)  # before it begins: nothing
    told.begin(replace(PROGRESS, total=None))
    task = told._bar.tasks[0]
    assert (task.total, task.completed) == (None, 300)
    told.update(replace(PROGRESS, done=301))
    assert task.completed == 300
    clock.now += 0.2
    told.update(replace(PROGRESS, done=302))
    assert (task.total, task.completed) == (1000, 302)
    told.end(replace(PROGRESS, done=303))
    assert task.completed == 303
    told.end(PROGRESS)
    told.update(PROGRESS)
    assert task.completed == 303


def test_a_bar_can_be_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    told = reporter("bar", stream, clock=Clock())
    told.begin(PROGRESS)
    told.end(PROGRESS)
    assert "300/1,000" in stream.getvalue()
    assert "cost" not in stream.getvalue()


def test_what_is_printed_meanwhile_goes_where_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()
    told = reporter("bar", stream, clock=Clock())
    told.begin(PROGRESS)
    print("a result for a pipe")  # noqa: T201
    told.end(PROGRESS)
    assert capsys.readouterr().out == "a result for a pipe\n"
    assert "a result" not in stream.getvalue()


def test_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = Terminal(), Clock()
    assert lines_after(reporter("quiet", stream, clock=clock), stream, clock) == []
    monkeypatch.setattr(sys, "stderr", None)
    for kind in ("auto", "bar", "lines"):
        told = reporter(kind)
        told.begin(PROGRESS)
        told.end(PROGRESS)


def test_the_standard_error_stream_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    told = reporter()
    told.begin(PROGRESS)
    told.end(PROGRESS)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{PROGRESS}\n")


@pytest.mark.parametrize("kind", ["lines", "bar"])
@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.EIO, "gone"), ValueError("closed")])
def test_nobody_reads_it(kind: str, error: Exception) -> None:
    clock = Clock()
    told = reporter(kind, Broken(error), clock=clock)
    told.begin(PROGRESS)
    clock.now += 60
    told.update(PROGRESS)
    told.end(replace(PROGRESS, done=400))
    closed = io.StringIO()
    told = reporter("lines", closed, clock=clock)
    closed.close()
    told.begin(PROGRESS)


def test_a_function_is_called() -> None:
    seen: list[Progress] = []
    told = reporter(seen.append)
    told.begin(PROGRESS)
    told.update(replace(PROGRESS, done=301))
    told.end(replace(PROGRESS, done=302))
    assert [progress.done for progress in seen] == [300, 301, 302]


def test_a_function_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[Progress] = []

    def failing(progress: Progress) -> None:
        calls.append(progress)
        raise ValueError("no")

    told = reporter(failing)
    with caplog.at_level(logging.ERROR):
        told.begin(PROGRESS)
        told.update(PROGRESS)
        told.end(PROGRESS)
    assert len(calls) == 3
    assert len(caplog.records) == 1
    assert "ValueError: no" in caplog.text, "with its traceback"


@pytest.mark.parametrize("kind", ["loud", "", None, 5, asyncio.sleep])
def test_kinds_that_are_refused(kind: Any) -> None:
    with pytest.raises(InvalidInputError):
        reporter(kind)
