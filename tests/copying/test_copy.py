"""Copying between two local stores."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from copying import stores
from copying.stores import whole
from generation.runs import NEVER, RUN, numbers, start
from maintenance import stores as plain
from migrations.stores import on_disk, unpack
from starfish_storage import GenerationJob, LocalStorage, Project, Record, SecretRedactedWarning, Storage
from starfish_storage.copying import CopyReport, copy, engine
from starfish_storage.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    StoreDamagedError,
)
from starfish_storage.generation import Context, resume
from starfish_storage.maintenance import repair, verify
from starfish_storage.runs import RunInput, Worker
from starfish_storage.times import utc_now


def store(path: Path, **options: Any) -> LocalStorage:
    return LocalStorage(path.as_uri(), **options)


def sound(path: Path) -> None:
    assert verify(path.as_uri()).findings == ()


async def copied(source: Storage, target: Storage, **options: Any) -> CopyReport:
    async with source, target:
        return await copy(source, target, **options)


def written(report: CopyReport) -> int:
    return sum((report.projects, report.master_jobs, report.execution_jobs, report.records, report.attempts))


async def test_everything_arrives_as_it_is_and_once(tmp_path: Path) -> None:
    source, target = await stores.make(tmp_path / "a"), store(tmp_path / "b")
    before = {name: entry[0] for name, entry in on_disk(tmp_path / "a").items()}
    async with source, target:
        report = await copy(source, target)
        found = await whole(target)
        assert found == await whole(source)
        assert (report.projects, report.master_jobs, report.execution_jobs, report.records) == (3, 5, 18, 51)
        assert (report.attempts, report.steps, report.unchanged, report.lost) == (10, 3, 0, 0)
        assert (report.versions, report.segments, report.annotations) == (4, 1, 5)
        again = await copy(source, target)
        assert (written(again), again.unchanged, again.annotations) == (0, 69, 0)
        assert await whole(target) == found
    sound(tmp_path / "b")
    after = {name: entry[0] for name, entry in on_disk(tmp_path / "a").items()}
    assert after == before, "the source was written"


async def test_the_rows_can_be_rebuilt_from_the_log_of_the_copy(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target)
        found = await whole(target)
    (tmp_path / "b" / "metadata.db").unlink()
    repair((tmp_path / "b").as_uri())
    async with store(tmp_path / "b") as target:
        assert await whole(target) == found


async def test_only_what_is_named(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source:
        cases: list[tuple[str, dict[str, Any], set[str]]] = [
            ("b", {"project_ids": ["geography"]}, {"capitals-1", "capitals-2"}),
            ("c", {"master_job_ids": ["capitals-2"]}, {"capitals-2"}),
            ("d", {"master_job_ids": ["M2"], "project_ids": ["sums"]}, {"M2", "sums-1"}),
        ]
        for name, options, jobs in cases:
            async with store(tmp_path / name) as target:
                await copy(source, target, **options)
                assert {job.master_job_id for job in await target.list_master_jobs()} == jobs
                everything = await whole(source)
                found = await whole(target)
                assert found == {key: everything[key] for key in found}
            sound(tmp_path / name)
        async with store(tmp_path / "e") as target:
            with pytest.raises(NotFoundError, match="project 'nowhere'"):
                await copy(source, target, project_ids=["nowhere"])
            with pytest.raises(NotFoundError, match="master job 'nowhere'"):
                await copy(source, target, master_job_ids=["nowhere"])
            with pytest.raises(InvalidInputError, match="list of one"):
                await copy(source, target, project_ids="geography")
            assert await target.list_projects() == []


async def test_a_copy_is_resumed_without_paying_twice(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        async def ask() -> dict[str, int]:
            calls.append(("ask", n))
            context.log_usage(cost=1)
            return {"answer": n}

        asked = await context.once("ask", ask)
        if n == 1 and len(calls) == 2:
            raise ValueError("after it was paid for")
        calls.append(("done", n))
        return {"n": n, **asked}

    async with store(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await start(source, answer, numbers(4), max_concurrency=1, max_cost=2, retry=NEVER)
        await source.ledger.reset_inputs(RUN, ["failed"])
        await copy(source, target)
        spent = await target.ledger.get_run(RUN)
        assert spent is not None
        assert spent == await source.ledger.get_run(RUN)
        run = await resume(target, RUN, answer, max_cost=100, progress="quiet")
        assert run.status == "completed"
        asked = [n for kind, n in calls if kind == "ask"]
        assert sorted(asked) == [0, 1, 2, 3], "a step was paid for twice"
        assert [n for kind, n in calls if kind == "done"].count(0) == 1
        # Gone on with in the copy: the source's earlier state does not replace it.
        before = await whole(target)
        with pytest.raises(AlreadyExistsError, match="copy in the other direction"):
            await copy(source, target)
        assert await whole(target) == before
        await copy(target, source)
        assert await whole(source) == before
    sound(tmp_path / "a")
    sound(tmp_path / "b")


async def test_inputs_that_a_worker_holds_arrive_as_pending(tmp_path: Path) -> None:
    async with store(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await plain.fill(store(tmp_path / "a"), 4)
        await source.ledger.start_run("m1")
        await source.ledger.register_inputs("m1", [RunInput(number, {"n": number}) for number in range(3)])
        await source.ledger.save_worker(Worker("w", "m1", "here", utc_now(), utc_now()), 60)
        (held, _) = await source.ledger.claim_inputs("m1", "w", 2, utc_now())
        await copy(source, target)
        job = await target.get_execution_job(held.job_id)
        assert job is not None
        assert (job.status, job.worker_id, job.start_time) == ("pending", None, None)
        assert await target.ledger.list_workers("m1") == []
        assert (await target.ledger.count_inputs("m1"))["pending"] == 3
        assert written(await copy(source, target)) == 0
        assert (await source.ledger.count_inputs("m1"))["running"] == 2


async def test_what_went_on_in_the_source_is_brought(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target)
        await source.save_project(Project(project_id="p", name="Renamed", created_when=(await projects(source))["p"]))
        await source.log_execution_job_start(GenerationJob(job_id="new", master_job_id="m1"))
        await source.save_record(Record(record_uid="new", job_id="new", master_job_id="m1", status="completed"), {})
        changed = await source.get_record_metadata("r0000")
        assert changed is not None
        changed.error_message, changed.last_update_time = "looked at again", utc_now()
        await source.save_record(changed, {"another": "data"})
        await source.update_master_job_status("m1", "failed", utc_now())
        report = await copy(source, target)
        assert (report.projects, report.master_jobs, report.execution_jobs, report.records) == (1, 1, 1, 2)
        assert await whole(target) == await whole(source)
    sound(tmp_path / "b")


async def projects(storage: Storage) -> dict[str, Any]:
    return {project.project_id: project.created_when for project in await storage.list_projects()}


async def test_a_configuration_is_copied_byte_by_byte(tmp_path: Path) -> None:
    async with store(tmp_path / "a", redact_secrets=False) as source, store(tmp_path / "b") as target:
        await plain.fill(store(tmp_path / "a"), 0)
        reference = source.generate_request_config_path("m1")
        await source.save_request_config(reference, {"api_key": "sk-not-redacted-then"})
        with pytest.warns(SecretRedactedWarning):
            await target.save_request_config(target.generate_request_config_path("other"), {"api_key": "sk-told"})
        await copy(source, target)
    for name in ("m1", "M2"):
        file = f"configs/{name}.request.json"
        assert (tmp_path / "b" / file).read_bytes() == (tmp_path / "a" / file).read_bytes()
    assert b"sk-not-redacted-then" in (tmp_path / "b" / "configs" / "m1.request.json").read_bytes()


@pytest.mark.parametrize("kind", ["lost", "damaged"])
async def test_damage_ends_it_or_is_told(tmp_path: Path, kind: str) -> None:
    await plain.make(tmp_path / "a")
    path = plain.file_of(tmp_path / "a", 5)
    path.unlink() if kind == "lost" else plain.flip_bit(path)
    async with store(tmp_path / "a") as source, store(tmp_path / "b") as target:
        with pytest.raises(StoreDamagedError, match=r"r0005.*--skip-damaged"):
            await copy(source, target)
        job = await target.get_newest_master_job()  # they are copied in the order in which they were stored
        assert job is not None
        assert job.status == "pending", "a master job is not what it is before all of it is there"
        report = await copy(source, target, skip_damaged=True)
        assert (report.lost, [one.record_uid for one in report.named]) == (1, ["r0005"])
        assert str(path) in report.named[0].reason
        record = await target.get_record_metadata("r0005")
        assert record is not None
        assert (record.output_ref, record.status) == (None, "completed")
        assert record.error_message is not None
        assert "could not be copied" in record.error_message
        again = await copy(source, target, skip_damaged=True)
        assert (written(again), again.lost) == (0, 1)
        newest, same = await source.get_newest_master_job(), await target.get_newest_master_job()
        assert newest is not None
        assert same is not None
        assert newest.master_job_id == same.master_job_id
    sound(tmp_path / "b")


async def test_something_else_of_the_same_id_is_refused(tmp_path: Path) -> None:
    source = await stores.make(tmp_path / "a")
    await plain.make(tmp_path / "b")
    async with source, store(tmp_path / "b") as target:
        before = await whole(target)
        with pytest.raises(AlreadyExistsError, match=r"'m1'.*another with this id"):
            await copy(source, target)
        assert await whole(target) == before, "nothing is written before everything was compared"
        await copy(source, target, master_job_ids=["capitals-1"])
        await source.log_execution_job_start(GenerationJob(job_id="taken", master_job_id="sums-1"))
        await target.log_execution_job_start(GenerationJob(job_id="taken", master_job_id="m1"))
        with pytest.raises(AlreadyExistsError, match=r"'taken'.*in master job 'm1'"):
            await copy(source, target, project_ids=["sums"])
        assert (await whole(target))["record", "r0000"] == before["record", "r0000"]


async def test_a_record_of_another_job_is_refused(tmp_path: Path) -> None:
    await plain.make(tmp_path / "a")
    async with await stores.make(tmp_path / "b") as target, store(tmp_path / "c") as source:
        await copy(target, source, project_ids=["sums"])
        taken = Record(record_uid="r0000", job_id="j", master_job_id="sums-1", status="completed")
        await source.save_record(taken, {"other": 1})
        with pytest.raises(AlreadyExistsError, match=r"'r0000'.*of execution job 'm1-a'"):
            await copy(source, target)
        found = await target.get_record_metadata("r0000")
        assert found is not None
        assert found.job_id == "m1-a"


async def test_a_project_of_the_same_id_is_kept(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        own = Project(project_id="sums", name="My own sums")
        await target.save_project(own)
        await copy(source, target, project_ids=["sums"])
        assert await target.get_project("sums") == own
        assert [job.master_job_id for job in await target.list_master_jobs("sums")] == ["sums-1"]


async def test_one_store_is_not_copied_into_itself(tmp_path: Path) -> None:
    await plain.make(tmp_path / "a", 4)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    async with store(tmp_path / "a") as source, store(tmp_path / "link") as same:
        for target in (source, same):
            with pytest.raises(InvalidInputError, match="both source and target"):
                await copy(source, target)


async def test_the_target_lies_outside_the_source(tmp_path: Path) -> None:
    await plain.make(tmp_path / "a", 4)
    inside = tmp_path / "a" / "copies" / "b"
    async with store(tmp_path / "a") as source, store(inside) as target, store(tmp_path / "a" / ".." / "c") as beside:
        with pytest.raises(InvalidInputError, match="lies in the source"):
            await copy(source, target)
        await copy(source, beside)
        await copy(beside, target)


async def test_half_a_copy_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(n: int) -> dict[str, int]:
        return {"n": n}

    async with store(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await start(source, answer, numbers(9), max_concurrency=1)
        monkeypatch.setattr(engine, "_JOBS_AT_ONCE", 2)
        monkeypatch.setattr(target.transfer.rows, "put_attempts", stopping(target.transfer.rows.put_attempts, 2))
        with pytest.raises(KeyboardInterrupt):
            await copy(source, target)
        monkeypatch.undo()
        assert len(await target.list_execution_jobs(RUN)) == 4
        job = await target.get_master_job(RUN)
        assert job is not None
        assert (job.status, job.end_time) == ("pending", None)
        with pytest.raises(InvalidInputError, match="was not made to its end"):
            await resume(target, RUN, answer, inputs=numbers(9), progress="quiet")
        await copy(source, target)
        assert await whole(target) == await whole(source)


def stopping(put: Any, number: int) -> Any:
    """Return a call that is interrupted at its so manieth time."""
    calls = count(1)

    async def call(*given: Any) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt
        await put(*given)

    return call


async def test_a_run_that_goes_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that is registered, and has a record, after the inputs were read."""
    await plain.make(tmp_path / "a", 8)
    async with store(tmp_path / "a") as source, store(tmp_path / "b") as target:
        list_records = source.transfer.rows.list_records

        async def and_meanwhile(master_job_id: str, **given: Any) -> Any:
            if await source.get_execution_job("late") is None:
                await source.log_execution_job_start(GenerationJob(job_id="late", master_job_id=master_job_id))
                late = Record(record_uid="late", job_id="late", master_job_id=master_job_id, status="completed")
                await source.save_record(late, {"late": True})
            return await list_records(master_job_id, **given)

        monkeypatch.setattr(source.transfer.rows, "list_records", and_meanwhile)
        await copy(source, target)
        assert await target.get_execution_job("late") == await source.get_execution_job("late")
        assert await whole(target) == await whole(source)
    sound(tmp_path / "b")


async def test_a_store_of_starfish(tmp_path: Path) -> None:
    source = unpack("starfish-0.1.3", tmp_path / "a")
    before = on_disk(tmp_path / "a")
    async with source, store(tmp_path / "b") as target:
        report = await copy(source, target)
        assert report.records == 6 * 7 + 4
        theirs, ours = await whole(target), await whole(source)
        assert theirs == ours
        assert written(await copy(source, target)) == 0
    assert on_disk(tmp_path / "a") == before
    # Of two of its master jobs, it never had the configuration.
    assert {one.kind for one in verify((tmp_path / "b").as_uri()).findings} == {"request_config_missing"}


async def test_trying_it_out_writes_nothing(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        tried = await copy(source, target, dry_run=True)
        assert await target.list_projects() == []
        done = await copy(source, target)
        assert {**vars(tried), "seconds": 0} == {**vars(done), "seconds": 0}
    assert list((tmp_path / "b" / "data").iterdir()) != []


async def test_progress_counts_records(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target, progress=lambda *told: seen.append(told))
    assert seen[-1] == (51, 51)
    assert seen == sorted(seen)


async def test_two_copies_at_a_time(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        async with store(tmp_path / "b") as second:
            await asyncio.gather(copy(source, target), copy(source, second))
        assert await whole(target) == await whole(source)
    sound(tmp_path / "b")
    assert os.listdir(tmp_path / "b" / "staging") == []
