"""Answers of a model into a run with a ledger: inputs, attempts with what they used, and records."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.imports.answers import AnswerSource, ModelAnswer
from starfish_storage.imports.jobs import all_at_once, find_job, id_in_project, in_thread, job_id_of, kept_of, start_job
from starfish_storage.imports.report import MOST_NAMED, ImportProgress, ImportReport, OnProgress, Stage, combined
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.redaction import clean_error, redact_secrets
from starfish_storage.row_files.rows import BadRow
from starfish_storage.runs import Attempt, ClaimedInput, Outcome, RunInput, Worker
from starfish_storage.times import utc_now

_BATCH = 200
_LEASE_SECONDS = 10.0
_PAUSE_SECONDS = 0.2
_ENDED = frozenset({"completed", "completed_with_errors", "failed"})
_CHANGED = "changed"


class RunImport:
    """Imports the answers of one source.

    Args:
        storage: where to.
        source: the answers.
        project_id: the project; None if none was named.
        name: the name of the master job, for people.
        skip_bad: leave bad answers out.
        progress: called now and then.
        usual_project: the project if none was named; the name of the source by default.
    """

    def __init__(
        self,
        storage: Storage,
        source: AnswerSource,
        project_id: str | None,
        name: str | None,
        *,
        skip_bad: bool,
        progress: OnProgress | None,
        usual_project: str | None = None,
    ) -> None:
        self._storage = storage
        self._ledger = storage.ledger
        self._source = source
        self._project_id = project_id
        self._usual_project = usual_project
        self._name = name
        self._skip_bad = skip_bad
        self._progress = progress
        self._began = time.monotonic()
        self._start_time = utc_now()  # of the run, as soon as that is there
        self._new = 0
        self._id = ""
        self._prepared: tuple[GenerationMasterJob | None, dict[str, Any]] | None = None

    async def prepare(self) -> None:
        """Find out what has been imported, and check the answers if not all has; nothing is stored. Idempotent.

        Raises:
            InvalidInputError: an answer is bad and `skip_bad` is not set, or there are none.
        """
        if self._prepared is None:
            source = self._source
            of_content = await in_thread(lambda: job_id_of(source.form, source.identity, source.describe()))
            usual = self._usual_project or source.name
            self._id, job = await find_job(self._storage, of_content, self._project_id, usual)
            is_done = job is not None and job.status in _ENDED and not _has_changed(job)
            self._prepared = job, await kept_of(self._storage, job) if is_done and job else await self._check()

    async def run(self) -> ImportReport:
        """Import it, or what is left of it.

        Raises:
            InvalidInputError: an answer is bad and `skip_bad` is not set, or there are none; nothing was stored. Or
                the source changed meanwhile; then the master job has become ``failed``.
        """
        await self.prepare()
        assert self._prepared is not None
        storage = self._storage
        job, found = self._prepared
        if job is not None and _has_changed(job):
            await storage.delete_master_job(self._id)  # what it holds may be answers of another source
            job = None
        if job is not None and job.status in _ENDED:
            return await self._report(job, found, already=True)
        if job is None:
            job = await self._start(found)
        elif job.status != "running":
            await storage.update_master_job_status(self._id, "running", utc_now())
        self._start_time = job.start_time or job.creation_time
        await self._register()
        await self._finish_all(found["responses"])
        await self._end(found)
        return await self._report(job, found, already=False)

    async def _check(self) -> dict[str, Any]:
        skipped, bad_rows = 0, list[str]()
        answers = self._source.index()
        read = 0
        while batch := await in_thread(lambda: list(itertools.islice(answers, _BATCH))):
            read += len(batch)
            for bad in (one for one in batch if isinstance(one, BadRow)):
                if not self._skip_bad:
                    raise InvalidInputError(
                        f"{bad.reason}. Nothing was imported: correct it, or skip bad rows (skip_bad=True, --skip-bad)."
                    )
                skipped += 1
                if len(bad_rows) < MOST_NAMED:
                    bad_rows.append(bad.reason)
            self._tell("checking", read, None)
        count = sum(1 for _ in self._source.positions())
        if not count:
            raise InvalidInputError(
                f"{self._source.name!r} has no answer of a model: check that it is the right source."
            )
        return {"responses": count, "skipped": skipped, "bad_rows": bad_rows, "notes": self._source.notes()}

    async def _start(self, found: dict[str, Any]) -> GenerationMasterJob:
        source = self._source
        first = await in_thread(lambda: source.answer(next(source.positions())))
        job = await start_job(
            self._storage,
            self._id,
            project_id=self._project_id or self._usual_project,
            source=source.name,
            name=self._name,
            config={"import": {"form": source.form, "source": source.describe(), **found}, **source.about()},
            records=found["responses"],
            output_schema=source.output_schema(first),
        )
        if self._project_id is not None and job.project_id != self._project_id:
            # Another process has just begun to import it into another project.
            self._id = id_in_project(self._id, self._project_id)
            return await self._start(found)
        return job

    # --- storing --------------------------------------------------------------------------------------------------

    async def _register(self) -> None:
        await self._ledger.start_run(self._id)
        state = await self._ledger.get_run(self._id)
        if state is not None and state.inputs_complete:
            return
        positions = self._source.positions()
        while batch := list(itertools.islice(positions, _BATCH)):
            answers = await self._answers(batch)
            await self._ledger.register_inputs(
                self._id, [self._storable(RunInput(one.position, one.request)) for one in answers]
            )
        await self._ledger.complete_inputs(self._id)

    def _storable(self, given: RunInput) -> RunInput:
        """Return an input as this store takes it: without the secrets that it refuses."""
        try:
            self._ledger.check_input(given)
        except InvalidInputError:
            return RunInput(given.position, redact_secrets(given.run_config)[0])
        return given

    async def _answers(self, positions: Sequence[int]) -> list[ModelAnswer]:
        return await in_thread(lambda: [self._source.answer(position) for position in positions])

    async def _finish_all(self, total: int) -> None:
        """Finish all inputs; those that another import at the same time holds are waited for."""
        while await self._is_open():
            for other in await self._ledger.list_workers(self._id):
                now = await self._ledger.now()
                if other.lease_expires <= now:  # it was killed
                    await self._ledger.remove_worker(other, now)
            if not await self._finish_some(total):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _is_open(self) -> bool:
        counts = await self._ledger.count_inputs(self._id)
        return bool(counts.get("pending") or counts.get("running"))

    async def _finish_some(self, total: int) -> int:
        """Finish what nobody holds, and return how many inputs that were."""
        now = utc_now()
        worker = Worker(f"import-{uuid.uuid4().hex}", self._id, f"import/{os.getpid()}", now, now)
        finished = 0
        worker = await self._ledger.save_worker(worker, _LEASE_SECONDS)
        try:
            while claimed := await self._ledger.claim_inputs(self._id, worker.worker_id, _BATCH, utc_now()):
                answers = await self._answers([one.position for one in claimed])
                await all_at_once(self._finish(worker, *pair) for pair in zip(claimed, answers, strict=True))
                finished += len(claimed)
                self._tell("importing", finished, total)
                worker = await self._ledger.save_worker(worker, _LEASE_SECONDS)
        finally:
            # What was begun goes back at once; if this cannot be said, it does when the lease has expired.
            try:
                await asyncio.shield(self._ledger.remove_worker(worker, utc_now()))
            except StorageError:
                pass
        return finished

    async def _finish(self, worker: Worker, claimed: ClaimedInput, answer: ModelAnswer) -> None:
        start = answer.start or self._start_time
        error = clean_error(answer.error)
        attempt = Attempt(
            claimed.job_id,
            self._id,
            0,
            worker.worker_id,
            "completed" if answer.error is None else "failed",
            start,
            max(start, answer.end or start),
            answer.error_type,
            error,
            clean_error(answer.traceback),
            usage=answer.usage,
            conversions=answer.conversions,
        )
        outputs = [replace(one, error_message=clean_error(one.error_message)) for one in answer.outputs]
        outcome = Outcome(claimed, worker.worker_id, attempt, outputs, error)
        finished = await self._ledger.finish_input(outcome)
        self._new += len(finished.statuses)

    async def _end(self, found: dict[str, Any]) -> None:
        storage = self._storage
        if await in_thread(self._source.has_changed):
            await storage.log_master_job_end(self._id, "failed", {_CHANGED: True}, utc_now(), utc_now())
            raise InvalidInputError(
                f"{self._source.name!r} was changed while it was imported: import it again when it is whole."
            )
        await self._ledger.refresh_run(self._id, utc_now())
        counts = await storage.count_records_for_master_job(self._id)
        inputs = await self._ledger.count_inputs(self._id)
        status = "completed" if not inputs.get("failed") else "completed_with_errors"
        if inputs.keys() == {"failed"}:
            status = "failed"
        summary = {**counts, "skipped": found["skipped"]}
        await storage.log_master_job_end(self._id, status, summary, utc_now(), utc_now())

    # --- telling --------------------------------------------------------------------------------------------------

    def _tell(self, stage: Stage, rows: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(ImportProgress(self._source.name, stage, rows, total))

    async def _report(self, job: GenerationMasterJob, found: dict[str, Any], *, already: bool) -> ImportReport:
        counts = await self._storage.count_records_for_master_job(self._id)
        return ImportReport(
            self._source.name,
            self._source.form,
            (job.project_id,),
            (self._id,),
            sum(counts.values()),
            self._new,
            found["skipped"],
            tuple(found["bad_rows"]),
            already,
            time.monotonic() - self._began,
            tuple(found.get("notes", ())),
        )


async def run_each(
    name: str,
    sources: Sequence[Callable[[], AbstractContextManager[AnswerSource]]],
    importing: Callable[[AnswerSource], RunImport],
) -> ImportReport:
    """Import several sources, once all of them have been checked; one is open at a time, as there may be thousands.

    Args:
        name: what they are called together.
        sources: open one each; at least one.
        importing: makes the import of one.

    Raises:
        InvalidInputError: as `RunImport.run`; of what was checked, nothing was stored.
    """
    if len(sources) > 1:
        for opened in sources:
            with ExitStack() as stack:
                source = await in_thread(lambda opened=opened, stack=stack: stack.enter_context(opened()))
                await importing(source).prepare()
    reports: list[ImportReport] = []
    for opened in sources:
        with ExitStack() as stack:
            source = await in_thread(lambda opened=opened, stack=stack: stack.enter_context(opened()))
            reports.append(await importing(source).run())
    return combined(name, reports)


def _has_changed(job: GenerationMasterJob) -> bool:
    return job.status == "failed" and _CHANGED in (job.summary or {})
