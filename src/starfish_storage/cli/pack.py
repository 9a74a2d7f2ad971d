"""``starfish-storage pack`` and ``unpack``: change where the data of records lies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import existing, reading
from starfish_storage.cli.options import RunName, example, with_json, with_store
from starfish_storage.cli.output import say, show_report
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.maintenance.compressing import compress, refuse_compression
from starfish_storage.maintenance.packing import pack, unpack
from starfish_storage.maintenance.packing_report import PackingReport

_with_run = click.argument("run", type=RunName(), metavar="[RUN]", required=False)


@click.command("pack", epilog=example("pack last --compress"))
@_with_run
@click.option("--compress", "compressed", is_flag=True, help="Then compress the packs that nobody appends to.")
@click.option("--dry-run", is_flag=True, help="Read and check what would be moved, and change nothing.")
@with_json
@with_store
def pack_command(place: Place, run: str | None, compressed: bool, dry_run: bool, as_json: bool) -> int:
    """Put the data of RUN, or of the whole store, into packs: files of many records, one a line.

    The store may be in use. Of the whole store, new data goes into packs from then on. Run it again to continue.
    """
    return _changed(place, pack, run, compressed=compressed, dry_run=dry_run, as_json=as_json)


@click.command("unpack", epilog=example("unpack last"))
@_with_run
@click.option("--dry-run", is_flag=True, help="Read and check what would be moved, and change nothing.")
@with_json
@with_store
def unpack_command(place: Place, run: str | None, dry_run: bool, as_json: bool) -> int:
    """Put the data of RUN, or of the whole store, into a file for each record.

    The store may be in use. Of the whole store, new data goes into files from then on. Run it again to continue.
    """
    return _changed(place, unpack, run, compressed=False, dry_run=dry_run, as_json=as_json)


def _changed(
    place: Place, change: Callable[..., Any], run: str | None, *, compressed: bool, dry_run: bool, as_json: bool
) -> int:
    if not dry_run:
        place.refuse_writing()
    try:
        report = asyncio.run(_change(place, change, run, compressed=compressed, dry_run=dry_run))
    except KeyboardInterrupt:
        say("Interrupted. What was moved stays so. Run the same command again to continue.")
        return exit_codes.INTERRUPTED
    show_report(report, as_json=as_json)
    return exit_codes.FAILURES if report.left else exit_codes.DONE


async def _change(
    place: Place, change: Callable[..., Any], run: str | None, *, compressed: bool, dry_run: bool
) -> PackingReport:
    with counted("reading") as progress:
        async with reading(place) if dry_run else existing(place) as storage:
            run_id = None if run is None else (await find_run(storage, run)).master_job_id
            if compressed:
                refuse_compression(storage)
            report: PackingReport = await change(storage, run_id, dry_run=dry_run, progress=progress)
        if compressed and not dry_run:
            async with existing(place) as storage:  # anew: the pack that was appended to is nobody's now
                await compress(storage, report, progress=progress)
    report.storage_uri = place.shown
    return report
