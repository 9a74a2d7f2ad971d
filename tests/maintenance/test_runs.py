"""Runs in maintenance: their totals are checked and mended, and all of a run but its claims is rebuilt."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from durability import run_workload, workload
from durability.run_workload import NOW, WITHOUT_CLAIMS, an_outcome, rows_of
from maintenance.test_repair import ruin_pages, uri
from maintenance.test_verify import change, kinds
from starfish_storage import LocalStorage, Storage
from starfish_storage.maintenance import repair, verify
from starfish_storage.runs import Attempt, CallCounts, Output, Step, StepSource

WORKER, INPUTS, DONE = "worker", 40, 30


async def fill(storage: Storage) -> None:
    """Make a run with everything there is: outcomes and second ones, keys, attempts of every kind, steps, claims."""
    await workload.prepare(storage)
    ledger, master = storage.ledger, workload.MASTER
    held = await run_workload.start(storage, master, WORKER, INPUTS)
    for number in range(2):
        await ledger.add_segment(master, {"function": "é", "number": number})
    for claimed in held[::3]:
        failed = Attempt(claimed.job_id, master, 1, WORKER, "failed", NOW, NOW, "E", "boom", usage=run_workload.USED)
        await ledger.save_attempt(replace(failed, segment=1, calls=CallCounts(2, 1, 1, 0.5)))
        step = Step(claimed.job_id, "call", {"result": {"n": 1}}, 1, NOW, run_workload.USED)
        request = replace(step, request_key=run_workload.KEY, request="what é", asked_when=NOW)
        for given in (step, request, replace(request, reused_from=StepSource(master, claimed.job_id, 1, 1, 0.1))):
            await ledger.save_step(given)
        await ledger.mark_step(claimed.job_id, "call", 1, 1, "rejected", "why", "code", run_workload.KEY)
    outputs = [
        [Output("completed", {"n": n}, None, f"key-{n // 2}"), Output("filtered", {"n": n}, "no")] for n in range(DONE)
    ]
    await asyncio.gather(
        *(ledger.finish_input(an_outcome(one, WORKER, own)) for one, own in zip(held, outputs, strict=False))
    )
    await ledger.complete_inputs(master)
    await ledger.reset_inputs(master, ["completed"], job_ids=[held[0].job_id, held[2].job_id])
    (again, _) = await ledger.claim_inputs(master, WORKER, 2, NOW)
    await ledger.finish_input(an_outcome(again, WORKER, [Output("completed", {"n": -1}, None, "other")]))
    judged = f"{held[3].job_id}-0"
    await storage.annotations.add(judged, "comment", "é\0", author="ann")
    edit = await storage.annotations.edit_record(judged, {"n": "edited"}, author="ann")
    await storage.annotations.edit_record(f"{held[4].job_id}-0", {"n": "edited"}, author="bob")
    await storage.annotations.withdraw(edit.annotation_id, author="ann")
    await ledger.save_worker(run_workload.a_worker("dead", master))
    await ledger.release_input(Attempt(held[-1].job_id, master, 1, WORKER, "cancelled", NOW, NOW))
    await ledger.claim_inputs(master, "dead", 1, NOW)
    await ledger.remove_worker(run_workload.a_worker("dead", master), NOW, died=True)


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    async with LocalStorage(uri(root)) as storage:
        await fill(storage)
    return root


def ledger_of(root: Path) -> dict[str, list[object]]:
    return rows_of(root / "metadata.db", WITHOUT_CLAIMS)


async def test_a_run_is_sound_and_its_row_log_gives_the_same(root: Path, tmp_path: Path) -> None:
    assert verify(uri(root)).findings == ()
    run_workload.check_rebuilt(root, tmp_path / "rebuilt.db")
    (root / "rows.jsonl").unlink()
    async with LocalStorage(uri(root)):
        pass  # makes a log anew, of all rows as they are
    run_workload.check_rebuilt(root, tmp_path / "rebuilt-again.db")


@pytest.mark.parametrize(
    "column", ["attempts = attempts + 1", "failed_attempts = 0", "input_tokens = 7", "output_tokens = 0", "cost = 99"]
)
async def test_totals_are_compared_with_the_attempts_and_mended(root: Path, column: str) -> None:
    before = ledger_of(root)
    change(root, f"UPDATE runs SET {column}")
    assert kinds(root) == [("run_totals_wrong", workload.MASTER)]
    assert [step.kind for step in repair(uri(root)).steps] == ["recount"]
    assert ledger_of(root) == before
    assert verify(uri(root)).findings == ()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE attempts SET usage = '[[' WHERE number = 1",
        "UPDATE attempts SET start_time = 'noon'",
        "UPDATE steps SET result = 'none'",
        "UPDATE steps SET usage = '{'",
        "UPDATE steps SET saved_when = ''",
        "UPDATE attempts SET calls = '[' WHERE calls IS NOT NULL",
        "UPDATE steps SET reused_from = '' WHERE reused_from IS NOT NULL",
        "UPDATE steps SET asked_when = 'noon' WHERE request_key <> ''",
        "UPDATE segments SET identity = 'none'",
        "UPDATE segments SET start_time = '' WHERE number = 2",
        "UPDATE annotations SET value = 'none' WHERE author = 'bob'",
        "UPDATE annotations SET time = 'noon'",
        "UPDATE annotations SET withdrawn = 'noon' WHERE author = 'ann'",
    ],
)
async def test_an_attempt_or_a_step_that_cannot_be_read_is_found_and_rebuilt(root: Path, damage: str) -> None:
    before = ledger_of(root)
    change(root, damage)
    assert {kind for kind, _ in kinds(root)} == {"row_unreadable"}
    assert repair(uri(root)).steps[0].kind == "rebuild_database"
    assert ledger_of(root) == before


@pytest.mark.parametrize("left", ["log", "database"])
async def test_a_run_is_resumed_after_its_database_was_rebuilt(root: Path, left: str) -> None:
    before = ledger_of(root)
    if left == "log":
        (root / "metadata.db").write_bytes(b"")
    else:  # the row log was lost too: what SQLite can read is kept
        (root / "rows.jsonl").unlink()
        connection = apsw.Connection(str(root / "metadata.db"))
        (page,) = next(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_job'"))
        connection.close()
        ruin_pages(root, page - 1, page)
    assert repair(uri(root)).steps[0].kind == "rebuild_database"
    assert verify(uri(root)).damage == []
    assert ledger_of(root) == before

    async with LocalStorage(uri(root)) as storage:
        ledger, master = storage.ledger, workload.MASTER
        assert await ledger.list_workers(master) == []
        running = (await ledger.count_inputs(master)).get("running", 0)
        assert await ledger.release_unowned_inputs(master, NOW) == running
        await ledger.save_worker(run_workload.a_worker("next", master))
        held = await ledger.claim_inputs(master, "next", INPUTS, NOW)
        assert len(held) == INPUTS - DONE + 1
        for one in held:
            await ledger.finish_input(an_outcome(one, "next", [Output("completed", {}, None, f"new-{one.position}")]))
        assert (await ledger.count_inputs(master))["pending"] == 1  # of `workload.prepare`, which is no input
    assert verify(uri(root)).findings == ()


async def test_what_the_log_has_newer_is_not_replaced_by_what_is_salvaged(root: Path, tmp_path: Path) -> None:
    """As of a database that lost its last commits: the row log was ahead of it."""
    older = (root / "metadata.db").read_bytes()
    async with LocalStorage(uri(root)) as storage:
        ledger = storage.ledger
        job_id = (await storage.list_execution_jobs(workload.MASTER, ["completed"]))[0].job_id
        (step,) = await ledger.list_steps(job_id) or [Step(job_id, "call", {}, 1, NOW)]
        await ledger.save_step(Step(job_id, step.name, {"result": "newer"}, 2, NOW.replace(year=2031)))
        await ledger.reset_inputs(workload.MASTER, ["completed"], job_ids=[job_id])
        (claimed,) = [one for one in await ledger.claim_inputs(workload.MASTER, WORKER, 9, NOW) if one.job_id == job_id]
        await ledger.finish_input(an_outcome(claimed, WORKER, [Output("completed", {}, None, "newer")]))
    newer = ledger_of(root)
    (root / "metadata.db").write_bytes(older)
    connection = apsw.Connection(str(root / "metadata.db"))
    (page,) = next(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_job'"))
    connection.close()
    ruin_pages(root, page - 1, page)
    repair(uri(root))
    assert ledger_of(root) == newer
