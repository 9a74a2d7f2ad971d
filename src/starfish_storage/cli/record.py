"""``starfish-storage record``: one record, its data and its history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from starfish_storage.cli.annotations import COLUMNS as ANNOTATION_COLUMNS
from starfish_storage.cli.annotations import annotation_cells
from starfish_storage.cli.call_counts import calls_text
from starfish_storage.cli.cells import Cell, Money
from starfish_storage.cli.json_form import as_json as json_of
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_full, with_json, with_store
from starfish_storage.cli.output import show_data, show_fields, show_json, show_list, show_text, show_title
from starfish_storage.cli.place import Place
from starfish_storage.cli.replies import show_steps
from starfish_storage.cli.shortening import shortened, shortened_text, shortened_traceback
from starfish_storage.cli.tables import Column
from starfish_storage.cli.versions import list_versions
from starfish_storage.errors import NotFoundError
from starfish_storage.interface import DataPlace, Storage
from starfish_storage.models import GenerationJob, Record
from starfish_storage.runs import Annotation, Attempt, Segment, Step, holding
from starfish_storage.runs.segment_history import made_of

_SELDOM = tuple(Column(title, optional=True) for title in ("also used", "conversions", "calls", "segment"))
"""Columns that are left out where nothing would stand in them."""

_ATTEMPT_COLUMNS = (
    Column("attempt"),
    Column("status"),
    Column("seconds", optional=True),
    Column("models", optional=True),
    Column("tokens in", optional=True),
    Column("tokens out", optional=True),
    _SELDOM[0],
    Column("cost"),
    *_SELDOM[1:],
    Column("error", whole=False),
)


@dataclass(frozen=True, slots=True)
class JobView:
    """An input of a run, with its attempts and paid steps.

    Attributes:
        job: its execution job.
        attempts: by number.
        steps: by the time they were stored.
    """

    job: GenerationJob
    attempts: Sequence[Attempt]
    steps: Sequence[Step]

    @property
    def cost(self) -> float:
        """What all attempts cost."""
        return sum(attempt.cost for attempt in self.attempts)

    def to_json(self) -> dict[str, Any]:
        """Return what is printed with ``--json``."""
        return {"job": json_of(self.job), "attempts": json_of(self.attempts), "steps": json_of(self.steps)} | {
            name: sum(getattr(one, name) for one in self.attempts) for name in ("input_tokens", "output_tokens", "cost")
        }


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record, its data, and the input that it came from.

    Attributes:
        record: the metadata.
        data: its data; None if it has none.
        origin: its execution job.
        segment: what the run was made of when it was made; None if that is not stored.
        annotations: what people say of it, the oldest first; withdrawn ones too.
        place: where its data lies; None if it has none, or lies in an archive.
    """

    record: Record
    data: dict[str, Any] | None
    origin: JobView | None
    segment: Segment | None
    annotations: Sequence[Annotation] = ()
    place: DataPlace | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is printed with ``--json``."""
        origin = None if self.origin is None else self.origin.to_json()
        record = {"record": json_of(self.record), "data": self.data, "segment": json_of(self.segment)}
        record["annotations"] = json_of(self.annotations)
        record["place"] = None if self.place is None else asdict(self.place)
        return record | (origin or {"job": None})


@click.command("record", epilog=example("record 5f0c9d6a7b1e4c2f8a3d5e6f7a8b9c0d-0 --json"))
@click.argument("uid")
@click.option("--versions", "lists_versions", is_flag=True, help="List its outputs that are kept, with their data.")
@with_full
@with_json
@with_store
def record_command(place: Place, uid: str, lists_versions: bool, full: bool, as_json: bool) -> None:
    """Show a record: its metadata and data, its input, attempts and paid steps, and what they cost.

    A value over 2 KB is cut, unless --full or --json is given.
    """
    if lists_versions:
        asyncio.run(list_versions(place, uid, full=full, as_json=as_json))
        return
    view = asyncio.run(_view(place, uid))
    if as_json:
        show_json(view)
    else:
        show_record(view, full=full)


async def _view(place: Place, uid: str) -> RecordView:
    async with reading(place) as storage:
        record = await storage.get_record_metadata(uid)
        if record is None:
            if await storage.get_execution_job(uid) is not None:
                raise NotFoundError("record", uid, f"this is an input; see it with: {place.command('show', uid)}")
            raise NotFoundError("record", uid, "'starfish-storage records RUN' lists those of a run")
        return await record_view(storage, record, is_copy=place.is_archive)


async def record_view(storage: Storage, record: Record, *, is_copy: bool) -> RecordView:
    """Look at a record.

    Args:
        storage: where it is.
        record: the record.
        is_copy: the store is a copy of an archive, which is gone when the command ends: no place in it is told.

    Raises:
        DataLostError: its data is not there, though it says that it has some.
    """
    data, place = None, None
    if record.output_ref is not None:
        data = await storage.get_record_data(record.output_ref)
        place = None if is_copy else await storage.locate_record_data(record.output_ref)
    job = await storage.get_execution_job(record.job_id)
    number = (await storage.ledger.find_segments([record.record_uid])).get(record.record_uid)
    segments = [] if number is None else await storage.ledger.list_segments(record.master_job_id)
    segment = next((one for one in segments if one.number == number), None)
    origin = None if job is None else await job_view(storage, job)
    annotations = await storage.annotations.list([record.record_uid])
    return RecordView(record, data, origin, segment, annotations, place)


async def job_view(storage: Storage, job: GenerationJob) -> JobView:
    """Look at an execution job."""
    ledger = storage.ledger
    return JobView(job, await ledger.list_attempts(job.job_id), await ledger.list_steps(job.job_id))


def show_record(view: RecordView, *, full: bool) -> None:
    """Print a record for people, values over 2 KB in full or cut."""
    record, segment = view.record, view.segment
    cost = None if view.origin is None or not view.origin.attempts else Money(view.origin.cost)
    show_fields(
        {
            "record": record.record_uid,
            "status": record.status,
            "error": text_shown(record.error_message, full=full),
            "run": record.master_job_id,
            "input": record.job_id,
            "started": record.start_time,
            "ended": record.end_time,
            "cost": cost,
            "segment": None if segment is None else f"{segment.number} ({made_of(segment.identity)})",
            "file": None if view.place is None else str(view.place),
        }
    )
    if view.data is not None:
        show_title("Data")
        _show_value(view.data, full=full)
    if held := holding(view.annotations):
        show_title("Annotations")
        show_list(ANNOTATION_COLUMNS, held, annotation_cells)
    if view.origin is not None:
        show_origin(view.origin, full=full)


def text_shown(text: str | None, *, full: bool) -> str | None:
    """Return a text as it is shown: in full or cut."""
    return text if text is None or full else shortened_text(text)


def _show_value(value: object, *, full: bool) -> None:
    show_data(value if full else shortened(value))


def show_origin(view: JobView, *, full: bool) -> None:
    """Print an input with its attempts and paid steps."""
    if view.job.run_config is not None:
        show_title("Input")
        _show_value(view.job.run_config, full=full)
    if view.attempts:
        show_title("Attempts")
        are_of_one = len({attempt.segment for attempt in view.attempts}) == 1
        rows = [_attempt_cells(attempt, None if are_of_one else attempt.segment) for attempt in view.attempts]
        shown = [
            place
            for place, column in enumerate(_ATTEMPT_COLUMNS)
            if column not in _SELDOM or any(row[place] for row in rows)
        ]
        show_list([_ATTEMPT_COLUMNS[place] for place in shown], rows, lambda row: [row[place] for place in shown])
    if view.steps:
        show_steps(view.steps, full=full)
    last = view.attempts[-1] if view.attempts else None
    if last is not None and last.error_traceback:
        show_title("Where the last attempt failed")
        traceback = last.error_traceback.rstrip()
        show_text(traceback if full else shortened_traceback(traceback))


def _attempt_cells(attempt: Attempt, segment: int | None) -> Sequence[Cell]:
    models = dict.fromkeys(one.model for one in attempt.usage if one.model)
    error = ": ".join(part for part in (attempt.error_type, attempt.error_message) if part)
    return (
        attempt.number,
        attempt.status,
        round((attempt.end_time - attempt.start_time).total_seconds(), 3),
        ", ".join(models),
        attempt.input_tokens,
        attempt.output_tokens,
        ", ".join(f"{name} {number:,}" for name, number in _further_counts(attempt).items()),
        Money(attempt.cost),
        ", ".join(f"{one.kind} {one.count:,}" for one in attempt.conversions),
        calls_text(attempt.calls) or "",
        segment,
        error,
    )


def _further_counts(attempt: Attempt) -> dict[str, float]:
    """Return what its calls reported beyond tokens and cost, added up by name."""
    found: dict[str, float] = {}
    for used in attempt.usage:
        for name, number in used.counts.items():
            found[name] = found.get(name, 0) + number
    return found
