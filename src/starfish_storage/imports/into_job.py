"""The rows of a table into a master job: checked first, then stored in batches, each of which is an execution job.

Every id follows from the content: importing the same source again finds what is stored, and stores the rest.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starfish_storage.codec import canonical_hash
from starfish_storage.conversations.shapes import recognise
from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.jobs import find_job, id_in_project, in_thread, job_id_of, kept_of, start_job
from starfish_storage.imports.report import MOST_NAMED, ImportProgress, ImportReport, OnProgress, Stage, combined
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationJob, GenerationMasterJob, Record
from starfish_storage.row_files.rows import BadRow, GoodRow, Table, checked
from starfish_storage.runs.imported_batches import ROWS_OF_BATCH, batch_config, batch_id
from starfish_storage.statuses import StatusRecord
from starfish_storage.times import utc_now

_LOOKED_AT = 100
"""Rows by which conversations are recognised."""

_AT_ONCE = 4  # batches on their way: the next one is read and encoded while the one before is made durable
_DONE = frozenset({"completed", "completed_with_errors"})


@dataclass(slots=True)
class _Found:
    """What checking has found."""

    rows: int = 0
    skipped: int = 0
    bad_rows: list[str] = field(default_factory=list[str])
    conversations: str | None = None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"rows": self.rows, "skipped": self.skipped, "bad_rows": self.bad_rows}
        return found if self.conversations is None else found | {"conversations": self.conversations}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> _Found:
        return cls(int(kept["rows"]), int(kept["skipped"]), list(kept["bad_rows"]), kept.get("conversations"))


class TableImport:
    """Imports one table.

    Args:
        storage: where to.
        table: its rows.
        project_id: the project; it is made if it is not there.
        name: the name of the master job, for people.
        skip_bad: leave bad rows out.
        progress: called now and then.
        about: more to be kept with the master job.
    """

    def __init__(
        self,
        storage: Storage,
        table: Table,
        project_id: str | None,
        name: str | None,
        *,
        skip_bad: bool,
        progress: OnProgress | None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self._storage = storage
        self._table = table
        self._project_id = project_id
        self._name = name
        self._skip_bad = skip_bad
        self._progress = progress
        self._about = about or {}
        self._began = time.monotonic()
        self._stored = self._new = 0
        self._id = ""
        self._prepared: tuple[GenerationMasterJob | None, _Found] | None = None

    async def prepare(self) -> None:
        """Find out what has been imported, and check the rows if nothing has; nothing is stored. Idempotent.

        Raises:
            InvalidInputError: a row is bad and `skip_bad` is not set, or there are no rows.
        """
        if self._prepared is None:
            table, project_id = self._table, self._project_id
            of_content = await in_thread(lambda: job_id_of(table.form, table.identity, table.describe()))
            self._id, job = await find_job(self._storage, of_content, project_id, table.name)
            if job is None:
                self._prepared = None, await self._check()
            else:
                self._prepared = job, _Found.from_json(await kept_of(self._storage, job))

    async def run(self) -> ImportReport:
        """Import it, or what is left of it.

        Raises:
            InvalidInputError: a row is bad and `skip_bad` is not set, or there are no rows; nothing was stored. Or the
                source changed meanwhile; then the master job has become ``failed``.
        """
        await self.prepare()
        assert self._prepared is not None
        job, found = self._prepared
        if job is not None and job.status in _DONE:
            return await self._report(job, found, already=True)
        if job is None:
            job = await self._start(found)
        elif job.status != "running":
            await self._storage.update_master_job_status(self._id, "running", utc_now())
        # What a failed one has stored may be the rows of another source.
        done = set[str]() if job.status == "failed" else await self._storage.completed_config_hashes(self._id)
        await self._store_all(job, found, done)
        await self._end(found)
        return await self._report(job, found, already=False)

    # --- checking -------------------------------------------------------------------------------------------------

    async def _check(self) -> _Found:
        found = _Found()
        async for batch in _in_batches(checked(self._table.rows())):
            if not found.rows:
                good = (row.data for row in batch if isinstance(row, GoodRow))
                found.conversations = recognise(itertools.islice(good, _LOOKED_AT))
            for row in batch:
                if isinstance(row, GoodRow):
                    found.rows += 1
                    continue
                if not self._skip_bad:
                    raise InvalidInputError(
                        f"{row.reason}. Nothing was imported: correct it, or skip bad rows (skip_bad=True, --skip-bad)."
                    )
                found.skipped += 1
                if len(found.bad_rows) < MOST_NAMED:
                    found.bad_rows.append(row.reason)
            self._tell("checking", found.rows + found.skipped, None)
        if not found.rows:
            raise InvalidInputError(
                f"{self._table.name!r} has no row that can be imported: check that it is the right file."
            )
        return found

    async def _start(self, found: _Found) -> GenerationMasterJob:
        about = {"form": self._table.form, "source": self._table.describe(), **found.to_json()}
        if notes := await in_thread(self._table.notes):
            about["notes"] = notes
        job = await start_job(
            self._storage,
            self._id,
            project_id=self._project_id,
            source=self._table.name,
            name=self._name,
            config={"import": about, **self._about},
            records=found.rows,
        )
        if self._project_id is not None and job.project_id != self._project_id:
            # Another process has just begun to import it into another project.
            self._id = id_in_project(self._id, self._project_id)
            return await self._start(found)
        return job

    # --- storing --------------------------------------------------------------------------------------------------

    async def _store_all(self, job: GenerationMasterJob, found: _Found, done: set[str]) -> None:
        rows = self._table.rows()
        batches = _in_batches(checked(rows) if found.skipped else rows)
        room = asyncio.Semaphore(_AT_ONCE)
        total = found.rows + found.skipped
        try:
            async with asyncio.TaskGroup() as group:
                async for number, batch in _numbered(batches):
                    self._tell("importing", min(number * ROWS_OF_BATCH, total), total)
                    work = _Batch(job, number, len(batch), [row for row in batch if isinstance(row, GoodRow)])
                    if not work.rows:
                        continue
                    if work.config_hash in done:
                        self._stored += len(work.rows)
                        continue
                    await room.acquire()
                    group.create_task(self._store(work, number * ROWS_OF_BATCH, batch, room))
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        self._tell("importing", total, total)

    async def _store(self, work: _Batch, first: int, batch: list[GoodRow | BadRow], room: asyncio.Semaphore) -> None:
        storage, count = self._storage, len(work.rows)
        try:
            await storage.log_execution_job_start(work.job())
            await storage.save_records(
                (work.record(first + place, row), row.data)
                for place, row in enumerate(batch)
                if isinstance(row, GoodRow)
            )
            now = utc_now()
            await storage.log_execution_job_end(work.job_id, "completed", work.counts(), now, now)
        finally:
            room.release()
        self._stored += count
        self._new += count

    async def _end(self, found: _Found) -> None:
        now = utc_now()
        if self._stored != found.rows or await in_thread(self._table.has_changed):
            await self._storage.log_master_job_end(self._id, "failed", {"changed": True}, now, now)
            raise InvalidInputError(
                f"{self._table.name!r} changed while it was imported. Master job {self._id!r} has failed, since its "
                "rows may belong to neither version: delete it, and import the file as it is now."
            )
        counts = await self._storage.count_records_for_master_job(self._id)
        status = "completed_with_errors" if counts.get("failed") else "completed"
        summary = {**counts, "skipped": found.skipped}
        await self._storage.log_master_job_end(self._id, status, summary, now, now)

    # --- telling --------------------------------------------------------------------------------------------------

    def _tell(self, stage: Stage, rows: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(ImportProgress(self._table.name, stage, rows, total))

    async def _report(self, job: GenerationMasterJob, found: _Found, *, already: bool) -> ImportReport:
        return ImportReport(
            self._table.name,
            self._table.form,
            (job.project_id,),
            (self._id,),
            found.rows,
            self._new,
            found.skipped,
            tuple(found.bad_rows),
            already,
            time.monotonic() - self._began,
            tuple(await in_thread(self._table.notes)),
            found.conversations,
        )


async def run_all(source: str, imports: Sequence[TableImport]) -> ImportReport:
    """Import several tables of one source, once all of them have been checked.

    Args:
        source: what they are called together.
        imports: at least one.

    Raises:
        InvalidInputError: as `TableImport.run`; of what was checked, nothing was stored.
    """
    for one in imports:
        await one.prepare()
    return combined(source, [await one.run() for one in imports])


class _Batch:
    """Some rows that follow each other, and the ids under which they are stored."""

    def __init__(self, master_job: GenerationMasterJob, number: int, length: int, rows: list[GoodRow]) -> None:
        self._master_job_id = master_job.master_job_id
        # The same for all, so that they are listed by their uids, which are in the order of the rows.
        self._start: datetime = master_job.start_time or master_job.creation_time
        self._config = batch_config(number, length)
        self.config_hash = canonical_hash(self._config)
        self.job_id = batch_id(self._master_job_id, number)
        self.rows = rows
        self._now = utc_now()

    def job(self) -> GenerationJob:
        return GenerationJob(
            job_id=self.job_id,
            master_job_id=self._master_job_id,
            status="running",
            run_config=self._config,
            attempted_generations=1,
            produced_outputs_count=len(self.rows),
            creation_time=self._start,
            start_time=self._now,
        )

    def counts(self) -> dict[str, int]:
        return dict(Counter(_status_of(row) for row in self.rows))

    def record(self, place: int, row: GoodRow) -> Record:
        return Record(
            record_uid=f"{self._master_job_id}-row-{place + 1:010}",
            job_id=self.job_id,
            master_job_id=self._master_job_id,
            status=_status_of(row),
            error_message=row.failure,
            start_time=self._start,
            end_time=self._now,
            last_update_time=self._now,
        )


def _status_of(row: GoodRow) -> StatusRecord:
    return "completed" if row.failure is None else "failed"


async def _numbered(
    batches: AsyncIterator[list[GoodRow | BadRow]],
) -> AsyncIterator[tuple[int, list[GoodRow | BadRow]]]:
    number = 0
    async for batch in batches:
        yield number, batch
        number += 1


async def _in_batches(rows: Iterator[GoodRow | BadRow]) -> AsyncIterator[list[GoodRow | BadRow]]:
    """Yield rows in batches, read in a thread."""
    try:
        while batch := await in_thread(lambda: list(itertools.islice(rows, ROWS_OF_BATCH))):
            yield batch
    finally:
        close: Callable[[], None] | None = getattr(rows, "close", None)
        if close is not None:
            close()
