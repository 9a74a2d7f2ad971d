"""``starfish-storage import``: a file, or the store of another tool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import made
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import Cell, say, show_fields, show_json
from starfish_storage.cli.place import Place

if TYPE_CHECKING:
    from starfish_storage.imports import ImportReport

_FORMS = ("jsonl", "csv", "parquet", "starfish", "curator", "distilabel")


@click.command("import", epilog=example("import answers.jsonl --project answers"))
@click.argument("source", metavar="FILE|DIRECTORY", type=click.Path(exists=True))
@click.option(
    "--from", "form", type=click.Choice(_FORMS), help="What it is [default: by its ending, or by what is in it]."
)
@click.option("--project", metavar="ID", help="The project, made if it is not there [default: the name of the source].")
@click.option("--name", help="A name of the master job, for people [default: the name of the source].")
@click.option("--skip-bad", is_flag=True, help="Leave bad rows out, instead of importing nothing.")
@click.option("--delimiter", metavar="CHARACTER", help="Of CSV: what stands between cells [default: a comma].")
@click.option("--json-cells", is_flag=True, help="Of CSV: cells that hold a JSON object or list become that.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@with_json
@with_store
def import_command(
    place: Place, source: str, form: Any, project: str | None, quiet: bool, as_json: bool, **options: Any
) -> int:
    """Import a file, or what another tool has stored; each row becomes a record.

    FILE is JSON Lines, CSV or Parquet, plain or compressed with gzip or zstd. DIRECTORY is a store of Starfish, a
    working directory of Curator, or a cached pipeline of distilabel. Importing it again adds nothing twice, and goes
    on where an import was interrupted or killed.
    """
    try:
        report = asyncio.run(_import(place, source, form, quiet=quiet, project_id=project, **options))
    except KeyboardInterrupt:
        say("Interrupted. Say it again to go on.")
        return exit_codes.INTERRUPTED
    if as_json:
        show_json(report)
    else:
        show_fields(_fields(report))
    if report.already_imported:
        say("Already imported: nothing was added.")
    elif report.skipped:
        say(f"Left out {report.skipped} bad rows; the first: {report.bad_rows[0]}")
    return exit_codes.DONE


async def _import(place: Place, source: str, form: Any, *, quiet: bool, **options: Any) -> ImportReport:
    from starfish_storage.imports import import_path

    async with made(place, "power") as storage:
        with counted("checking", "rows", quiet=quiet) as count:
            return await import_path(
                storage,
                source.rstrip("/") or "/",
                form,
                progress=lambda progress: count(progress.rows, progress.total, progress.stage),
                **options,
            )


def _fields(report: ImportReport) -> dict[str, Cell]:
    return {
        "source": report.source,
        "form": report.form,
        "project": ", ".join(report.project_ids),
        "master job": ", ".join(report.master_job_ids),
        "records": report.records,
        "new records": report.new_records,
        "skipped": report.skipped or None,
    }
