"""How runs are going, over the database of the metadata."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast, get_args

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface.progress import ListedRun, ProgressLedger
from starfish_storage.metadata import ledger_rows, selecting, values
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.row import Row
from starfish_storage.runs import AttemptsAtTime, RunProgress, RunState, Timeline, TimelineOf
from starfish_storage.runs.inputs import job_ids_from
from starfish_storage.runs.timeline import digits_for, spans_of_time, timeline_of_attempts, timeline_of_records
from starfish_storage.statuses import MASTER_JOB_STATUSES, RECORD_STATUSES

if TYPE_CHECKING:
    from starfish_storage.models import GenerationMasterJob

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_BEHIND_ALL = "~"  # behind every time in the order of text
_PORTION = 20_000  # inputs whose attempts are counted at once: some 20 ms
_MOST_BUCKETS = 10_000


class SQLProgressLedger(LedgerAccess, ProgressLedger):
    """See `ProgressLedger`, whatever the engine."""

    async def find_runs(
        self,
        *,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        text: str = "",
        after: GenerationMasterJob | None = None,
        before: GenerationMasterJob | None = None,
        limit: int,
    ) -> list[GenerationMasterJob]:
        """See `ProgressLedger.find_runs`."""
        if after is not None and before is not None:
            raise InvalidInputError("a page of runs begins after a run, or ends before one; not both.")
        statuses = selecting.status_filter("master-job status", status_filter, MASTER_JOB_STATUSES)
        most, _ = selecting.page(limit, None)
        of_project = () if project_id is None else (values.text("project_id", project_id),)
        name = f"list_runs{'' if project_id is None else '_of_project'}_{'after' if before is None else 'before'}"
        border = after or before
        position: Row = (_BEHIND_ALL, _BEHIND_ALL)
        if border is not None:
            position = values.timestamp("creation_time", border.creation_time), values.text("run", border.master_job_id)
        wanted = values.lower("text", text)
        each = tuple(value for status in statuses for value in (*of_project, status, *position, wanted))
        found = await self._database.all(
            self._queries.merged(name, len(statuses)),
            (*each, most),
            lambda rows: [self._read(self._codec.master_job, row) for row in rows],
        )
        return found if before is None else found[::-1]

    async def count_runs(self) -> dict[str, int]:
        """See `ProgressLedger.count_runs`."""
        return await self._database.all(self._queries["count_runs"], (), dict)

    async def list_runs(
        self, project_id: str | None = None, status_filter: Sequence[str] | None = None, limit: int | None = None
    ) -> list[ListedRun]:
        """See `ProgressLedger.list_runs`."""
        statuses = selecting.status_filter("master-job status", status_filter, MASTER_JOB_STATUSES)
        name = "list_master_jobs" if project_id is None else "list_master_jobs_of_project"
        of_project = () if project_id is None else (values.text("project_id", project_id),)
        each = tuple(value for status in statuses for value in (*of_project, status))
        jobs = await self._database.all(
            self._queries.merged(name, len(statuses)),
            (*each, *selecting.page(limit, None)),
            lambda rows: [self._read(self._codec.listed_master_job, row) for row in rows],
        )
        states, records = await self._states_and_records([job.master_job_id for job in jobs])
        return [ListedRun(job, states.get(job.master_job_id), records[job.master_job_id]) for job in jobs]

    async def get_progress(self, jobs: Sequence[GenerationMasterJob], *, with_inputs: bool = True) -> list[RunProgress]:
        """See `ProgressLedger.get_progress`."""
        runs = [values.text("run", job.master_job_id) for job in jobs]
        states, records = await self._states_and_records(runs)
        inputs = {run: await self._inputs(run) for run in runs} if with_inputs else {}
        return [
            RunProgress(job, states.get(run), records[run], inputs.get(run, {}))
            for job, run in zip(jobs, runs, strict=True)
        ]

    async def _states_and_records(self, runs: list[str]) -> tuple[dict[str, RunState], dict[str, dict[str, int]]]:
        states: dict[str, RunState] = {}
        records: dict[str, dict[str, int]] = {run: {} for run in runs}
        if runs:
            for row in await self._database.all_of("list_run_states", runs):
                state = self._read(ledger_rows.run_state, row)
                states[state.master_job_id] = state
            for run, status, count in await self._database.all_of("count_records_of_runs", runs):
                records[cast("str", run)][cast("str", status)] = cast("int", count)
        return states, records

    async def get_timeline(
        self, master_job_id: str, *, of: TimelineOf = "attempts", buckets: int = 120, seconds: float | None = None
    ) -> Timeline:
        """See `ProgressLedger.get_timeline`."""
        run = values.text("master_job_id", master_job_id)
        most = values.whole("buckets", buckets, 1, _MOST_BUCKETS)
        values.status("what a timeline counts", of, get_args(TimelineOf))
        begin, end = await self._span(run)
        if of == "records":
            return await self._records(run, spans_of_time(begin, end, most))
        digits = digits_for(end - begin, most)
        until = math.inf if seconds is None else time.monotonic() + seconds
        row = await self._first("get_run", (run,))
        if row is None:
            return timeline_of_attempts((), most, 0)
        state = self._read(ledger_rows.run_state, row)
        found: list[AttemptsAtTime] = []
        for first in range(0, state.registered, _PORTION):
            if time.monotonic() > until:
                break
            (after, _), (before, _) = job_ids_from(run, first), job_ids_from(run, first + _PORTION)
            query = self._queries["count_attempts_over_time"]
            found += await self._database.all(query, (digits, after, before, run), _attempts_at_time)
        return timeline_of_attempts(found, most, state.attempts)

    async def _inputs(self, master_job_id: str) -> dict[str, int]:
        return await self._database.all(self._queries["count_inputs"], (master_job_id,), dict)

    async def _records(self, master_job_id: str, spans: Sequence[tuple[datetime, datetime]]) -> Timeline:
        borders = [values.timestamp("time", border) for span in spans for border in span]
        query = self._queries.repeated("count_records_over_time", len(spans))
        found: dict[str, list[int]] = {}
        for run, status, _ in await self._database.all_of("count_records_of_runs", [master_job_id]):
            rows = await self._database.all(query, (*borders, run, status), list)
            found[cast("str", status)] = [cast("int", count) for _, count in rows]
        return timeline_of_records(spans, found)

    async def _span(self, master_job_id: str) -> tuple[datetime, datetime]:
        """Return when the first and the last record of a run began."""
        parameters = [value for status in RECORD_STATUSES for value in (master_job_id, status) * 2]
        query = self._queries.merged("list_record_spans", len(RECORD_STATUSES))
        found = await self._database.all_at_once(query, tuple(parameters))
        times = [datetime.fromisoformat(cast("str", one)) for row in found for one in row if one is not None]
        return (min(times), max(times)) if times else (_NEVER, _NEVER)


def _attempts_at_time(rows: list[Row]) -> list[AttemptsAtTime]:
    return [AttemptsAtTime(*row) for row in rows]
