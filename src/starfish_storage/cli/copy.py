"""``starfish-storage copy``: copy projects and runs from one store into another of any kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import is_there, made, reading
from starfish_storage.cli.options import example, with_json, with_layout, with_store
from starfish_storage.cli.output import show_report, show_text
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.copying import CopyReport, copy
from starfish_storage.copying.engine import refuse_places
from starfish_storage.interface import Layout, Storage
from starfish_storage.opening import open_storage
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import as_uri, file_uri_of_path


@click.command("copy", epilog=example("copy postgresql://me@db/data?schema=shared --run last"))
@click.argument("target", metavar="TARGET")
@click.option("--project", multiple=True, metavar="ID", help="Only this project, with all of its runs; repeatable.")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Only this run, with its project; repeatable.")
@click.option("--data-uri-to", metavar="URI|PATH", help="Where the data of TARGET lies or shall lie, if elsewhere.")
@with_layout
@click.option("--skip-damaged", is_flag=True, help="Copy records even if their data is lost or damaged.")
@click.option("--dry-run", is_flag=True, help="Compare the stores, and write nothing.")
@with_json
@with_store
def copy_command(
    place: Place,
    target: str,
    project: tuple[str, ...],
    runs: tuple[str, ...],
    data_uri_to: str | None,
    layout: Layout | None,
    skip_damaged: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Copy projects and runs from the store into TARGET, another store of any kind, which is made if missing.

    Everything arrives as it is: records and their data, inputs, attempts, costs and paid steps. A copied run can be
    resumed in TARGET. Run the command again to continue an interrupted copy, or to copy what is new.
    """
    to = Place(as_uri(target), None if data_uri_to is None else as_uri(data_uri_to), layout=layout)
    report = asyncio.run(_copy(place, to, project, runs, skip_damaged=skip_damaged, dry_run=dry_run))
    if dry_run and not as_json:
        show_text(f"Dry run; this would happen: {report}")
    else:
        show_report(report, as_json=as_json)
    return exit_codes.FAILURES if report.lost else exit_codes.DONE


async def _copy(
    source: Place,
    target: Place,
    projects: tuple[str, ...],
    runs: tuple[str, ...],
    *,
    skip_damaged: bool,
    dry_run: bool,
) -> CopyReport:
    async with reading(source) as from_:
        refuse_places(from_, open_storage(target.uri, target.data_uri))  # before the target is made
        ids = [(await find_run(from_, run)).master_job_id for run in runs]
        async with _opened(target, dry_run=dry_run) as to:
            with counted("comparing" if dry_run else "copying") as progress:
                report = await copy(
                    from_,
                    to,
                    project_ids=projects,
                    master_job_ids=ids,
                    skip_damaged=skip_damaged,
                    dry_run=dry_run,
                    progress=progress,
                )
    report.source, report.target = source.shown, target.shown
    return report


@asynccontextmanager
async def _opened(place: Place, *, dry_run: bool) -> AsyncGenerator[Storage]:
    """Open the target. A dry run makes no store: an empty temporary one stands in for it."""
    if not dry_run or await is_there(place):
        async with made(place, "power") as storage:
            yield storage
        return
    with TemporaryDirectory() as directory:
        async with LocalStorage(file_uri_of_path(f"{directory}/store")) as storage:
            yield storage
