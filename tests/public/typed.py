"""The public API as types: never run, only checked by pyright, which `make check` and CI do.

A parameter that is renamed, a type that becomes narrower or wider, a result of another type: each is an error here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, Self, assert_type

import numpy as np
import pandas as pd
import polars as pl

from starfish_storage import (
    Context,
    Duplicate,
    Filtered,
    GenerationJob,
    GenerationMasterJob,
    LocalStorage,
    PostgresStorage,
    Project,
    Record,
    RunLedger,
    StatusExecutionJob,
    StatusMasterJob,
    StatusRecord,
    Storage,
    cancel,
    generate,
    open_storage,
    resume,
    retry,
)
from starfish_storage.export import FrameOptions, to_pandas, to_polars
from starfish_storage.generation import (
    AskedReason,
    CallsExplained,
    Progress,
    Retry,
    Run,
    RunOptions,
    RunViewer,
    Where,
    explain_calls,
)
from starfish_storage.integrations.starfish import install, uninstall
from starfish_storage.interface import DataPlace, ListedRun, SearchPage, SearchPlace, SearchState, StoreSize
from starfish_storage.interface.scanning import ScannedLines, ScannedRecord
from starfish_storage.runs import (
    Annotation,
    AnnotationCounts,
    Attempt,
    CallNote,
    ClaimedInput,
    ErrorGroup,
    InputAccount,
    InputOfContent,
    RecordedCall,
    RecordOrigin,
    RecordVersion,
    RunProgress,
    RunState,
    Segment,
    Step,
    StepTotal,
    Timeline,
    TimelineBucket,
    Verification,
    Worker,
    holding,
    is_accepted,
)


class Published(Protocol):
    """The published methods of a storage."""

    async def setup(self) -> None: ...
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...

    def generate_request_config_path(self, master_job_id: str) -> str: ...
    async def save_request_config(self, config_ref: str, config_data: dict[str, Any]) -> str: ...
    async def get_request_config(self, config_ref: str) -> dict[str, Any]: ...

    async def save_record_data(self, record_uid: str, master_job_id: str, job_id: str, data: dict[str, Any]) -> str: ...
    async def get_record_data(self, output_ref: str) -> dict[str, Any]: ...

    async def save_project(self, project_data: Project) -> None: ...
    async def get_project(self, project_id: str) -> Project | None: ...
    async def list_projects(self, limit: int | None = None, offset: int | None = None) -> list[Project]: ...

    async def log_master_job_start(self, job_data: GenerationMasterJob) -> None: ...
    async def log_master_job_end(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> None: ...
    async def update_master_job_status(self, master_job_id: str, status: str, update_time: datetime) -> None: ...
    async def get_master_job(self, master_job_id: str) -> GenerationMasterJob | None: ...
    async def list_master_jobs(
        self,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationMasterJob]: ...

    async def log_execution_job_start(self, job_data: GenerationJob) -> None: ...
    async def log_execution_job_end(
        self,
        job_id: str,
        final_status: str,
        counts: dict[str, int],
        end_time: datetime,
        update_time: datetime,
        error_message: str | None = None,
    ) -> None: ...
    async def get_execution_job(self, job_id: str) -> GenerationJob | None: ...
    async def list_execution_jobs(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationJob]: ...
    async def list_execution_jobs_by_master_id_and_config_hash(
        self, master_job_id: str, config_hash: str, job_status: str
    ) -> list[GenerationJob]: ...

    async def log_record_metadata(self, record_data: Record) -> None: ...
    async def get_record_metadata(self, record_uid: str) -> Record | None: ...
    async def get_records_for_master_job(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]: ...
    async def count_records_for_master_job(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> dict[str, int]: ...
    async def list_record_metadata(self, master_job_uuid: str, job_uuid: str) -> list[Record]: ...


class Beyond(Protocol):
    """The methods of a storage beyond the published ones."""

    async def save_record(self, record: Record, data: dict[str, Any]) -> str: ...
    async def save_records(self, pairs: Iterable[tuple[Record, dict[str, Any]]]) -> list[str]: ...
    async def get_records_data(self, output_refs: Sequence[str]) -> list[dict[str, Any]]: ...
    def iter_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: Record | None = None,
        batch_size: int = 1000,
    ) -> AsyncIterator[Record]: ...
    def scan_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: ScannedRecord | None = None,
        batch_size: int = 500,
        backwards: bool = False,
        seed: int | None = None,
        with_data: bool = True,
        largest: int | None = None,
    ) -> AsyncIterator[list[ScannedRecord]]: ...
    def scan_lines(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> AsyncIterator[ScannedLines | list[ScannedRecord]]: ...
    def read_scanned(
        self, records: Sequence[ScannedRecord], *, largest: int | None = None
    ) -> AsyncIterator[list[ScannedRecord]]: ...
    async def search_records(
        self,
        query: str,
        *,
        master_job_id: str | None = None,
        project_id: str | None = None,
        fields: Sequence[str] | None = None,
        limit: int = 50,
        after: SearchPlace | None = None,
    ) -> SearchPage: ...
    async def index_records(self, seconds: float | None = None) -> SearchState: ...
    async def drop_search_index(self) -> None: ...
    def iter_record_data(self, output_ref: str, *, chunk_size: int = 1 << 18) -> AsyncIterator[bytes]: ...
    async def locate_record_data(self, output_ref: str) -> DataPlace: ...
    async def completed_config_hashes(self, master_job_id: str) -> set[str]: ...
    async def measure_size(self, *, seconds: float | None = None) -> StoreSize: ...
    async def delete_master_job(self, master_job_id: str) -> None: ...
    async def delete_project(self, project_id: str, cascade: bool = False) -> None: ...
    @property
    def storage_uri(self) -> str: ...
    @property
    def capabilities(self) -> frozenset[str]: ...
    @property
    def ledger(self) -> RunLedger: ...


def a_storage_is_as_published(storage: Storage, local: LocalStorage, remote: PostgresStorage) -> list[Published]:
    beyond: list[Beyond] = [storage, local, remote]
    return [storage, local, remote, *(one for one in beyond if isinstance(one, Storage))]


# Where the two bases differ, one of them takes or returns something that the other does not.
class NothingWiderThanPublished(Published, Storage): ...


class NothingWiderThanSaid(Beyond, Storage): ...


class LocalIsNotWiderEither(Published, LocalStorage): ...


async def what_opens_a_store() -> None:
    assert_type(open_storage("file:///store"), Storage)
    assert_type(open_storage("file:///store", "s3://bucket/prefix"), Storage)
    assert_type(LocalStorage("file:///store"), LocalStorage)
    assert_type(LocalStorage(storage_uri="file:///store", data_storage_uri_override="file:///data"), LocalStorage)
    async with open_storage(uri="file:///store", data_uri=None) as storage:
        assert_type(storage, Storage)


def the_fields(project: Project, job: GenerationMasterJob, unit: GenerationJob, record: Record) -> None:
    assert_type((project.project_id, project.name, project.description), tuple[str, str, str | None])
    assert_type((project.created_when, project.updated_when), tuple[datetime, datetime])

    assert_type((job.master_job_id, job.project_id, job.name), tuple[str, str, str | None])
    assert_type((job.status, job.request_config_ref, job.output_schema), tuple[StatusMasterJob, str, dict[str, Any]])
    assert_type(job.storage_uri, str)
    assert_type((job.metadata_storage_uri_override, job.data_storage_uri_override), tuple[str | None, str | None])
    assert_type((job.target_record_count, job.completed_record_count), tuple[int, int])
    assert_type((job.filtered_record_count, job.duplicate_record_count, job.failed_record_count), tuple[int, int, int])
    assert_type((job.creation_time, job.last_update_time), tuple[datetime, datetime])
    assert_type((job.start_time, job.end_time), tuple[datetime | None, datetime | None])
    assert_type(job.summary, dict[str, Any] | None)

    assert_type((unit.job_id, unit.master_job_id, unit.status), tuple[str, str, StatusExecutionJob])
    assert_type((unit.run_config, unit.run_config_hash), tuple[dict[str, Any] | None, str | None])
    assert_type((unit.attempted_generations, unit.produced_outputs_count), tuple[int, int])
    assert_type((unit.completed_record_count, unit.filtered_record_count), tuple[int, int])
    assert_type((unit.duplicate_record_count, unit.failed_record_count), tuple[int, int])
    assert_type((unit.creation_time, unit.last_update_time), tuple[datetime, datetime])
    assert_type((unit.start_time, unit.end_time), tuple[datetime | None, datetime | None])
    assert_type((unit.worker_id, unit.error_message), tuple[str | None, str | None])
    assert_type(unit.get_duration_seconds(), float | None)

    assert_type((record.record_uid, record.job_id, record.master_job_id), tuple[str, str, str])
    assert_type((record.status, record.output_ref), tuple[StatusRecord, str | None])
    assert_type((record.start_time, record.end_time, record.last_update_time), tuple[datetime, datetime, datetime])
    assert_type(record.error_message, str | None)


def generated(number: int, context: Context) -> list[dict[str, Any] | Filtered | Duplicate]:
    assert_type((context.master_job_id, context.job_id, context.position), tuple[str, str, int])
    assert_type((context.attempt, context.worker_id), tuple[int, str])
    context.log_usage(model="small-1", input_tokens=1, output_tokens=1, cost=0.1)
    context.log_usage({"prompt_tokens": 1}, cost=Decimal("0.1"), output_tokens=None, cached_tokens=np.int64(3))
    assert_type(context.once_blocking("call", lambda: number), Any)
    return [{"n": number}, Filtered({"n": number}, "odd"), Duplicate(data={"n": number}, reason=None)]


async def a_table(storage: Storage, options: FrameOptions) -> None:
    options["fields"], options["with_input"] = ["answer"], "input"
    assert_type(await to_pandas(storage, **options), pd.DataFrame)
    assert_type(await to_polars(storage, project_id="docs", search="tea", columns=["answer"], pad=True), pl.DataFrame)


async def a_run(storage: Storage, project: Project, options: RunOptions) -> None:
    assert_type(await generate(storage, generated, [{"number": 1}], project="docs"), Run)
    run = await generate(
        storage=storage,
        function=generated,
        inputs=({"number": number} for number in range(9)),
        project=project,
        name="a run",
        config={"model": "small-1"},
        master_job_id="run-1",
        source="numbers.jsonl",
        output_schema={"type": "object"},
        max_concurrency=5,
        retry=Retry(attempts=2),
        timeout=60.0,
        accept=lambda data: bool(data["n"]),
        unique_by=["n"],
        max_cost=1.0,
        on_bad_input="skip",
        grace=1.0,
        lease=60.0,
        progress=lambda progress: assert_type(progress, Progress),
        handle_signals=False,
    )
    assert_type(run, Run)
    assert_type((run.master_job_id, run.project_id, run.status), tuple[str, str, StatusMasterJob])
    assert_type((run.records, run.inputs), tuple[dict[str, int], dict[str, int]])
    assert_type((run.attempts, run.failed_attempts, run.cost), tuple[int, int, float])
    assert_type((run.done_before, run.stop_reason, run.seconds), tuple[int, str | None, float])
    assert_type(run.view(opens=False), RunViewer)
    assert_type(await resume(storage, "run-1"), Run)
    assert_type(await resume(storage, master_job_id="run-1", function=generated, inputs=[], **options), Run)
    where = Where(statuses=["failed"], error_text="x", error_type="ValueError", job_ids=["j1"])
    assert_type(await retry(storage, "run-1"), Run)
    assert_type(await retry(storage, "run-1", recheck=True, on_empty="skip", retry_on_misfit=True), Run)
    assert_type(
        await retry(storage, master_job_id="run-1", function=generated, where=where, forget=["a"], **options), Run
    )
    assert_type(await cancel(storage, master_job_id="run-1", reason="enough"), None)


async def inputs_side_by_side(storage: Storage) -> None:
    found = await storage.ledger.list_inputs_by_content("run-1", after=None, limit=100)
    assert_type(found, list[InputOfContent])
    assert_type((found[0].position, found[0].digest), tuple[int | None, str])
    assert_type(await storage.ledger.list_outputs([one.job_id for one in found]), dict[str, list[Record]])
    assert_type(await storage.ledger.find_contents(["r1"]), dict[str, str])


async def why_models_were_asked(storage: Storage) -> None:
    explained = await explain_calls(storage, "run-1")
    assert_type(explained, CallsExplained)
    assert_type((explained.asked, explained.replayed, explained.reused), tuple[int, int, int])
    assert_type((explained.cost, explained.saved_cost), tuple[float, float])
    assert_type(explained.reasons, tuple[AskedReason, ...])
    assert_type([(one.count, one.reason, one.nearest) for one in explained.reasons], list[tuple[int, str, str | None]])


async def a_step(context: Context) -> None:
    async def call() -> dict[str, Any]:
        return {}

    assert_type(await context.once("model-call", call), Any)
    assert_type(await context.once(name="model-call", call=call()), Any)
    assert_type(await context.once("model-call", call, check=bool, most_replies=5), Any)
    assert_type(context.once_blocking("model-call", dict[str, int], check=len, most_replies=1), Any)
    assert_type(await context.forget("model-call"), None)


async def the_ledger(ledger: RunLedger, now: datetime) -> None:
    assert_type(await ledger.get_run("run-1"), RunState | None)
    assert_type(await ledger.count_inputs("run-1"), dict[str, int])
    assert_type(await ledger.list_workers("run-1"), list[Worker])
    assert_type(await ledger.claim_inputs("run-1", "w1", 1, now), list[ClaimedInput])
    assert_type(await ledger.list_attempts("j1"), list[Attempt])
    assert_type(await ledger.account_for_inputs(["j1"]), dict[str, InputAccount])
    assert_type(await ledger.find_origins(["r1"]), dict[str, RecordOrigin])
    assert_type(await ledger.find_failures(["r1"]), dict[str, str])
    (progress,) = await ledger.get_progress(await ledger.find_runs(text="math", limit=1))
    assert_type((progress, progress.done, progress.total), tuple[RunProgress, int, int | None])
    assert_type((await ledger.list_runs(limit=1), await ledger.count_runs()), tuple[list[ListedRun], dict[str, int]])
    timeline = await ledger.get_timeline("run-1", of="attempts", buckets=60, seconds=1)
    assert_type((timeline, timeline.buckets), tuple[Timeline, tuple[TimelineBucket, ...]])
    assert_type(await ledger.list_steps("j1"), list[Step])
    assert_type(await ledger.list_replies("j1", "model-call", 2), list[Step])
    assert_type(await ledger.count_steps("run-1"), list[StepTotal])
    for step in await ledger.list_calls("j1"):
        call = RecordedCall.of(step)
        assert_type((call.step, call.method, call.url, call.media_type), tuple[Step, str, str, str])
        assert_type((call.http_status, call.seconds), tuple[int | None, float | None])
    assert_type(await ledger.find_reply("ab" * 32, 1, scope="project", project_id="p"), Step | None)
    assert_type(await ledger.list_requests("run-1", after=None, limit=10), list[Step])
    counts = await ledger.count_calls("run-1")
    assert_type((counts.reused, counts.saved_cost, counts.notes), tuple[int, float, tuple[CallNote, ...]])
    assert_type(await ledger.list_segments("run-1"), list[Segment])
    assert_type(await ledger.add_segment("run-1", {"function": "answer"}), Segment)
    assert_type(await ledger.last_verification(), Verification | None)
    assert_type(await ledger.list_versions("r1"), list[RecordVersion])
    assert_type(await ledger.get_version_data("r1", 1), dict[str, Any] | None)
    assert_type(await ledger.restore_version("r1", 1), None)
    assert_type(await ledger.remove_versions(now, dry_run=True), list[RecordVersion])
    assert_type(await ledger.reset_inputs("run-1", ["failed"], failed_outputs=True, replace="always"), int)
    assert_type(await ledger.pause_run("run-1", 1.5, "why"), datetime)
    assert_type(await ledger.count_conversions("run-1"), dict[str, int])
    assert_type(await ledger.list_errors("run-1"), list[ErrorGroup])
    assert_type(await ledger.search_records("run-1", ["failed"], "no parser"), list[Record])


async def said_of_records(storage: Storage, record: Record, now: datetime) -> None:
    """What people say of records."""
    notes = storage.annotations
    said = await notes.add("r1", "verdict", "accepted", author="ann", time=now)
    assert_type(said, Annotation)
    assert_type(await notes.edit_record("r1", {"answer": 42}, author="ann", replaces="ab" * 32), Annotation)
    assert_type(await notes.withdraw(said.annotation_id, author="ann"), Annotation)
    found = await notes.list(["r1"])
    assert_type((found, holding(found), is_accepted(found)), tuple[list[Annotation], list[Annotation], bool])
    assert_type(await notes.list_for_run("run-1", after=said, limit=10), list[Annotation])
    assert_type(await notes.count("run-1"), AnnotationCounts)
    assert_type(await notes.next_unreviewed("run-1", "ann", after=record, skip=["r2"], limit=2), list[Record])
    assert_type((install("/store", project="p", trust_stored_code=True), uninstall()), tuple[None, None])
