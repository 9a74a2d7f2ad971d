"""How a run is shown: its master job, and its state in the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfish_storage.cli.call_counts import calls_text
from starfish_storage.cli.cells import Cell, Money
from starfish_storage.cli.json_form import as_json
from starfish_storage.cli.output import is_terminal, show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.tables import Column
from starfish_storage.cli.timeline_view import timeline_text
from starfish_storage.codec import decode
from starfish_storage.errors import StorageError
from starfish_storage.interface import ListedRun, Storage
from starfish_storage.runs import (
    AnnotationCounts,
    CallCounts,
    CallLimit,
    ErrorGroup,
    RunProgress,
    RunState,
    Segment,
    Timeline,
    Worker,
)
from starfish_storage.runs.calls import notes_text
from starfish_storage.statuses import COUNTED_STATUSES

if TYPE_CHECKING:
    from starfish_storage.models import GenerationMasterJob

JOB_COLUMNS = (
    Column("run"),
    Column("project"),
    Column("name", whole=False),
    Column("status"),
    Column("target"),
    *map(Column, COUNTED_STATUSES),
    Column("cost"),
    Column("created"),
)

_COLUMNS_FOR_PEOPLE = (
    Column("run"),
    Column("status"),
    Column("completed"),
    Column("failed"),
    Column("cost"),
    Column("created", optional=True),
    Column("project", optional=True),
    Column("name", whole=False, optional=True),
)
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
_ENOUGH = 12  # characters of a random id that no other run begins with
_SHARERS = 3


def _cells(run: ListedRun) -> Sequence[Cell]:
    """Return what a row of a table shows, by `JOB_COLUMNS`."""
    job = run.job
    return (
        job.master_job_id,
        job.project_id,
        job.name,
        job.status,
        job.target_record_count,
        *(run.records.get(status, 0) for status in COUNTED_STATUSES),
        None if run.state is None else Money(run.state.cost),
        datetime.fromisoformat(job.creation_time),
    )


def _cells_for_people(run: ListedRun) -> Sequence[Cell]:
    """Return what a row in a terminal shows, which has less room; the beginning of an id will do."""
    job = run.job
    return (
        shorten_id(job.master_job_id),
        job.status,
        f"{run.records.get('completed', 0)} of {job.target_record_count or '?'}",
        run.records.get("failed", 0),
        None if run.state is None else Money(run.state.cost),
        f"{datetime.fromisoformat(job.creation_time):%Y-%m-%d %H:%M}",
        job.project_id,
        job.name,
    )


def run_as_json(run: ListedRun) -> dict[str, Any]:
    """Return what is printed with ``--json``: the fields of the master job, ``run`` and ``records``."""
    job = run.job
    read = {
        "output_schema": decode(job.output_schema.encode()),
        "summary": None if job.summary is None else decode(job.summary.encode()),
    }
    return job._asdict() | read | {"run": as_json(run.state), "records": dict(run.records)}


def show_runs(runs: Sequence[ListedRun], *, as_json: bool = False) -> None:
    """Print a list of runs."""
    if as_json:
        show_list(JOB_COLUMNS, map(run_as_json, runs), lambda _: (), as_json=True)
    elif is_terminal():
        show_list(_COLUMNS_FOR_PEOPLE, runs, _cells_for_people)
    else:
        show_list(JOB_COLUMNS, runs, _cells)


@dataclass(frozen=True, slots=True)
class RunView(RunProgress):
    """A run at a moment.

    Attributes:
        place: the store.
        workers: who works on it, also those that are dead and not cleared away yet.
        live_workers: how many of them live.
        time: the moment.
        conversions: how many values of each kind were converted so that they could be stored.
        calls: how the requests of its recording clients were answered.
        failure: the most frequent failure, of all workers; None without failures.
        function: the stored name of the function of a run that is deserted; None if nobody has to know it.
        segments: what it was made of, where that is shown.
        timeline: what it did over time, where that is shown.
        annotations: how its records were judged, where that is shown.
        limit: of its calls, where that is shown; None: nothing limits them.
    """

    place: Place
    workers: Sequence[Worker]
    live_workers: int
    time: datetime
    conversions: Mapping[str, int]
    calls: CallCounts
    failure: ErrorGroup | None = None
    function: str | None = None
    segments: Sequence[Segment] = ()
    timeline: Timeline | None = None
    annotations: AnnotationCounts = field(default_factory=AnnotationCounts)
    limit: CallLimit | None = None

    @property
    def is_deserted(self) -> bool:
        """Whether it has not ended and nobody works on it."""
        return self.state is not None and not self.is_over and not self.live_workers

    @property
    def paused_until(self) -> datetime | None:
        """When its calls go on after a limit of the provider; None if they are not paused."""
        return self.paused_at(self.time)

    @property
    def _state_now(self) -> RunState | None:
        """The state, without a pause that is over."""
        if self.state is None or self.paused_until is not None:
            return self.state
        return replace(self.state, paused_until=None, pause_reason=None)

    def to_json(self) -> dict[str, Any]:
        """Return what is printed with ``--json``."""
        return {
            "master_job": as_json(self.job),
            "run": as_json(self._state_now),
            "inputs": dict(self.inputs),
            "records": dict(self.records),
            "conversions": dict(self.conversions),
            "calls": as_json(self.calls),
            "failure": as_json(self.failure),
            "workers": as_json(list(self.workers)),
            "live_workers": self.live_workers,
            "time": as_json(self.time),
        }


async def view_of(place: Place, storage: Storage, master_job_id: str) -> RunView | None:
    """Look at a run; None if it has been deleted."""
    job = await storage.get_master_job(master_job_id)
    if job is None:
        return None
    ledger = storage.ledger
    workers = await ledger.list_workers(master_job_id)
    now = await ledger.now()  # by the clock of the leases
    (progress,) = await ledger.get_progress([job])
    has_failed = progress.inputs.get("failed") or progress.records.get("failed")
    view = RunView(
        job,
        progress.state,
        progress.records,
        progress.inputs,
        place,
        workers,
        sum(is_alive(worker, now) for worker in workers),
        now,
        await ledger.count_conversions(master_job_id),
        await ledger.count_calls(master_job_id),
        next(iter(await ledger.list_errors(master_job_id)), None) if has_failed else None,
    )
    return replace(view, function=await _function_of(storage, job)) if view.is_deserted else view


async def _function_of(storage: Storage, job: GenerationMasterJob) -> str | None:
    try:
        config = await storage.get_request_config(job.request_config_ref)
    except StorageError:
        return None  # `verify` tells about lost data; how the run stands is worth knowing all the same
    return str(config.get("function"))


def is_alive(worker: Worker, now: datetime) -> bool:
    """Return whether a worker lives: its lease holds, and its process is not one of this machine that is gone."""
    if worker.lease_expires <= now:
        return False
    from starfish_storage.generation.lease import is_dead  # not needed to look at a run that has ended

    return not is_dead(worker, now)


def fields_of(view: RunView) -> dict[str, Cell]:
    """Return what is shown of a run, by name."""
    job, state = view.job, view.state
    fields: dict[str, Cell] = {
        "run": job.master_job_id,
        "name": job.name,
        "project": job.project_id,
        "status": job.status,
        "stopped" if view.is_over else "stopping": view.stop_reason,
        "paused until": view.paused_until,
        "drained since": None if state is None or view.is_over else state.drained_since,
        "paused for": None if state is None or view.paused_until is None else state.pause_reason,
        "limit": None if view.limit is None else limit_text(view.limit, view.time),
        "priority": None if state is None or state.priority == 1 else state.priority,
        "target": job.target_record_count,
        "inputs": view.inputs,
        "records": view.records,
        "created": job.creation_time,
        "started": job.start_time,
        "ended": job.end_time if view.is_over else None,  # that of before, if it goes on
        "updated": job.last_update_time,
        "over time": None if view.timeline is None else timeline_text(view.timeline),
    }
    if state is not None:
        fields |= {
            "attempts": state.attempts,
            "failed attempts": state.failed_attempts,
            "input tokens": state.input_tokens,
            "output tokens": state.output_tokens,
            "cost": Money(state.cost),
            "conversions": view.conversions or None,
            "calls": calls_text(view.calls),
            "not kept": notes_text(view.calls.notes),
            "workers": None if view.is_over else view.live_workers or f"none; {how_to_go_on(view)}",
        }
    return fields


def limit_text(limit: CallLimit, now: datetime) -> str:
    """Return a limit for people: its name, if runs share it, its rates, and how much of it is used now."""
    name = "" if limit.master_job_id is not None else f"{limit.name}: "
    part = limit.part_at(now)
    using = sharers_text(limit, now) if len(limit.parts(now)) > 1 else ""
    return f"{name}{limit}{f', now {part:.0%} of that' if part < 1 else ''}{f'; {using}' if using else ''}"


def sharers_text(limit: CallLimit, now: datetime) -> str:
    """Return which runs use a limit now, and the parts that are theirs, the largest first."""
    parts = sorted(limit.parts(now).items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{shorten_id(run)} {part:.0%}" for run, part in parts[:_SHARERS])
    return named + (f" and {len(parts) - _SHARERS} more" if len(parts) > _SHARERS else "")


def shorten_id(run_id: str) -> str:
    """Return enough of the id of a run: of a random one, its beginning."""
    return run_id[:_ENOUGH] if _RANDOM_ID.fullmatch(run_id) else run_id


def how_to_go_on(view: RunView) -> str:
    """Return how to continue a run that has no workers.

    A function that was typed into an interpreter, or that a program of an earlier version defined in itself, is found
    there only. Starting the program again continues a run whose id is given there; a random id is not.
    """
    run_id = view.job.master_job_id
    place, _, function = (view.function or "").partition(":")
    if place != "__main__":
        return f"continue with: {view.place.command('resume', run_id)}"
    again = f"continue with: {view.place.command('resume', run_id, f'FILE.py:{function}')}"
    return again if _RANDOM_ID.fullmatch(run_id) else f"start your program again, or {again}"
