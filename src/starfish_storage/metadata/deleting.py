"""Deleting master jobs of any size: what is large goes in parts, between which others write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starfish_storage.errors import NotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.rows import MasterJobRow
from starfish_storage.metadata import values
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row import only_value, only_values
from starfish_storage.metadata.row_writer import RowWriter

_MOST_AT_ONCE = 512
"""Rows of records, or of execution jobs, in a part, at most. Execution jobs take their attempts and steps with them."""
_FIRST = 64
"""The same of the first part: how long one takes is not known before."""
_PART_SECONDS = 0.03
"""How long a part should take: in SQLite, others wait for it; in PostgreSQL, those in the same process."""
_REST = 0.03
"""Seconds between two parts: a process that waits for SQLite's writer lock looks for it every 20 ms."""


class Deleting:
    """Deletes projects and master jobs. A small one goes in one transaction, as if at once.

    Of a large one, a note says first that it is being deleted, which also stops it if it is a run; then its records
    go, then its execution jobs, and last it goes itself. Who is killed in between leaves the note and the rest, which
    the next deletion of it removes.

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
        for delete in (_delete_some_records, _delete_some_versions, _delete_some_jobs):
            rows = min(_FIRST, _MOST_AT_ONCE)
            while True:
                deleted, seconds = await self._delete_part(delete, master_job_id, rows)
                if deleted < rows:
                    break
                await asyncio.sleep(_REST)  # not until something happens: it is the turn of others
                rows = max(1, min(2 * rows, _MOST_AT_ONCE, int(rows * _PART_SECONDS / max(seconds, 1e-6))))

    async def _delete_part(
        self, delete: Callable[[RowWriter, str, int], int], master_job_id: str, rows: int
    ) -> tuple[int, float]:
        """Delete so many rows, and return how many there were and how many seconds it took, without the commit."""
        deleted: list[tuple[int, float]] = []

        def apply(writer: RowWriter) -> None:
            begun = time.monotonic()
            count = delete(writer, master_job_id, rows)
            deleted[:] = [(count, time.monotonic() - begun)]  # once more, if the group is tried again

        await self._database.write(WriteOperation(apply, removals=(0, 0), shares=True))
        return deleted[0]


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


def _delete_some_records(writer: RowWriter, master_job_id: str, rows: int) -> int:
    uids: list[str] = writer.values("list_some_records", (master_job_id, rows))
    if uids:
        writer.delete_records(uids)
    return len(uids)


def _delete_some_versions(writer: RowWriter, master_job_id: str, rows: int) -> int:
    """Delete versions of records that are not there themselves."""
    uids: list[str] = writer.values("list_some_versioned_records", (master_job_id, rows))
    if uids:
        writer.delete_records(list(dict.fromkeys(uids)))
    return len(uids)


def _delete_some_jobs(writer: RowWriter, master_job_id: str, rows: int) -> int:
    ids: list[str] = writer.values("list_some_jobs_without_records", (master_job_id, rows))
    writer.delete_jobs_without_records(ids)
    return len(ids)
