"""``starfish-storage records``: the records of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import (
    NUMBER_OF_ROWS,
    example,
    one_of,
    with_conditions,
    with_json,
    with_limit,
    with_run,
    with_store,
)
from starfish_storage.cli.output import Listing, say
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column
from starfish_storage.filtering import Condition, Sample, filter_records
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.models import Record
from starfish_storage.statuses import RECORD_STATUSES

RECORD_COLUMNS = (Column("record"), Column("status"), Column("ended", optional=True), Column("error", whole=False))


def record_cells(record: Record) -> Sequence[Cell]:
    """Return what a row of a table shows, by `RECORD_COLUMNS`."""
    return record.record_uid, record.status, record.end_time, record.error_message


@click.command("records", epilog=example("records last --status failed --error timeout"))
@with_run
@click.option("--status", multiple=True, type=one_of(RECORD_STATUSES), help="Only in this status; repeatable.")
@click.option("--error", metavar="TEXT", help="Only records whose error contains TEXT, in any case.")
@with_conditions
@with_limit("records")
@click.option("--offset", type=NUMBER_OF_ROWS, metavar="N", default=0, help="Skip this many records first.")
@with_json
@with_store
def records_command(place: Place, run: str, limit: int, as_json: bool, **wanted: Any) -> None:
    """List the records of a run, newest first; of a sample, in the order in which they were drawn."""
    offset: int = wanted["offset"]
    if asyncio.run(_list(place, run, wanted, limit, as_json=as_json)):
        say(f"There are more than {limit:,}; --limit 0 shows all, --offset {offset + limit} the next.")


async def _list(place: Place, run: str, wanted: Mapping[str, Any], limit: int, *, as_json: bool) -> bool:
    """Print the records; return whether there are more than the limit."""
    async with reading(place) as storage:
        job = await find_run(storage, run)
        listing = Listing(RECORD_COLUMNS, record_cells, as_json=as_json)
        number = 0
        async for record in _records(storage, job.master_job_id, **wanted):
            if limit and number == limit:
                break
            listing.add(record)
            number += 1
        else:
            listing.end()
            if not number and not as_json:
                say("No such records.")
            return False
        listing.end()
        return True


async def _records(
    storage: Storage,
    master_job_id: str,
    *,
    status: tuple[str, ...],
    error: str | None,
    where: tuple[str, ...],
    sample: int | None,
    sample_seed: int | None,
    offset: int,
) -> AsyncGenerator[Record]:
    """Yield records from an offset on, without ever holding all of them, unless they are searched."""
    if where or sample is not None:
        conditions = [*where, Condition("@error", "has", error)] if error is not None else where
        drawn = None if sample is None else Sample(sample, sample_seed or 0)
        found = filter_records(
            storage, master_job_id, conditions, status, sample=drawn, newest_first=True, with_data=False
        )
        async for record in _models(storage, found, offset):
            yield record
    elif error is not None:
        for record in await storage.ledger.search_records(master_job_id, status, error, offset=offset):
            yield record
    elif not offset:
        async for record in storage.iter_records(master_job_id, status):
            yield record
    else:
        for before in await storage.get_records_for_master_job(master_job_id, status, 1, offset - 1):
            async for record in storage.iter_records(master_job_id, status, after=before):
                yield record


async def _models(storage: Storage, found: AsyncGenerator[list[ScannedRecord]], offset: int) -> AsyncGenerator[Record]:
    number = 0
    async with aclosing(found):
        async for batch in found:
            for one in batch:
                number += 1
                record = await storage.get_record_metadata(one.record_uid) if number > offset else None
                if record is not None:
                    yield record
