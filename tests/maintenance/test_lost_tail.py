"""A row log that lost its last lines: mended when the store is opened, seen by `verify`, never the end of a record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durability import processes
from generation.runs import RUN, start
from maintenance.test_verify import change
from starfish_storage import LocalStorage, open_storage
from starfish_storage.generation import resume, retry
from starfish_storage.maintenance import collect, repair, verify
from starfish_storage.metadata.sqlite import locks

KILLED = """
import asyncio, os, sys
from starfish_storage import open_storage
from starfish_storage.generation import generate

async def main():
    async def answer(n):
        if n == 5:
            os.kill(os.getpid(), 9)
        return [{"n": n}, {"n": -n}]
    async with open_storage(sys.argv[1]) as storage:
        inputs = [{"n": n} for n in range(8)]
        await generate(storage, answer, inputs, project="p", master_job_id="run-1", progress="quiet", max_concurrency=1)

asyncio.run(main())
"""


async def answer(n: int) -> list[dict[str, Any]]:
    return [{"n": n}, {"n": -n}]


def lose_tail(root: Path, lines: int, torn: int = 0) -> None:
    """Take the last lines of the row log, and some bytes of the line before."""
    log = root / "rows.jsonl"
    kept = b"".join(log.read_bytes().splitlines(keepends=True)[:-lines])
    log.write_bytes(kept[: len(kept) - torn])


def lose_database(root: Path) -> None:
    for path in root.glob("metadata.db*"):
        path.unlink()


async def data_of(root: Path) -> dict[str, Any]:
    async with open_storage(str(root)) as storage:
        return {
            record.record_uid: await storage.get_record_data(record.output_ref)
            async for record in storage.iter_records(RUN)
            if record.output_ref
        }


def kinds(root: Path) -> list[str]:
    return [finding.kind for finding in verify(str(root)).findings if finding.kind != "leftover"]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    assert processes.run(["-c", KILLED, str(root)])[0] == -9
    return root


async def test_nothing_is_lost_with_the_tail_of_a_killed_run_and_then_the_database(killed: Path) -> None:
    lose_tail(killed, 6, torn=4)
    async with open_storage(str(killed)) as storage:
        run = await resume(storage, RUN, answer, progress="quiet")
    assert (run.status, run.done_before) == ("completed", 5)
    assert kinds(killed) == []
    before = await data_of(killed)
    assert len(before) == 16
    lose_database(killed)
    repair(str(killed))
    assert kinds(killed) == []
    assert await data_of(killed) == before


async def test_what_cannot_be_rebuilt_leaves_its_input_open(killed: Path) -> None:
    """The database is lost before anybody has opened the store: the lines that are missing are missing for good."""
    paid: list[int] = []

    async def again(n: int) -> list[dict[str, Any]]:
        paid.append(n)
        return await answer(n)

    lines = (killed / "rows.jsonl").read_bytes().splitlines()
    ends = [number for number, line in enumerate(lines) if line.startswith(b'["finish_input"')]
    lose_tail(killed, len(lines) - ends[3] - 1)  # of the fourth input, the end stands there and records may not
    lose_database(killed)
    assert not verify(str(killed)).is_sound
    done = repair(str(killed))
    assert [step.kind for step in done.steps] == ["rebuild_database", "reopen_input"]
    assert kinds(killed) == []  # what no row names is dead in its pack
    async with open_storage(str(killed)) as storage:
        run = await resume(storage, RUN, again, progress="quiet")
    assert run.status == "completed"
    assert sorted(paid) == [3, 4, 5, 6, 7]
    assert sorted((await data_of(killed)).values(), key=json.dumps) == sorted(
        [one for n in range(8) for one in await answer(n)], key=json.dumps
    )
    assert kinds(killed) == []


@pytest.mark.parametrize("going_on", [resume, retry])
async def test_a_run_that_was_over_goes_on_with_the_inputs_that_lost_a_record(
    tmp_path: Path, going_on: Callable[..., Any]
) -> None:
    root, paid = tmp_path / "store", list[int]()

    async def again(n: int) -> list[dict[str, Any]]:
        paid.append(n)
        return await answer(n)

    async with open_storage(str(root)) as storage:
        await start(storage, answer)
        (lost,) = [job.job_id for job in await storage.list_execution_jobs(RUN) if job.run_config == {"n": 1}]
    change(root, f"DELETE FROM records WHERE record_uid = '{lost}-1'")
    log = (root / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (root / "rows.jsonl").write_bytes(b"".join(line for line in log if f"{lost}-1".encode() not in line))
    assert [one.subject for one in verify(str(root)).damage] == [lost]
    assert [step.kind for step in repair(str(root)).steps if step.kind != "recount"] == ["reopen_input"]
    async with open_storage(str(root)) as storage:
        run = await going_on(storage, RUN, again, progress="quiet")
        assert (run.status, run.records, paid) == ("completed", {"completed": 6}, [1])
    assert kinds(root) == []


async def test_retry_finds_the_records_that_repair_could_not_save(tmp_path: Path) -> None:
    """Their data is lost; the other output of the input is good."""
    root = tmp_path / "store"
    async with open_storage(str(root)) as storage:
        await start(storage, answer)
    before = await data_of(root)
    (pack,) = root.glob("data/packs/*")
    content = pack.read_bytes()
    assert content.count(b'{"n":-2}') == 1
    pack.write_bytes(content.replace(b'{"n":-2}', b'{"n":-9}'))
    assert [step.kind for step in repair(str(root)).steps] == ["fail_record"]
    async with open_storage(str(root)) as storage:
        run = await retry(storage, RUN, answer, progress="quiet")
        assert (run.status, run.records, run.attempts) == ("completed", {"completed": 6}, 4)
    assert await data_of(root) == before
    assert kinds(root) == []


async def test_opening_mends_the_log_only_where_it_lost_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    log = root / "rows.jsonl"

    async def opened() -> bool:
        """Open and close the store; return whether the log was written anew."""
        before = log.stat().st_ino
        async with LocalStorage(root):
            pass
        return log.stat().st_ino != before

    async with open_storage(str(root)) as storage:
        await start(storage, answer)
    assert not await opened()
    (root / "writer.lock").unlink()
    assert not await opened(), "it was closed, and the database knows how long the log was"
    for torn in (0, 5):
        lose_tail(root, 1, torn)
        assert kinds(root) == ["row_log_differs"]
        assert await opened()
        assert kinds(root) == []
        assert not await opened()
    collect(str(root))
    assert not await opened(), "compacting says how long it is now"

    processes.run(["-c", KILLED.replace("== 5", "== 2").replace("run-1", "run-2"), str(root)])
    assert not await opened(), "killed, and nothing is missing"
    processes.run(["-c", KILLED.replace("== 5", "== 2").replace("run-1", "run-3"), str(root)])
    with monkeypatch.context() as rebooted:
        rebooted.setattr(locks, "_boot", lambda: b"another boot, 16")
        assert await opened(), "the machine was off: what the log should hold is not known"
        assert not await opened()
    processes.run(["-c", KILLED.replace("== 5", "== 2").replace("run-1", "run-4"), str(root)])
    (root / "writer.lock").write_bytes(b"\1")  # as earlier releases write it
    assert await opened()
    assert kinds(root) == []


async def test_repair_writes_a_log_anew_that_differs_and_looks_whole(tmp_path: Path) -> None:
    root = tmp_path / "store"
    async with open_storage(str(root)) as storage:
        await start(storage, answer)
    log = root / "rows.jsonl"
    log.write_bytes(log.read_bytes().replace(b'["save_record"', b'["sxve_record"'))
    (found,) = verify(str(root)).damage
    assert (found.kind, found.subject) == ("row_log_differs", "rows.jsonl")
    assert "6 rows do not stand in it" in found.detail
    done = repair(str(root))
    assert [step.kind for step in done.steps] == ["write_row_log"]
    assert done.copies is not None
    assert b"sxve_record" in Path(done.copies, "rows.jsonl").read_bytes()
    assert kinds(root) == []
    assert os.path.getsize(log) > 0
