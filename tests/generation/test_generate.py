"""What a run stores: its configuration first, each input, each record, and a status that is true."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from generation.runs import NEVER, RUN, Calls, attempts, data, numbers, open_store, start, statuses
from starfish_storage import InvalidInputError, Project
from starfish_storage.codec import canonical_hash
from starfish_storage.errors import NotFoundError
from starfish_storage.generation import Context, Duplicate, Filtered, resume
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob


async def test_the_configuration_is_durable_before_the_first_call(tmp_path: Path, storage: Storage) -> None:
    seen: list[Any] = []

    async def answer(n: int) -> dict[str, Any]:
        seen.append(json.loads((tmp_path / f"store/configs/{RUN}.request.json").read_text()))
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert job.status == "running"
        return {"n": n}

    run = await start(storage, answer, numbers(1), config={"prompt": "Answer {n}"}, name="first")
    assert seen[0]["config"] == {"prompt": "Answer {n}"}
    assert seen[0]["options"]["attempts"] == 3
    assert seen[0]["function"].endswith("answer")
    assert (run.status, run.records, run.inputs, run.attempts) == ("completed", {"completed": 1}, {"completed": 1}, 1)
    job = await storage.get_master_job(RUN)
    assert job is not None
    assert (job.name, job.target_record_count, job.completed_record_count) == ("first", 1, 1)
    assert job.end_time is not None
    assert job.summary is not None
    assert job.summary["attempts"] == 1


async def test_each_input_is_an_execution_job_with_its_canonical_hash(storage: Storage) -> None:
    inputs = [{"b": 1, "a": "é"}, {"a": "é", "b": 1}, {"a": 2, "b": None}]
    await start(storage, dict, inputs)
    jobs = await storage.list_execution_jobs(RUN)
    assert sorted(one.run_config_hash or "" for one in jobs) == sorted(canonical_hash(one) for one in inputs)
    assert {one.status for one in jobs} == {"completed"}
    assert await storage.completed_config_hashes(RUN) == {canonical_hash(one) for one in inputs}
    assert len(await data(storage)) == 3


async def test_several_outputs_and_what_the_function_says_of_them(storage: Storage) -> None:
    async def answer(n: int) -> list[Any]:
        return [{"n": n}, Filtered({"n": n}, "too short"), Duplicate({"n": n}, "of r1 \ud800"), {"n": n, "more": True}]

    run = await start(storage, answer, numbers(2))
    assert run.records == {"completed": 4, "filtered": 2, "duplicate": 2}
    filtered = await storage.get_records_for_master_job(RUN, ["filtered"])
    assert {one.error_message for one in filtered} == {"too short"}
    assert len(await data(storage, "filtered")) == 2
    job = (await storage.list_execution_jobs(RUN))[0]
    assert (job.status, job.produced_outputs_count, job.completed_record_count) == ("completed", 4, 2)
    assert (job.filtered_record_count, job.duplicate_record_count) == (1, 1)


async def test_no_output_is_an_outcome_too(storage: Storage) -> None:
    run = await start(storage, lambda row: [], on_empty="skip")
    assert (run.status, run.records, run.inputs) == ("completed", {}, {"completed": 3})


async def test_checks_of_outputs(storage: Storage) -> None:
    class Answer(BaseModel):
        n: int

    async def answer(n: int) -> dict[str, Any]:
        return {"n": "no number" if n == 0 else n, "key": n % 3}

    async def accept(output: dict[str, Any]) -> Any:
        return "too small \ud800" if output["n"] == 1 else output["n"] != 2

    run = await start(storage, answer, numbers(9), output_schema=Answer, accept=accept, unique_by="key")
    assert run.records == {"failed": 1, "filtered": 2, "completed": 3, "duplicate": 3}
    assert run.inputs == {"failed": 1, "filtered": 2, "completed": 3, "duplicate": 3}
    assert run.status == "completed_with_errors"
    failed = await storage.get_records_for_master_job(RUN, ["failed"])
    assert failed[0].error_message is not None
    assert "$.n" in failed[0].error_message or "n" in failed[0].error_message
    assert await data(storage, "failed") == [{"n": "no number", "key": 0}]
    job = await storage.get_master_job(RUN)
    assert job is not None
    assert job.output_schema == Answer.model_json_schema()


async def test_fields_named_like_ours_are_data(storage: Storage) -> None:
    fields = ("record_uid", "status", "context", "run_config", "output_ref", "job_id", "error_message", "unique_key")
    given = {name: f"mine {name}" for name in fields}

    async def answer(**fields: Any) -> dict[str, Any]:
        return dict(fields)

    async def with_context(row: dict[str, Any], context: Context) -> dict[str, Any]:
        assert context.position == 0
        return row

    for number, function in enumerate((answer, with_context)):
        run = await start(storage, function, [given], master_job_id=f"run-{number}")
        records = [one async for one in storage.iter_records(run.master_job_id)]
        assert await storage.get_records_data([one.output_ref or "" for one in records]) == [given]


@pytest.mark.parametrize("returned", [None, []])
async def test_nothing_fails_its_input_only(storage: Storage, returned: Any) -> None:
    run = await start(storage, lambda n: returned if n == 1 else {"n": n})
    assert (run.status, run.inputs) == ("completed_with_errors", {"completed": 2, "failed": 1})
    last = (await attempts(storage, 1))[-1]
    assert (last.number, last.status, last.error_type) == (1, "failed", "InvalidDataError")  # not worth retrying
    failed = await storage.get_records_for_master_job(RUN, ["failed"])
    assert [one.output_ref for one in failed] == [None]


async def test_plain_functions_run_at_once_in_threads(storage: Storage) -> None:
    together = threading.Barrier(4, timeout=60)

    def answer(n: int) -> dict[str, Any]:
        together.wait()
        return {"n": n, "thread": threading.current_thread() is not threading.main_thread()}

    run = await start(storage, answer, numbers(8), max_concurrency=4)
    assert run.records == {"completed": 8}
    assert all(one["thread"] for one in await data(storage))


async def test_no_more_calls_at_a_time_than_asked_for(storage: Storage) -> None:
    calls = Calls(held=range(10))
    running = asyncio.create_task(start(storage, calls, numbers(10), max_concurrency=3))
    await calls.until(3)
    assert (await statuses(storage))[1] == {"running": 3, "pending": 7}
    assert len(calls.made) == 3
    calls.release.set()
    assert (await running).records == {"completed": 10}


async def test_generators_of_outputs(storage: Storage) -> None:
    def plain(n: int) -> Iterator[dict[str, Any]]:
        yield {"n": n}
        yield {"n": n}

    async def answer(n: int) -> Any:
        yield {"n": n}
        yield Filtered({"n": n})

    assert (await start(storage, plain, master_job_id="a")).records == {"completed": 6}
    assert (await start(storage, answer, master_job_id="b")).records == {"completed": 3, "filtered": 3}


async def test_a_run_without_inputs_is_completed(storage: Storage) -> None:
    run = await start(storage, Calls(), [])
    assert (run.status, run.inputs, run.records) == ("completed", {}, {})


async def test_when_all_inputs_fail_so_has_the_run(storage: Storage) -> None:
    async def answer(n: int) -> dict[str, Any]:
        raise ValueError("no")

    run = await start(storage, answer, retry=NEVER)
    assert (run.status, run.inputs) == ("failed", {"failed": 3})


async def test_projects_by_id_by_name_and_as_they_are(storage: Storage) -> None:
    await start(storage, Calls(), project="gsm8k", master_job_id="a")
    await start(storage, Calls(), project="My questions: 1/2", master_job_id="b")
    await start(storage, Calls(), project="My questions: 1/2", master_job_id="c")
    await start(storage, Calls(), project=Project(project_id="x", name="Given"), master_job_id="d")
    assert sorted(one.name for one in await storage.list_projects()) == ["Given", "My questions: 1/2", "gsm8k"]


async def test_generating_again_goes_on_or_returns_what_is_finished(storage: Storage) -> None:
    calls = Calls()
    run = await start(storage, calls, numbers(4), max_cost=0)
    assert (run.status, run.stop_reason, calls.made) == ("cancelled", "max_cost 0 reached", [])
    run = await start(storage, calls, numbers(4))
    assert (run.status, sorted(calls.made), run.done_before) == ("completed", [0, 1, 2, 3], 0)
    run = await start(storage, calls, numbers(4))
    assert (run.status, len(calls.made), run.done_before) == ("completed", 4, 4)


async def test_a_master_job_that_is_no_run_is_left_alone(storage: Storage) -> None:
    await storage.save_project(Project(project_id="p", name="p"))
    config = await storage.save_request_config(storage.generate_request_config_path(RUN), {"mine": 1})
    job = GenerationMasterJob(
        master_job_id=RUN,
        project_id="p",
        request_config_ref=config,
        output_schema={},
        storage_uri=storage.storage_uri,
        target_record_count=1,
    )
    await storage.log_master_job_start(job)
    for call in (lambda: start(storage, Calls()), lambda: resume(storage, RUN, Calls(), progress="quiet")):
        with pytest.raises(InvalidInputError, match=r"'run-1' was not started by generate.* use another id"):
            await call()
    assert await storage.get_request_config(config) == {"mine": 1}
    assert await storage.ledger.get_run(RUN) is None


async def test_a_run_killed_while_it_was_being_stored_goes_on(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(_id: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "start_run", killed)
        with pytest.raises(KeyboardInterrupt):
            await start(storage, Calls())
    assert await storage.ledger.get_run(RUN) is None
    assert (await start(storage, Calls())).records == {"completed": 3}


async def test_a_run_that_is_deleted_while_it_is_under_way_ends(storage: Storage) -> None:
    calls = Calls(held=range(10))
    running = asyncio.create_task(start(storage, calls, numbers(10), max_concurrency=2))
    await calls.until(2)
    await storage.delete_master_job(RUN)
    calls.release.set()
    with pytest.raises(NotFoundError, match=f"run '{RUN}'.*it was deleted while it was under way"):
        await running
    assert await storage.get_master_job(RUN) is None


async def test_a_run_deleted_while_all_its_calls_are_held_up_ends_too(storage: Storage) -> None:
    calls = Calls(held=range(10))
    running = asyncio.create_task(start(storage, calls, numbers(10), max_concurrency=2, grace=0))
    await calls.until(2)
    await storage.delete_master_job(RUN)
    with pytest.raises(NotFoundError, match=f"run '{RUN}'.*it was deleted while it was under way"):
        await running


def test_a_run_in_another_thread_and_in_debug_mode(store: str) -> None:
    found: list[Any] = []

    async def main() -> None:
        async with open_store(store) as storage:
            found.append(await start(storage, Calls(), numbers(20)))

    thread = threading.Thread(target=lambda: asyncio.run(main(), debug=True))
    thread.start()
    thread.join(60)
    assert found[0].records == {"completed": 20}
