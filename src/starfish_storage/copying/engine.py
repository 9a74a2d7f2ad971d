"""Copying projects and master jobs from one store into another, of whatever kinds they are.

The order is what makes a copy that was killed safe to repeat: the project, the master job as ``pending``, its execution
jobs with their attempts and paid steps, its records with their data, what is said of them, its request configuration,
without which nobody continues it, and at last the master job as it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing

from starfish_storage.codec import content_digest
from starfish_storage.copying.annotations import copy_annotations, edits_to_keep
from starfish_storage.copying.comparing import (
    at_rest,
    incomplete,
    needs_execution_job,
    needs_master_job,
    needs_project,
    needs_record,
)
from starfish_storage.copying.pages import PageSize, read_ahead
from starfish_storage.copying.paid import copy_attempts, copy_segments, copy_steps
from starfish_storage.copying.report import CopyReport, Lost
from starfish_storage.copying.versions import copy_standing, copy_versions
from starfish_storage.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
    StoreDamagedError,
)
from starfish_storage.interface import Storage, StoreTransfer
from starfish_storage.interface.rows import MasterJobRow, RunRow, WholeExecutionJobRow, WholeRecordRow
from starfish_storage.uri import FILE_SCHEME, path_of_file_uri

Progress = Callable[[int, int], None]
"""Told how many records have been gone through, and how many there are."""

_JOBS_AT_ONCE = 500
_PROJECTS_AT_ONCE = 500


async def copy(
    source: Storage,
    target: Storage,
    *,
    project_ids: Collection[str] = (),
    master_job_ids: Collection[str] = (),
    skip_damaged: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy projects and master jobs with everything that belongs to them; all of them, if none are named.

    An interrupted copy continues when it is repeated; a complete one that is repeated brings only what has changed in
    the source since. The source is only read. A master job, execution job or record is refused if the target has
    another one with this id, or a newer state of it, and the target keeps its own; a project with this id stays as the
    target has it, unless it is an earlier state of the same project.

    A run that is being worked on can be copied: the inputs that its workers hold arrive as pending, and `resume` of the
    copy does not pay again for steps that were stored. Records arrive under their own keys, also those that refer to
    the data of another.

    Args:
        source: where from; set up.
        target: where to; set up.
        project_ids: projects, with all of their master jobs.
        master_job_ids: master jobs, with their projects.
        skip_damaged: copy a record whose data is lost or damaged without its data, and say so in the record and in
            the report; otherwise it ends the copy.
        dry_run: read and compare, and write nothing.
        progress: called with how many records were compared, and how many there are.

    Raises:
        NotFoundError: a project or master job is not in the source.
        AlreadyExistsError: the target has something else, or something newer, of the same id.
        StoreDamagedError: the data of a record is lost or damaged.
        InvalidInputError: source and target are the same store, or the target lies in the source.
    """
    began = time.monotonic()
    await _refuse_same(source, target)
    report = CopyReport(source.storage_uri, target.storage_uri)
    projects, jobs = await _named(source, project_ids, master_job_ids)
    copying = _Copying(source, target, report, progress, skip_damaged=skip_damaged, dry_run=dry_run)
    await copying.prepare(jobs)
    for project_id in projects:
        await copying.project(project_id)
    for master_job_id in jobs:
        await copying.master_job(master_job_id)
    report.seconds = time.monotonic() - began
    return report


def refuse_places(source: Storage, target: Storage) -> None:
    """Refuse to copy to where the source lies. Neither need be set up: so it is seen before a target is made.

    Raises:
        InvalidInputError: they are the same store, have their data in one place, or the target lies in the source.
    """
    ours, theirs = source.transfer, target.transfer
    rows = _directory_of(source)
    if source.storage_uri == target.storage_uri or (
        rows and os.path.realpath(rows) == os.path.realpath(_directory_of(target))
    ):
        raise _same(source)
    if _real(ours.data_place) == _real(theirs.data_place):
        raise InvalidInputError(f"both stores have their data at {ours.data_place!a}: name another place for one.")
    for written in (_directory_of(target), os.path.dirname(theirs.data_place)):
        for read in (_directory_of(source), os.path.dirname(ours.data_place)):
            if _lies_in(written, read):
                raise InvalidInputError(
                    f"the target {written!a} lies in the source {read!a}: name a place outside of it."
                )


async def _refuse_same(source: Storage, target: Storage) -> None:
    if await source.transfer.rows.identity() == await target.transfer.rows.identity():
        raise _same(source)
    refuse_places(source, target)


def _same(source: Storage) -> InvalidInputError:
    return InvalidInputError(f"{source.storage_uri!a} is both source and target: name another store to copy into.")


def _real(place: str) -> str:
    return os.path.realpath(place) if place.startswith("/") else place


def _directory_of(storage: Storage) -> str:
    """Return the directory of a store's rows; nothing of one on a server."""
    return path_of_file_uri(storage.storage_uri) if storage.storage_uri.startswith(FILE_SCHEME) else ""


def _lies_in(place: str, directory: str) -> bool:
    if not (place.startswith("/") and directory.startswith("/")):
        return False
    place, directory = os.path.realpath(place), os.path.realpath(directory)
    return place != directory and os.path.commonpath((place, directory)) == directory


async def _named(
    source: Storage, project_ids: Collection[str], master_job_ids: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return the ids of the projects and master jobs to copy; of a named master job, the project comes with it."""
    if isinstance(project_ids, str) or isinstance(master_job_ids, str):
        raise InvalidInputError("copy takes lists of ids; for one, give a list of one.")
    rows = source.transfer.rows
    projects, jobs = dict.fromkeys(project_ids), dict[str, None]()
    if not project_ids and not master_job_ids:
        projects = dict.fromkeys([project_id async for project_id in _every_project(source)])
    for project_id in projects:
        if await rows.get_project(project_id) is None:
            raise NotFoundError("project", project_id, "list_projects lists all projects")
        jobs |= dict.fromkeys(await rows.list_master_job_ids(project_id))
    for master_job_id in master_job_ids:
        found = await rows.get_master_job(master_job_id)
        if found is None:
            raise NotFoundError("master job", master_job_id, "list_master_jobs lists all master jobs")
        projects[found.project_id] = jobs[master_job_id] = None
    # In their order, so that the newest one is that of the copy too.
    return list(projects), [job for job in await rows.list_master_job_order() if job in jobs]


async def _every_project(source: Storage) -> AsyncIterator[str]:
    after = ""
    while page := await source.transfer.rows.list_projects(after=after, limit=_PROJECTS_AT_ONCE):
        for row in page:
            yield row.project_id
        after = page[-1].project_id


class _Copying:
    """One copy: where from, where to, and what has been done so far."""

    def __init__(
        self,
        source: Storage,
        target: Storage,
        report: CopyReport,
        progress: Progress | None,
        *,
        skip_damaged: bool,
        dry_run: bool,
    ) -> None:
        self._storage = source
        self._source: StoreTransfer = source.transfer
        self._target: StoreTransfer = target.transfer
        self._report = report
        self._progress = progress
        self._skip_damaged = skip_damaged
        self._dry_run = dry_run
        self._size_of_steps = PageSize()
        self._seen = self._all = 0

    async def prepare(self, master_job_ids: Sequence[str]) -> None:
        """Refuse what the target has otherwise, before anything is written, and count the records.

        Raises:
            AlreadyExistsError: it has another master job of an id, or a newer state of one.
        """
        for master_job_id in master_job_ids:
            row = await self._source.rows.get_master_job(master_job_id)
            if row is not None:
                needs_master_job(row, await self._target.rows.get_master_job(master_job_id))
                self._all += sum((await self._storage.count_records_for_master_job(master_job_id)).values())

    async def project(self, project_id: str) -> None:
        """Copy the row of a project."""
        row = await self._source.rows.get_project(project_id)
        if row is not None and needs_project(row, await self._target.rows.get_project(project_id)):
            await self._put(self._target.rows.put_project(row))
            self._report.projects += 1

    async def master_job(self, master_job_id: str) -> None:
        """Copy a master job with all that belongs to it."""
        row = await self._source.rows.get_master_job(master_job_id)
        if row is None:
            return  # deleted since it was listed
        run = await self._source.rows.get_run(master_job_id)
        there = await self._target.rows.get_master_job(master_job_id)
        changed = needs_master_job(row, there)
        config = await self._new_request_config(row, there)
        if changed:
            await self._put(self._target.rows.put_master_job(incomplete(row)))
        there_run = await self._target.rows.get_run(master_job_id)
        if run is not None and there_run is None:
            await self._put(
                self._target.rows.put_run(RunRow(master_job_id, 0, inputs_complete=False, stop_reason=None))
            )
        if run is not None:
            ours, theirs = self._source.rows, self._target.rows
            await copy_segments(ours, theirs, master_job_id, self._report, dry_run=self._dry_run)
        await self._execution_jobs(master_job_id)
        await self._records(master_job_id)
        await copy_annotations(self._source.rows, self._target.rows, master_job_id, self._report, dry_run=self._dry_run)
        if config is not None:
            # Last, since without it nobody can resume half a run, and pay again for what is not copied yet.
            await self._put(self._target.put_request_config(row.request_config_ref, config))
        if run is not None and there_run != run:
            await self._put(self._target.rows.put_run(run))
        if changed:
            await self._put(self._target.rows.put_master_job(row))
            self._report.master_jobs += 1

    async def _new_request_config(self, row: MasterJobRow, there: MasterJobRow | None) -> bytes | None:
        """Return a request configuration that is to be written, as it is: what is redacted stays so, and no more.

        Raises:
            AlreadyExistsError: the target has another one under that name.
        """
        key = row.request_config_ref
        payload = await self._source.read_request_config(key)
        if payload is None:
            return None
        of_target = await self._target.read_request_config(key)
        if of_target == payload:
            return None
        if of_target is not None and (there is None or there.request_config_ref != key):
            reason = f"the target has another request configuration under {key!a}"
            raise AlreadyExistsError("master job", row.master_job_id, f"{reason}; copy into another store")
        return payload

    async def _execution_jobs(self, master_job_id: str) -> None:
        async def page(after: WholeExecutionJobRow | None) -> list[WholeExecutionJobRow]:
            return await self._source.rows.list_execution_jobs(master_job_id, after=after, limit=_JOBS_AT_ONCE)

        async with aclosing(read_ahead(page, lambda rows: rows[-1])) as pages:
            async for rows in pages:
                await self._put_execution_jobs(rows)

    async def _put_execution_jobs(self, rows: Sequence[WholeExecutionJobRow]) -> None:
        """Copy execution jobs with their attempts and paid steps, where they differ."""
        ids = [row.job.job_id for row in rows]
        there = {row.job.job_id: row for row in await self._target.rows.get_execution_jobs(ids)}
        resting = [at_rest(row) for row in rows]
        new = [row for row in resting if needs_execution_job(row, there.get(row.job.job_id))]
        if new:
            await self._put(self._target.rows.put_execution_jobs(new))
        self._report.execution_jobs += len(new)
        self._report.unchanged += len(rows) - len(new)
        await self._beside(ids)

    async def _beside(self, ids: Sequence[str]) -> None:
        """Copy what was tried and paid, what stands of inputs that run again, and the versions of records."""
        ours, theirs = self._source.rows, self._target.rows
        await copy_attempts(ours, theirs, ids, self._report, dry_run=self._dry_run)
        await copy_steps(ours, theirs, ids, self._report, self._size_of_steps, dry_run=self._dry_run)
        await copy_standing(ours, theirs, ids, dry_run=self._dry_run)
        await copy_versions(ours, theirs, ids, self._report, skip_damaged=self._skip_damaged, dry_run=self._dry_run)

    async def _records(self, master_job_id: str) -> None:
        size = PageSize()

        async def page(after: WholeRecordRow | None) -> list[WholeRecordRow]:
            return await self._source.rows.list_records(master_job_id, after=after, limit=size.rows)

        async def new_ones(rows: list[WholeRecordRow]) -> tuple[list[WholeRecordRow], list[bytes | None], int]:
            found = await self._target.rows.get_records([row.record.record_uid for row in rows])
            there = {row.record.record_uid: row for row in found}
            kept = await edits_to_keep(self._source.rows, self._target.rows, rows, there)
            compared = [row for row in rows if row.record.record_uid not in kept]
            new = [row for row in compared if needs_record(row, there.get(row.record.record_uid))]
            read = await self._source.read_records(new)
            size.note(sum(len(one) for one in read if isinstance(one, bytes)), len(new))
            checked = [self._checked(row, data) for row, data in zip(new, read, strict=True)]
            wanted = [
                (row, data)
                for row, data in checked
                if row.record.data_sha256 is not None
                or needs_record(_told(row, data), there.get(row.record.record_uid))
            ]
            return [row for row, _ in wanted], [data for _, data in wanted], len(rows)

        async with aclosing(read_ahead(page, lambda rows: rows[-1], new_ones)) as pages:
            async for rows, payloads, gone_through in pages:
                await self._put_records(rows, payloads)
                self._report.records += len(rows)
                self._report.unchanged += gone_through - len(rows)
                self._report.bytes += sum(len(data) for data in payloads if data is not None)
                self._seen += gone_through
                if self._progress is not None:
                    self._progress(self._seen, max(self._seen, self._all))

    async def _put_records(self, rows: Sequence[WholeRecordRow], payloads: Sequence[bytes | None]) -> None:
        if self._dry_run or not rows:
            return
        try:
            await self._target.put_records(rows, payloads)
        except ParentNotFoundError:
            # Of an input that was registered after its page of execution jobs was read.
            ids = sorted({row.record.job_id for row in rows})
            await self._put_execution_jobs(await self._source.rows.get_execution_jobs(ids))
            await self._target.put_records(rows, payloads)

    def _checked(self, row: WholeRecordRow, data: bytes | StorageError | None) -> tuple[WholeRecordRow, bytes | None]:
        """Return a record with its data; one whose data is lost or damaged without, and saying so."""
        if not isinstance(data, StorageError):
            return row, data
        record = row.record
        if not self._skip_damaged:
            place = str(getattr(data, "path", record.output_ref))
            remedy = "copy without it with skip_damaged (--skip-damaged), or restore it from a backup"
            reason = (
                f"the data of record {record.record_uid!a} cannot be read ({data.code}), and the copy ends: {remedy}"
            )
            raise StoreDamagedError(place, reason) from data
        self._report.note_lost(Lost(record.record_uid, record.master_job_id, str(data)))
        return _without_data(row, data), None

    async def _put(self, write: Awaitable[None]) -> None:
        if self._dry_run:
            getattr(write, "close")()  # noqa: B009 (of the coroutine, which is never awaited)
            return
        await write


def _without_data(row: WholeRecordRow, error: StorageError) -> WholeRecordRow:
    record, told = row.record, f"its data could not be copied ({error.code})"
    message = told if record.error_message is None else f"{record.error_message}; {told}"
    return row._replace(record=record._replace(output_ref=None, data_sha256=None, error_message=message), place=None)


def _told(row: WholeRecordRow, data: bytes | None) -> WholeRecordRow:
    """Return a record whose digest was not known with the one of its data."""
    return row if data is None else row._replace(record=row.record._replace(data_sha256=content_digest(data)))
