"""Watching a run: what is printed, and when it ends."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cli import stores
from cli.calling import call, call_json
from cli.stores import DESERTED, ENDED
from starfish_storage import LocalStorage
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_view import RunView, fields_of, view_of
from starfish_storage.cli.watching import Pace, drawn, line_of


def look(here: Path, run: str) -> RunView:
    async def found() -> RunView:
        uri = (here / "store").as_uri()
        async with LocalStorage(uri) as storage:
            view = await view_of(Place(uri), storage, run)
            assert view is not None
            return view

    return asyncio.run(found())


def test_a_run_that_has_ended_is_told_once(here: Path):
    ended = call("watch", ENDED)
    assert (ended.status, ended.err) == (1, "")
    (line,) = ended.out.splitlines()
    time, status, state = line.split("\t")
    assert time.endswith("Z")
    assert status == "completed_with_errors"
    assert state == "6 of 6 done, completed 2, filtered 1, duplicate 1, failed 2, cost $1.75"


def test_one_look_at_a_run_that_goes_on(here: Path):
    assert call("watch", "last", "--once").out.rstrip().endswith("1 of 2 done, completed 1"), "the one stored last"
    ended = call("watch", DESERTED, "--once")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.rstrip().endswith(
        "running\t1 of 6 done, in flight 2, completed 1, cost $0.25, "
        f"no worker is alive: continue with: starfish-storage resume {DESERTED}"
    )


def test_a_run_that_is_paused(here: Path):
    async def pause() -> str:
        async with LocalStorage((here / "store").as_uri()) as storage:
            until = await storage.ledger.pause_run(DESERTED, 1000, "RateLimitError: slow down")
            return f"{until:%Y-%m-%d %H:%M}"

    until = asyncio.run(pause())
    ended = call("watch", DESERTED, "--once")
    assert f", paused until {until}" in ended.out
    assert "Z (RateLimitError: slow down)" in ended.out
    shown = call("show", DESERTED).out
    assert until in next(line for line in shown.splitlines() if line.startswith("paused until"))
    assert "RateLimitError: slow down" in next(line for line in shown.splitlines() if line.startswith("paused for"))


def test_a_pause_does_not_outlive_the_run(here: Path):
    async def pause() -> None:
        async with LocalStorage((here / "store").as_uri()) as storage:
            await storage.ledger.pause_run(ENDED, 1000, "RateLimitError: slow down")

    asyncio.run(pause())
    run = call_json("show", ENDED)["run"]
    assert (run["paused_until"], run["pause_reason"]) == (None, None)


def test_a_run_that_goes_on_again_has_not_ended(here: Path):
    view = look(here, DESERTED)
    view.job.end_time = stores.at(5)  # it was interrupted, and then resumed
    assert fields_of(view)["ended"] is None
    assert fields_of(look(here, ENDED))["ended"] is not None


def test_failures_of_any_worker_are_named(here: Path):
    view = look(here, ENDED)
    running = replace(view, job=view.job.model_copy(update={"status": "running"}))
    assert view.failure is not None
    assert ", mostly 2 times Atlantis: " in line_of(running, None)
    assert "mostly" not in line_of(view, None), "`errors` tells more"
    assert view.to_json()["failure"]["kind"] == view.failure.kind


@pytest.mark.parametrize(("status", "expected"), [("completed", 0), ("failed", 1), ("cancelled", 3)])
def test_it_ends_with_the_run(status: str, expected: int, here: Path):
    looks = threading.Event()

    async def end() -> None:
        async with LocalStorage((here / "store").as_uri()) as storage:
            await storage.log_master_job_end(DESERTED, status, {}, stores.at(200), stores.at(200))

    def end_when_watched() -> None:
        looks.wait(0.3)
        asyncio.run(end())

    thread = threading.Thread(target=end_when_watched)
    thread.start()
    ended = call("watch", DESERTED, "--interval", "0.05", "--json")
    thread.join()
    seen = [json.loads(line)["master_job"]["status"] for line in ended.out.splitlines()]
    assert (ended.status, seen[-1]) == (expected, status)
    assert set(seen[:-1]) <= {"running"}


def test_lines_are_printed_when_something_has_changed(here: Path):
    from click.testing import CliRunner

    from starfish_storage.cli.watching import PlainLines

    view = look(here, DESERTED)
    lines = PlainLines()
    with CliRunner().isolation() as (out, *_):
        for _ in range(3):
            lines.show(view)
        assert len(out.getvalue().splitlines()) == 1


def test_how_fast_and_how_long_still(here: Path):
    view = look(here, DESERTED)
    assert ", a second 0.1, left 1:40, " in line_of(view, 0.05)
    assert "a second" not in line_of(look(here, ENDED), 0.05)


def test_the_pace_is_that_of_the_last_half_minute():
    pace = Pace()
    assert [pace.rate(done, at) for at, done in ((0, 0), (10, 100), (40, 160), (70, 160))] == [None, 10, 2, 0]


def test_the_picture(here: Path):
    for run in (ENDED, DESERTED):
        console = Console(width=100, file=io.StringIO())
        with console.capture() as captured:
            console.print(drawn(look(here, run), 2.0))
        first, second, third, *rest = captured.get().splitlines()
        assert run in first
        assert ("6 of 6" if run == ENDED else "1 of 6") in second
        assert "completed " in third
        assert rest == ([] if run == ENDED else [f"No worker is alive: continue with: starfish-storage resume {run}"])


def test_a_run_that_is_deleted_meanwhile(here: Path, monkeypatch: pytest.MonkeyPatch):
    async def gone(*_: object) -> None:
        return None

    monkeypatch.setattr("starfish_storage.cli.watch.view_of", gone)
    ended = call("watch", DESERTED)
    assert (ended.status, ended.out) == (2, "")
    assert "it has been deleted meanwhile" in ended.err
