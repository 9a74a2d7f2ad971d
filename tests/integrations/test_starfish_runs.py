"""Runs of the real framework: they come out as with its own storage, and are runs here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from integrations.framework import CONTRACT, Case, Framework, FrameworkError
from starfish_storage import open_storage
from starfish_storage.maintenance import verify

# By case: the name of each run, its status, the statuses of its records, its attempts, and those that failed.
STORED: dict[str, set[tuple[Any, ...]]] = {
    "ways_to_say_inputs": {
        ("describe", "completed", (("completed", 4),), 2, 0),
        ("describe", "completed", (("completed", 2),), 2, 0),
        ("describe", "completed", (("completed", 5),), 5, 0),
    },
    # What is filtered or a duplicate is tried three times, and each try takes the place of the one before.
    "hooks_and_indexes": {
        (
            "number",
            "completed_with_errors",
            (("completed", 6), ("duplicate", 2), ("failed", 1), ("filtered", 2)),
            15,
            6,
        )
    },
    "again_and_again": {
        ("describe", "completed", (("completed", 5),), 8, 3),
        ("describe", "completed", (("completed", 2),), 2, 0),
        ("other", "completed", (("completed", 1),), 1, 0),
    },
    "nested": {("inner", "completed", (("completed", 2),), 2, 0), ("outer", "completed", (("completed", 2),), 2, 0)},
    "stops_early": {("describe", "cancelled", (("completed", 1), ("failed", 1)), 3, 2)},
}
CASES = (*STORED, "failures_and_late_answers", "dry_run")
ANSWER = {"start_time": "at noon", "status": "mine", "error_message": None}


def start(framework: Framework, root: Path, case: str, store: str | None, **how: Any) -> Case:
    directory = root / case
    directory.mkdir(parents=True)
    return framework.start(directory, "same", case=case, store=store, project=case, **how)


async def test_factories_do_what_they_do_with_its_own_storage(framework: Framework, tmp_path: Path):
    """All at once, each in a process, into one store and another: they sleep most of the time."""
    stores = {layout: (tmp_path / layout / "store").as_uri() for layout in ("files", "packed")}
    own = {case: start(framework, tmp_path / "own", case, None) for case in CASES}
    ours = {
        (layout, case): start(framework, tmp_path / layout, case, store, layout=layout)
        for layout, store in stores.items()
        for case in CASES
    }
    wanted = {case: one.result() for case, one in own.items()}
    for (layout, case), one in ours.items():
        assert one.result() == wanted[case], (layout, case, one.output())
    for store in stores.values():
        report = await asyncio.to_thread(verify, store)
        assert report.is_sound, str(report)
        found = await runs_in(store)
        assert {run[:2] for run in found.pop("failures_and_late_answers")} == {("fail", "failed"), ("wait", "failed")}
        assert found == STORED


async def runs_in(store: str) -> dict[str, set[tuple[Any, ...]]]:
    """Return the runs in a store by the names of their projects."""
    async with open_storage(store, read_only=True) as storage:
        found: dict[str, set[tuple[Any, ...]]] = {}
        for project in await storage.list_projects():
            of_project = found.setdefault(project.name, set())
            for job in await storage.list_master_jobs(project.project_id):
                assert job.start_time is not None
                assert job.end_time is not None
                assert job.start_time <= job.end_time
                state = await storage.ledger.get_run(job.master_job_id)
                assert state is not None
                records = await storage.count_records_for_master_job(job.master_job_id)
                counts = tuple(sorted((status, count) for status, count in records.items() if count))
                of_project.add((job.name, job.status, counts, state.attempts, state.failed_attempts))
        return found


async def test_a_run_is_resumed_in_another_process(framework: Framework, tmp_path: Path):
    """Fields that are named like columns are the user's own, and what failed is said why."""
    store = (tmp_path / "store").as_uri()
    run = await asyncio.to_thread(framework.call, tmp_path, "run_with_hooks", store=store, wrong=True)
    assert [row["n"] for row in run["done"]] == [0, 1, 2, 5]
    assert run["done"][0] == {"n": 0, "record_uid": 0, **ANSWER}
    assert run["state"] == {"judged": 5, "failed": "four is refused"}
    async with open_storage(store, read_only=True) as storage:
        failed = await storage.get_records_for_master_job(run["run"], ["failed"])
        assert [one.error_message for one in failed] == ["ValueError: four is refused"]
        (attempt, *_) = await storage.ledger.list_attempts(failed[0].job_id)
        assert (attempt.status, attempt.error_type) == ("failed", "ValueError")
        assert "four is refused" in (attempt.error_traceback or "")
        records = await storage.get_records_for_master_job(run["run"], ["completed"])
        data = await storage.get_records_data([one.output_ref or "" for one in records])
        assert sorted(data, key=lambda row: row["n"]) == run["done"]
        assert all(one.record_uid in (one.output_ref or "") for one in records)

    done = await asyncio.to_thread(framework.call, tmp_path, "resume_elsewhere", store=store, run=run["run"])
    assert [row["n"] for row in done] == [0, 1, 2, 4, 5]
    async with open_storage(store, read_only=True) as storage:
        assert await storage.ledger.count_inputs(run["run"]) == {"completed": 5, "filtered": 1}
        job = await storage.get_master_job(run["run"])
        assert job is not None
        assert (job.name, job.status, job.completed_record_count) == ("number", "completed", 5)


def test_what_cannot_be_resumed_is_refused(framework: Framework, tmp_path: Path):
    found = framework.call(tmp_path, "what_cannot_be_resumed", store=(tmp_path / "store").as_uri())
    assert found["unknown"].startswith("InputError: Master job not found")
    assert found["with_key"].startswith("NoResumeSupportError")
    assert found["with_itself"].startswith("NoResumeSupportError")
    assert not any(b"sk-proj-0123" in one.read_bytes() for one in (tmp_path / "store").rglob("*") if one.is_file())


def test_uninstalling_puts_back_what_was_there(framework: Framework, tmp_path: Path):
    found = framework.call(tmp_path, "many_and_away", store=(tmp_path / "store").as_uri())
    assert found == {"done": list(range(1000)), "own": 3, "own lies": True, "left": []}


def test_its_contract_is_kept_for_its_own_models(framework: Framework, tmp_path: Path):
    found = framework.call(tmp_path, "its_contract", program=CONTRACT, store=(tmp_path / "store").as_uri())
    names = [f"Project {n}" for n in range(3)]
    assert found == {
        "types": ["local", "starfish_storage"],
        "projects": [names, names[:2], names[2:]],
        "config": {"generator": "g"},
        "job": ["completed", 2, True],
        "master": ["completed", 2, 1],
        "jobs": ["j1", "j2"],
        "by hash": ["j0"],
        "records": ["record-0", "record-1"],
        "of job": 4,
        "counts": {"completed": 2, "filtered": 1, "failed": 1},
        "data": [{"n": 0}, {"n": 1}, {"n": 2}],
        "record": "failed",
        "none": [None, None],
        "lies at": str(tmp_path / "store" / "metadata.db"),
    }


def test_its_storage_in_memory_stores_nothing(framework: Framework, tmp_path: Path):
    """In 0.1.3 it cannot be made; mended, it is still the framework's own."""
    own = framework.start(tmp_path, "memory", store=None)
    store = tmp_path / "store"
    assert framework.call(tmp_path, "memory", store=store.as_uri()) == [5, "InMemoryStorage", False]
    assert own.result() == "AttributeError: 'NoneType' object has no attribute 'save_request_config'"
    assert not store.exists()


async def test_runs_lie_in_postgresql_and_a_bucket(
    framework: Framework, tmp_path: Path, postgres_uri: str, s3_uri: str
):
    """A run that was killed is resumed from there, once whoever can write there is trusted: a function is code."""
    charges = tmp_path / "charges"
    case = framework.start(
        tmp_path, "run_squares", store=postgres_uri, data_uri=s3_uri, inputs=30, charges=str(charges), seconds=0.05
    )
    for _ in range(15):
        case.hear()
    case.kill()
    async with open_storage(postgres_uri, s3_uri, read_only=True) as storage:
        (job,) = await storage.list_master_jobs()
    how: dict[str, Any] = {"store": postgres_uri, "data_uri": s3_uri, "run": job.master_job_id}
    with pytest.raises(FrameworkError, match="trust_stored_code=True") as refused:
        await asyncio.to_thread(framework.call, tmp_path, "resume", **how)
    assert refused.value.kind == "UntrustedCodeError"
    done = await asyncio.to_thread(framework.call, tmp_path, "resume", **how, trust_stored_code=True)
    assert sorted(row["n"] for row in done) == list(range(30))
    assert len(charges.read_text().split()) <= 40
    async with open_storage(postgres_uri, s3_uri, read_only=True) as storage:
        assert await storage.count_records_for_master_job(job.master_job_id) == {"completed": 30}


def test_functions_are_not_loaded_from_where_others_can_write(framework: Framework, tmp_path: Path):
    store = tmp_path / "store"
    charges = str(tmp_path / "charges")
    run = framework.call(tmp_path, "run_squares", store=store.as_uri(), inputs=3, charges=charges)["run"]
    store.chmod(0o770)
    with pytest.raises(FrameworkError, match="others can write"):
        framework.call(tmp_path, "resume", store=store.as_uri(), run=run)
    store.chmod(0o700)
    assert len(framework.call(tmp_path, "resume", store=store.as_uri(), run=run)) == 3
