"""``starfish-storage archive``: write one run into one file."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_run, with_store
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.copying import ArchiveReport, archive


@click.command("archive", epilog=example("archive last run.zip"))
@with_run
@click.argument("file", metavar="FILE.zip", type=click.Path(dir_okay=False))
@click.option("--overwrite", is_flag=True, help="Replace FILE.zip if it exists.")
@click.option("--skip-damaged", is_flag=True, help="Leave out data that is lost or damaged.")
@with_json
@with_store
def archive_command(place: Place, run: str, file: str, overwrite: bool, skip_damaged: bool, as_json: bool) -> int:
    """Write a whole run into one zip file: records and their data, inputs, attempts, costs and paid steps."""
    report = asyncio.run(_archive(place, run, file, overwrite=overwrite, skip_damaged=skip_damaged))
    show_report(report, as_json=as_json)
    return exit_codes.FAILURES if report.copied.lost else exit_codes.DONE


async def _archive(place: Place, run: str, file: str, *, overwrite: bool, skip_damaged: bool) -> ArchiveReport:
    async with reading(place) as storage:
        job = await find_run(storage, run)
        with counted("archiving") as progress:
            return await archive(
                storage, job.master_job_id, file, overwrite=overwrite, skip_damaged=skip_damaged, progress=progress
            )
