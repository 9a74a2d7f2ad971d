"""``starfish-storage records``: the records of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import NUMBER_OF_ROWS, example, one_of, with_json, with_limit, with_run, with_store
from starfish_storage.cli.output import Listing, say
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column
from starfish_storage.interface import Storage
from starfish_storage.models import RECORD_STATUSES, Record
from starfish_storage.wording import number_of

RECORD_COLUMNS = (Column("record"), Column("status"), Column("ended", optional=True), Column("error", whole=False))


def record_cells(record: Record) -> Sequence[Cell]:
    """Return what a row of a table shows, by `RECORD_COLUMNS`."""
    return record.record_uid, record.status, record.end_time, record.error_message


@click.command("records", epilog=example("records last --status failed --error timeout"))
@with_run
@click.option("--status", multiple=True, type=one_of(RECORD_STATUSES), help="Only in this status; repeatable.")
@click.option("--error", metavar="TEXT", help="Only records whose error contains TEXT, in any case.")
@with_limit("records")
@click.option("--offset", type=NUMBER_OF_ROWS, metavar="N", default=0, help="Skip this many records first.")
@with_json
@with_store
def records_command(
    place: Place, run: str, status: tuple[str, ...], error: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """List the records of a run, newest first."""
    if asyncio.run(_list(place, run, (status, error, offset), limit, as_json=as_json)):
        say(
            f"There are more than {number_of(limit, 'record')}; --limit 0 shows all, "
            f"--offset {offset + limit} the next."
        )


async def _list(
    place: Place, run: str, wanted: tuple[tuple[str, ...], str | None, int], limit: int, *, as_json: bool
) -> bool:
    """Print the records; return whether there are more than the limit."""
    async with reading(place) as storage:
        job = await find_run(storage, run)
        listing = Listing(RECORD_COLUMNS, record_cells, as_json=as_json)
        number = 0
        async for record in _records(storage, job.master_job_id, *wanted):
            if limit and number == limit:
                break
            listing.add(record)
            number += 1
        else:
            listing.end()
            return False
        listing.end()
        return True


async def _records(
    storage: Storage, master_job_id: str, statuses: tuple[str, ...], error: str | None, offset: int
) -> AsyncGenerator[Record]:
    """Yield records from an offset on, without ever holding all of them, unless they are searched."""
    if error is not None:
        for record in await storage.ledger.search_records(master_job_id, statuses, error, offset=offset):
            yield record
        return
    before: Record | None = None
    if offset:
        found = await storage.get_records_for_master_job(master_job_id, statuses, 1, offset - 1)
        if not found:
            return
        before = found[0]
    async for record in storage.iter_records(master_job_id, statuses, after=before):
        yield record
