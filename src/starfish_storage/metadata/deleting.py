"""Deleting master jobs of any size: what is large goes in parts, between which others write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from starfish_storage.errors import NotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.rows import MasterJobRow
from starfish_storage.metadata import values
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row import Row, only_value, only_values
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.statuses import EXECUTION_JOB_STATUSES, RECORD_STATUSES

_MOST_AT_ONCE = 512
"""Rows of records, or of execution jobs, in a part, at most. Execution jobs take their attempts and steps with them."""
_FIRST = 64
"""The same of the first part, when how long one takes is not known; and of any at least: a commit takes time, too."""
_PART_SECONDS = 0.02
"""How long a part should take, with its commit: in SQLite, others wait for it; in PostgreSQL, those in this process."""
_REST = 0.015
"""Seconds between two parts: a process that waits for SQLite's writer lock looks for it every 10 ms."""


class _Progress(NamedTuple):
    """How far a deletion has come.

    Attributes:
        stage: the number of a stage.
        after: the time and the id of the last row there that was come across; rows come from the newest to the oldest.
    """

    stage: int
    after: Row


_NEWEST: Row = ("~", "~")
"""Before every time, which begins with a digit."""


class Deleting:
    """Deletes projects and master jobs. A small one goes in one transaction, as if at once.

    Of a large one, a note says first that it is being deleted, which also stops it if it is a run; then its records
    go, each with its execution job, then the jobs without records, and last it goes itself. Who is killed in between
    leaves the note and the rest, which the next deletion of it removes.

    Args:
        database: runs the queries, and commits what is written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def delete_master_job(self, master_job_id: str) -> None:
        """See `MasterJobContract.delete_master_job`."""
        check_id("master_job_id", master_job_id)
        if await self._count(master_job_id) > _MOST_AT_ONCE:
            await self._empty(master_job_id)

        def delete(writer: RowWriter) -> None:
            name = _name_of(writer, master_job_id)
            writer.delete_master_job(master_job_id)
            if writer.first("get_deletion", (master_job_id,)) is None:
                note_action(writer, "delete", "run", master_job_id, name)
            else:
                writer.change("forget_deletion", (master_job_id,))

        await self._database.write(WriteOperation(delete, removals=(0, 0)))

    async def delete_project(self, project_id: str, cascade: bool) -> None:
        """See `ProjectContract.delete_project`."""
        check_id("project_id", project_id)
        if cascade:
            await self._delete_most_of(project_id)

        def delete(writer: RowWriter) -> None:
            writer.delete_project(project_id, cascade)
            note_action(writer, "delete", "project", project_id, "with its runs" if cascade else None)

        await self._database.write(WriteOperation(delete, removals=(0, 0)))

    async def _delete_most_of(self, project_id: str) -> None:
        """Delete master jobs of a project one by one, if they are too much for one transaction."""
        query = self._queries["list_master_job_ids_of_project"]
        runs: list[str] = await self._database.all(query, (project_id,), only_values)
        rows = 0
        for run in runs:
            rows += 1 + await self._count(run)
            if rows > _MOST_AT_ONCE:
                break
        else:
            return
        for run in runs:
            try:
                await self.delete_master_job(run)
            except NotFoundError:
                pass  # somebody else deletes the same

    async def _count(self, master_job_id: str) -> int:
        """Return how many rows go with a master job, or a number that is too large."""
        most = _MOST_AT_ONCE + 1
        row = await self._database.first(self._queries["count_some_rows"], (master_job_id, most, master_job_id, most))
        count: int = only_value(row)
        return count

    async def _empty(self, master_job_id: str) -> None:
        """Delete what belongs to a master job, but for what fits into one transaction."""
        await self._database.write(WriteOperation(lambda writer: _note(writer, master_job_id)))
        while await self._walk(master_job_id) >= _MOST_AT_ONCE:
            pass  # what came meanwhile is newer, and so before where the walk was

    async def _walk(self, master_job_id: str) -> int:
        """Delete from the newest row to the oldest, part by part, and return how many rows were come across."""
        place: _Progress | None = _Progress(0, _NEWEST)
        rows, deleted = min(_FIRST, _MOST_AT_ONCE), 0
        while place is not None:
            place, found, seconds = await self._delete_part(master_job_id, place, rows)
            deleted += found
            if place is not None:
                await asyncio.sleep(_REST)  # not until something happens: it is the turn of others
                fitting = min(2 * rows, int(rows * _PART_SECONDS / max(seconds, 1e-6)))
                rows = min(max(fitting, _FIRST), _MOST_AT_ONCE)
        return deleted

    async def _delete_part(
        self, master_job_id: str, place: _Progress, rows: int
    ) -> tuple[_Progress | None, int, float]:
        """Delete up to so many rows, from a place on.

        Returns the place that comes next, None if there is none; how many rows there were; and for how many seconds
        others may have waited.
        """
        ended: list[tuple[_Progress | None, int]] = []

        def apply(writer: RowWriter) -> None:
            ended[:] = [_delete_some(writer, master_job_id, place, rows)]  # once more, if the group is tried again

        operation = WriteOperation(apply, removals=(0, 0), shares=True)
        await self._database.write(operation)
        (next_place, found), *_ = ended
        return next_place, found, operation.took


def refuse_being_deleted(writer: RowWriter, master_job_id: str) -> None:
    """Refuse to begin or continue a run whose deletion has begun.

    Raises:
        NotFoundError: it is being deleted.
    """
    since = writer.first_value("get_deletion", (master_job_id,))
    if since is not None:
        reason = f"it is being deleted since {since}, and a part of it is gone; delete it again to remove the rest"
        raise NotFoundError("run", master_job_id, reason)


def _name_of(writer: RowWriter, master_job_id: str) -> str | None:
    row = writer.first_as(MasterJobRow, "get_master_job", (master_job_id,))
    return None if row is None else row.name


def _note(writer: RowWriter, master_job_id: str) -> None:
    name = _name_of(writer, master_job_id)
    if writer.first("get_deletion", (master_job_id,)) is not None:
        name = "continued"
    note_action(writer, "delete", "run", master_job_id, name)
    writer.change("note_deletion", (master_job_id, values.timestamp("now", writer.now())))
    writer.execute("request_stop", ("it is being deleted", master_job_id))


def _delete_some(writer: RowWriter, master_job_id: str, place: _Progress, rows: int) -> tuple[_Progress | None, int]:
    """Delete rows of the first stage that has any, and return the place behind them, and how many there were."""
    after = place.after
    for number in range(place.stage, len(_STAGES)):
        stage = _STAGES[number]
        given = (master_job_id, rows) if stage.status is None else (master_job_id, stage.status, *after, rows)
        found = writer.execute(stage.query, given).fetchall()
        if found:
            stage.delete(writer, found)
            *_, last = found
            time, uid, *_ = (*last, "")  # of versions, only the uid is listed: they begin anew each time
            return _Progress(number, (time, uid)), len(found)
        after = _NEWEST
    return None, 0


def _delete_records(writer: RowWriter, found: Sequence[Row]) -> None:
    """Delete records, given by time, uid and job, and the execution jobs that have no other record.

    With their records and not after them: as long as there are jobs to be deleted, what PostgreSQL knows of records
    says that few are of one job, and it looks for them by their job.
    """
    jobs = list(dict.fromkeys(job_id for _, _, job_id in found))
    writer.lock_jobs(jobs)
    writer.delete_records([uid for _, uid, _ in found])
    writer.delete_jobs_without_records(jobs)


def _delete_versions(writer: RowWriter, found: Sequence[Row]) -> None:
    """Delete versions of records that are not there themselves."""
    writer.delete_records(list(dict.fromkeys(only_values(found))))


def _delete_jobs(writer: RowWriter, found: Sequence[Row]) -> None:
    """Delete execution jobs, given by time and id, that have no records."""
    writer.delete_jobs_without_records([job_id for _, job_id in found])


class _Stage(NamedTuple):
    """What a deletion goes through in the order of an index.

    Attributes:
        query: lists rows behind a place, of one status; or any, with None.
        status: which.
        delete: deletes what it lists.
    """

    query: str
    status: str | None
    delete: Callable[[RowWriter, Sequence[Row]], None]


_STAGES = (
    *(_Stage("list_records_to_delete", status, _delete_records) for status in RECORD_STATUSES),
    _Stage("list_some_versioned_records", None, _delete_versions),
    *(_Stage("list_jobs_to_delete", status, _delete_jobs) for status in EXECUTION_JOB_STATUSES),
)
