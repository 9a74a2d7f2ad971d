"""A run for the tests with faults: inputs, claims, steps and outcomes, and checks of what a ledger says of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from durability.payloads import payload
from starfish_storage import Storage
from starfish_storage.interface import RunLedger
from starfish_storage.metadata.sqlite.log_lines import row_log_lines
from starfish_storage.metadata.sqlite.rebuild import rebuild
from starfish_storage.runs import (
    Attempt,
    CallCounts,
    CallNote,
    ClaimedInput,
    Outcome,
    Output,
    RunInput,
    Step,
    Usage,
    Worker,
    output_record_uid,
)
from starfish_storage.times import utc_now

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = "ab" * 32
USED = (Usage("m", 3, 2, 0.1),)

LEDGER = {
    "inputs": "SELECT job_id, status, position, attempted_generations, produced_outputs_count, completed_record_count, "
    "duplicate_record_count, start_time, end_time, worker_id, error_message FROM execution_jobs ORDER BY job_id",
    "records": "SELECT record_uid, status, output_ref, error_message, unique_key, data_sha256, attempt, version_number "
    "FROM records ORDER BY 1",
    "versions": "SELECT * FROM record_versions ORDER BY record_uid, number",
    "annotations": "SELECT * FROM annotations ORDER BY annotation_id",
    "standing": "SELECT * FROM standing_outcomes ORDER BY job_id",
    "attempts": "SELECT * FROM attempts ORDER BY job_id, number",
    "steps": "SELECT * FROM steps ORDER BY job_id, name, request_key, call, reply",
    "segments": "SELECT * FROM segments ORDER BY master_job_id, number",
    "runs": "SELECT master_job_id, registered, inputs_complete, attempts, failed_attempts, input_tokens, "
    "output_tokens, round(cost, 6) FROM runs ORDER BY 1",
    "counts": "SELECT * FROM record_counts WHERE records > 0 ORDER BY 1, 2",
    "journaled": "SELECT key FROM data_journal GROUP BY key",
}
WITHOUT_CLAIMS = {
    **LEDGER,
    "inputs": "SELECT job_id, iif(status = 'running', 'pending', status), position, attempted_generations, "
    "produced_outputs_count, completed_record_count, duplicate_record_count, "
    "iif(status = 'running', NULL, start_time), end_time, iif(status = 'running', NULL, worker_id), "
    "error_message FROM execution_jobs ORDER BY job_id",
    "targets": "SELECT master_job_id, target_record_count FROM master_jobs ORDER BY 1",
}
del WITHOUT_CLAIMS["journaled"]


def rows_of(database: Path, queries: dict[str, str] = LEDGER) -> dict[str, list[Any]]:
    """Return what a database says of runs; times of changes apart, which also a change that was taken back has."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {name: connection.execute(text).fetchall() for name, text in queries.items()}
    finally:
        connection.close()


def check_rebuilt(root: Path, target: Path) -> None:
    """The row log alone gives the same ledger, but for claims."""
    rebuild(str(target), row_log_lines(f"{root}/rows.jsonl"), None, data_elsewhere=False)
    assert rows_of(target, WITHOUT_CLAIMS) == rows_of(root / "metadata.db", WITHOUT_CLAIMS)


def a_worker(worker_id: str, master: str) -> Worker:
    return Worker(worker_id, master, "process", NOW, NOW)


def an_outcome(
    claimed: ClaimedInput, worker_id: str, outputs: Sequence[Output], usage: Sequence[Usage] = USED
) -> Outcome:
    attempt = Attempt(claimed.job_id, claimed.master_job_id, 1, worker_id, "completed", NOW, NOW, usage=tuple(usage))
    return Outcome(claimed, worker_id, attempt, outputs)


async def start(storage: Storage, master: str, worker_id: str, number: int) -> list[ClaimedInput]:
    """Make a master job a run of so many inputs, all claimed by one worker."""
    await storage.ledger.start_run(master)
    await storage.ledger.register_inputs(master, [RunInput(n, {"n": n}) for n in range(number)])
    await storage.ledger.save_worker(a_worker(worker_id, master))
    return await storage.ledger.claim_inputs(master, worker_id, number, NOW)


async def work_on_input(storage: Storage, log: Any, master: str, worker_id: str, number: int) -> None:
    """Register an input, claim one, fail at it, pay for a step, finish: each logged before and after.

    It is a worker of its own: after a kill, what is not acknowledged is in flight, and belongs to nobody.
    """
    ledger, worker_id = storage.ledger, f"{worker_id}-{number}"
    await ledger.start_run(master)
    await ledger.save_worker(a_worker(worker_id, master))
    await ledger.register_inputs(master, [RunInput(number, {"worker": worker_id})])
    for claimed in await ledger.claim_inputs(master, worker_id, 1, NOW):
        await _work_on(ledger, log, claimed, worker_id, with_key=number % 2 == 1)
    await ledger.remove_worker(a_worker(worker_id, master), NOW)


async def _work_on(ledger: RunLedger, log: Any, claimed: ClaimedInput, worker_id: str, *, with_key: bool) -> None:
    uid, job_id = output_record_uid(claimed.job_id, 0), claimed.job_id
    failed = Attempt(job_id, claimed.master_job_id, 1, worker_id, "failed", NOW, NOW, "E", usage=USED, segment=1)
    failed = replace(failed, calls=CallCounts(1, notes=(CallNote("call", KEY, "429", "busy"),)))
    step = Step(job_id, "call", {"result": uid}, 2, NOW, USED, request_key=KEY, request="what", asked_when=NOW)
    output = Output("completed", payload(uid, 1), "v1", uid if with_key else None)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "segment": lambda: ledger.add_segment(claimed.master_job_id, {"of": job_id}),
        "attempt": lambda: ledger.save_attempt(failed),
        "step": lambda: ledger.save_step(step),
        "usage": lambda: ledger.add_usage(job_id, 1, USED),
        "finish": lambda: ledger.finish_input(an_outcome(claimed, worker_id, [output])),
    }
    for name, call in calls.items():
        log.write("begin", {name: job_id, "run": claimed.master_job_id})
        await call()
        log.write("done", {name: job_id, "run": claimed.master_job_id})


async def check_runs(storage: Storage, lines: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """What was acknowledged is there, nothing is there by half, and the totals are those of the attempts."""
    done = {name: {change[name] for kind, change in lines if kind == "done" and name in change} for name in _KINDS}
    begun = {name: {change[name] for _, change in lines if name in change} for name in _KINDS}
    deleted = {change["delete"] for _, change in lines if "delete" in change}
    kept = {
        change[name]
        for kind, change in lines
        for name in _KINDS
        if kind == "done" and name in change and change["run"] not in deleted
    }
    for master in await storage.list_master_jobs():
        await _check_run(storage, master.master_job_id)
    for job_id in begun["attempt"]:
        job = await storage.get_execution_job(job_id)
        if job is None:  # deleted with its run
            assert job_id not in kept, f"input {job_id} was acknowledged and is gone"
            continue
        made = await storage.ledger.list_attempts(job_id)
        attempts = [one.status for one in made]
        assert attempts in ([], ["failed"], ["failed", "completed"])
        assert job.attempted_generations == len(attempts)
        assert attempts or job_id not in done["attempt"], f"the attempt at {job_id} was acknowledged and is gone"
        used = sum(len(one.usage) for one in made) - len(made)
        assert used == 1 or (used == 0 and job_id not in done["usage"]), (
            f"usage of {job_id} was acknowledged and is gone"
        )
        segments = [one.identity["of"] for one in await storage.ledger.list_segments(job.master_job_id)]
        assert job_id in segments or job_id not in done["segment"], f"the segment of {job_id} is gone"
        steps = await storage.ledger.list_steps(job_id)
        assert steps or job_id not in done["step"], f"the step of {job_id} was acknowledged and is gone"
        assert not steps or job_id in begun["step"]
        finished = job.status == "completed"
        assert finished or job_id not in done["finish"], f"the outcome of {job_id} was acknowledged and is gone"
        assert finished == (len(attempts) == 2) == (await storage.get_record_metadata(f"{job_id}-0") is not None)


_KINDS = ("segment", "attempt", "step", "usage", "finish")


async def _check_run(storage: Storage, master: str) -> None:
    state = await storage.ledger.get_run(master)
    if state is None:
        return
    jobs = await storage.list_execution_jobs(master)
    attempts = [one for job in jobs for one in await storage.ledger.list_attempts(job.job_id)]
    assert (state.attempts, state.input_tokens, state.output_tokens) == (
        len(attempts),
        sum(one.input_tokens for one in attempts),
        sum(one.output_tokens for one in attempts),
    )
    assert abs(state.cost - sum(one.cost for one in attempts)) < 1e-6
    assert sum((await storage.ledger.count_inputs(master)).values()) == len(jobs)
    for worker in await storage.ledger.list_workers(master):  # those of the process that died
        await storage.ledger.remove_worker(worker, utc_now())
    assert await storage.ledger.release_unowned_inputs(master, utc_now()) == 0
