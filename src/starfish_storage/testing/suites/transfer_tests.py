"""The contract of a transfer: whole rows and bytes, as they are stored."""

from __future__ import annotations

from dataclasses import replace

from starfish_storage.errors import (
    IdCollisionError,
    InvalidIdError,
    InvalidReferenceError,
    NotSetUpError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.interface import RowTransfer, Storage
from starfish_storage.interface.rows import (
    AttemptRow,
    MasterJobRow,
    ProjectRow,
    RunRow,
    SegmentRow,
    StepRow,
    WholeExecutionJobRow,
    WholeRecordRow,
)
from starfish_storage.runs import CallCounts, CallNote, Output, Step, StepSource, Usage
from starfish_storage.testing.samples import JOB, MASTER_JOB, PROJECT, a_record, at, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_samples import an_attempt, an_outcome, claim, start, there
from starfish_storage.testing.suites.suite import StorageSuite, refused, skip_unless

_Run = tuple[
    MasterJobRow,
    RunRow | None,
    list[WholeExecutionJobRow],
    list[SegmentRow],
    list[AttemptRow],
    list[StepRow],
    list[WholeRecordRow],
    list[bytes],
]


async def _filled(storage: Storage) -> RowTransfer:
    """Store a run of four inputs with records of every kind, and return the transfer of its rows. Needs ``RUNS``."""
    ledger = await start(storage, 4)
    one, two, three = await claim(ledger, 3)
    await ledger.save_step(Step(one.job_id, "ask ☃\0", {"result": [2**70, "é"]}, 1, at(6), (Usage("m", 1, 2, 0.5),)))
    outputs = (Output("completed", {"text": "\0 é", "n": 2**70}, None, "key"), Output("failed", None, "no\0 answer"))
    await ledger.finish_input(an_outcome(one, *outputs, usage=(Usage("m", 3, 4, 0.25),)))
    await ledger.finish_input(an_outcome(two, Output("filtered", {"a": 1}), status="failed", error_type="E"))
    await ledger.add_segment(MASTER_JOB, {"function": "é\0", "n": 2**70})
    asked = Step(two.job_id, "POST a/b", {"result": {"body": "é\0"}}, 1, at(6), request_key="ab" * 32, request="☃\0")
    source = StepSource("another run", "an-input", 1, 2, 0.25)
    await ledger.save_step(replace(asked, asked_when=at(5), reused_from=source))
    calls = CallCounts(1, 2, 3, 0.25, 1, (CallNote("POST a/b", "ab" * 32, "429", "busy \0", 2),))
    await ledger.save_attempt(an_attempt(three, status="failed", segment=1, calls=calls))
    await ledger.complete_inputs(MASTER_JOB)
    await ledger.request_stop(MASTER_JOB, "why")
    await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"prompt": "é"})
    assert three.position == 2
    return storage.transfer.rows


async def _everything(storage: Storage) -> _Run:
    rows = storage.transfer.rows
    jobs = await rows.list_execution_jobs(MASTER_JOB, limit=100)
    ids = [one.job.job_id for one in jobs]
    records = await rows.list_records(MASTER_JOB, limit=100)
    data = await storage.transfer.read_records(records)
    plain = sorted(
        await rows.get_records([one.record.record_uid for one in records]), key=lambda one: one.record.record_uid
    )
    return (
        there(await rows.get_master_job(MASTER_JOB)),
        await rows.get_run(MASTER_JOB),
        jobs,
        await rows.list_segments(MASTER_JOB),
        sorted(await rows.get_attempts(ids)),
        sorted(await rows.get_steps(ids)),
        plain,
        [one for one in data if isinstance(one, bytes)],
    )


class TransferTests(StorageSuite):
    """Whole rows, out of a store and into one."""

    async def test_what_was_read_is_put_back(self, storage: Storage) -> None:
        """After it was deleted: every row and all data as it was, the totals and counts that follow too; twice."""
        rows = await _filled(storage)
        before, totals = await _everything(storage), await storage.ledger.get_run(MASTER_JOB)
        counts = await storage.count_records_for_master_job(MASTER_JOB)
        master, run, jobs, segments, attempts, steps, _, _ = before
        records = await rows.list_records(MASTER_JOB, limit=100)
        data = await storage.transfer.read_records(records)
        config = there(await storage.transfer.read_request_config(master.request_config_ref))
        assert sorted(record.unique_key or "" for record in records) == ["", "", "key"]
        await storage.delete_master_job(MASTER_JOB)
        assert await rows.get_master_job(MASTER_JOB) is None
        for _ in range(2):
            await storage.transfer.put_request_config(master.request_config_ref, config)
            await rows.put_master_job(master)
            await rows.put_execution_jobs(jobs)
            await rows.put_run(there(run))
            await rows.put_segments(segments)
            await rows.put_attempts(attempts)
            await rows.put_steps(steps)
            await storage.transfer.put_records(records, [one if isinstance(one, bytes) else None for one in data])
            assert await _everything(storage) == before
            assert await storage.ledger.get_run(MASTER_JOB) == totals
            assert await storage.count_records_for_master_job(MASTER_JOB) == counts
            assert await storage.transfer.read_request_config(master.request_config_ref) == config

    async def test_rows_are_replaced(self, storage: Storage) -> None:
        """By their ids, whole, with the totals and counts that follow."""
        rows = await _filled(storage)
        master, run, jobs, segments, attempts, steps, records, _ = await _everything(storage)
        project = there(await rows.get_project(PROJECT))._replace(name="renamed", description=None)
        await rows.put_project(project)
        assert await rows.get_project(PROJECT) == project
        other = master._replace(status="failed", summary=None, target_record_count=7)
        await rows.put_master_job(other)
        job = jobs[0].job._replace(status="cancelled", error_message=None)
        changed = [WholeExecutionJobRow(job, counts='{"a":1}', position=None)]
        await rows.put_execution_jobs(changed)
        await rows.put_segments([segments[0]._replace(identity='{"other":1}')])
        assert [one.identity for one in await storage.ledger.list_segments(MASTER_JOB)] == [{"other": 1}]
        await rows.put_attempts([attempts[0]._replace(cost=8.5, status="failed", usage=None)])
        await rows.put_steps([steps[0]._replace(result='{"result":2}', attempt=2)])
        await rows.put_run(there(run)._replace(stop_reason=None))
        keyed = next(one for one in records if one.unique_key)
        moved = keyed._replace(record=keyed.record._replace(status="duplicate"), unique_key=None)
        await storage.transfer.put_records([moved], [b'{"other":1}\n'])
        assert await rows.get_master_job(MASTER_JOB) == other
        assert await rows.get_execution_jobs([job.job_id, "nowhere"]) == changed
        state = there(await storage.ledger.get_run(MASTER_JOB))
        assert (state.attempts, state.failed_attempts, state.cost, state.stop_reason) == (3, 3, 8.5, None)
        assert (await rows.get_steps([steps[0].job_id]))[0].result == '{"result":2}'
        (found,) = await rows.get_records([keyed.record.record_uid])
        assert (found.record.status, found.unique_key) == ("duplicate", None)
        assert found.record.data_sha256 != keyed.record.data_sha256
        counts = await storage.count_records_for_master_job(MASTER_JOB)
        assert counts == {"duplicate": 1, "failed": 1, "filtered": 1}

    async def test_pages_follow_each_other(self, storage: Storage) -> None:
        """None is left out and none comes twice, however many have the same times."""
        rows = await _filled(storage)
        every = await rows.list_execution_jobs(MASTER_JOB, limit=100)
        first = await rows.list_execution_jobs(MASTER_JOB, limit=3)
        assert [*first, *await rows.list_execution_jobs(MASTER_JOB, after=first[-1], limit=3)] == every
        assert len(every) == 4
        records = await rows.list_records(MASTER_JOB, limit=100)
        paged: list[WholeRecordRow] = []
        while page := await rows.list_records(MASTER_JOB, after=paged[-1] if paged else None, limit=1):
            paged += page
        assert paged == records
        assert len(records) == 3
        await rows.put_project(ProjectRow("a", "A", None, "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.000000Z"))
        assert [one.project_id for one in await rows.list_projects(limit=1)] == ["a"]
        assert [one.project_id for one in await rows.list_projects(after="a", limit=5)] == [PROJECT]
        assert await rows.list_master_job_ids(PROJECT) == [MASTER_JOB]
        assert await rows.list_master_job_ids("a") == []

    async def test_what_belongs_to_nothing_is_refused(self, storage: Storage) -> None:
        """Each kind of row without its parent; nothing is written."""
        rows = await _filled(storage)
        master, run, jobs, segments, attempts, steps, records, _ = await _everything(storage)
        with refused(ParentNotFoundError, "nowhere"):
            await rows.put_master_job(master._replace(master_job_id="new", project_id="nowhere"))
        with refused(ParentNotFoundError, "nowhere"):
            await rows.put_execution_jobs(
                [jobs[0]._replace(job=jobs[0].job._replace(job_id="new", master_job_id="nowhere"))]
            )
        with refused(ParentNotFoundError, "nowhere"):
            await rows.put_run(there(run)._replace(master_job_id="nowhere"))
        with refused(ParentNotFoundError, "nowhere"):
            await rows.put_segments([segments[0]._replace(number=2), segments[0]._replace(master_job_id="nowhere")])
        assert await rows.list_segments(MASTER_JOB) == segments
        with refused(ParentNotFoundError, "nowhere"):
            await rows.put_attempts([attempts[0], attempts[0]._replace(job_id="nowhere")])
        with refused(ParentNotFoundError, "nowhere"):
            await rows.put_steps([steps[0]._replace(job_id="nowhere")])
        lost = records[0]._replace(record=records[0].record._replace(record_uid="new", job_id="nowhere"))
        with refused(ParentNotFoundError, "nowhere"):
            await storage.transfer.put_records([records[0], lost], [b"{}\n", b"{}\n"])
        assert await rows.get_records(["new"]) == []
        assert await rows.get_execution_jobs(["new"]) == []

    async def test_ids_that_cannot_be_used_are_refused(self, storage: Storage) -> None:
        """They may come from a store that was tampered with."""
        skip_unless(storage, "RUNS")
        await save_run(storage)
        await storage.save_record(a_record(), {})
        rows = storage.transfer.rows
        (record,) = await rows.list_records(MASTER_JOB, limit=1)
        master = there(await rows.get_master_job(MASTER_JOB))
        for uid, kind in (("../evil", InvalidIdError), ("RECORD-1", IdCollisionError)):
            bad = record._replace(record=record.record._replace(record_uid=uid))
            for payload in (b"{}\n", None):
                with refused(kind):
                    await storage.transfer.put_records([bad], [payload])
        for changed, kind in (
            (master._replace(master_job_id="a/../b"), InvalidIdError),
            (master._replace(master_job_id="MASTER-1"), IdCollisionError),
            (master._replace(master_job_id="new", request_config_ref="data/00/x.json"), InvalidReferenceError),
        ):
            with refused(kind):
                await rows.put_master_job(changed)
        with refused(InvalidReferenceError):
            await storage.transfer.put_request_config("../configs/x.json", b"{}\n")

    async def test_data_that_cannot_be_read(self, storage: Storage, store: StoreUnderTest) -> None:
        """Has the error in its place; one without data has none. A configuration that is not there is None."""
        await save_run(storage)
        for uid in ("r1", "r2", "r3"):
            await storage.save_record(a_record(uid), {"uid": uid})
        await storage.log_record_metadata(a_record("r4"))
        rows = storage.transfer.rows
        records = await rows.list_records(MASTER_JOB, limit=9)
        assert [one.record.record_uid for one in records] == ["r1", "r2", "r3", "r4"]
        await storage.close()  # what is in a journal could still be read
        store.raw_delete(there(records[0].place))
        store.raw_write(there(records[1].place), b'{"uid":"another"}\n')
        await storage.setup()
        lost, damaged, whole, none = await storage.transfer.read_records(records)
        assert isinstance(lost, StorageError)
        assert isinstance(damaged, StorageError)
        assert whole == b'{"uid":"r3"}\n'
        assert none is None
        record = records[2].record._replace(output_ref="../outside.json", data_sha256=None)
        outside = WholeRecordRow(record, unique_key=None, place="../outside.json")
        (found,) = await storage.transfer.read_records([outside])
        assert isinstance(found, StorageError)
        for key in ("configs/none.request.json", "../configs/x.json", "anything"):
            assert await storage.transfer.read_request_config(key) is None

    async def test_a_store_knows_itself(self, storage: Storage, store: StoreUnderTest) -> None:
        """Opened once more, it is the same; before it is set up, it is refused."""
        other = store.open()
        with refused(NotSetUpError, "setup()"):
            await other.transfer.rows.identity()
        async with other:
            assert await other.transfer.rows.identity() == await storage.transfer.rows.identity()
            assert other.transfer.data_place == storage.transfer.data_place
            await save_run(storage)
            assert [one.job.job_id for one in await other.transfer.rows.list_execution_jobs(MASTER_JOB, limit=9)] == [
                JOB
            ]
            await other.transfer.rows.put_run(RunRow(MASTER_JOB, 5, inputs_complete=False, stop_reason=None))
            state = there(await storage.ledger.get_run(MASTER_JOB))
            assert state == replace(state, registered=5, inputs_complete=False)
