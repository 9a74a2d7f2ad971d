"""``starfish-storage import``: a file, or the store of another tool."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.cells import Cell
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import made
from starfish_storage.cli.options import example, with_form_options, with_json, with_store_to_make
from starfish_storage.cli.output import say, show_fields, show_json
from starfish_storage.cli.place import Place
from starfish_storage.errors import InvalidInputError
from starfish_storage.imports import ImportReport, import_path
from starfish_storage.imports.recognising import FORMS, TOOL_FORMS, recognise
from starfish_storage.row_files.forms import FILE_FORMS
from starfish_storage.wording import beginning, number_of


def _help() -> str:
    files = ", ".join(form.title for form in FILE_FORMS)
    others = "; ".join(form.title for form in TOOL_FORMS)
    return f"""Import a file, or what another tool has stored; each row becomes a record.

    FILE holds rows: {files}, plain or compressed. Or FILE or DIRECTORY is what another program wrote: {others}.

    Importing the same source again adds nothing. If an import was interrupted or killed, it continues there.
    """


@click.command("import", help=_help(), epilog=example("import answers.jsonl --project answers"))
@click.argument("source", metavar="FILE|DIRECTORY", type=click.Path(exists=True))
@click.option(
    "--from",
    "form",
    type=click.Choice([form.name for form in FORMS]),
    help="The form of the source [default: recognised].",
)
@click.option("--project", metavar="ID", help="The project, made if missing [default: the name of the source].")
@click.option("--name", help="A name of the run, for people [default: the name of the source].")
@click.option("--skip-bad", is_flag=True, help="Skip bad rows, instead of importing nothing.")
@with_form_options(option for form in FORMS for option in form.options)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@with_json
@with_store_to_make
def import_command(
    place: Place, source: str, form: Any, project: str | None, quiet: bool, as_json: bool, **options: Any
) -> int:
    """See `_help`."""
    _refuse_options_of_others(form or recognise(source.rstrip("/") or "/"), options)
    try:
        report = asyncio.run(_import(place, source, form, quiet=quiet, project_id=project, **options))
    except KeyboardInterrupt:
        say("Interrupted. Run the same command again to continue.")
        return exit_codes.INTERRUPTED
    if as_json:
        show_json(report)
    else:
        show_fields(_fields(report))
    if report.already_imported:
        say("Already imported: nothing was added.")
    elif report.skipped:
        say(f"Left out {number_of(report.skipped, 'bad row')}; the first: {report.bad_rows[0]}")
    return exit_codes.DONE


def _refuse_options_of_others(name: str, given: dict[str, Any]) -> None:
    """Refuse options that the form of the source does not have.

    Raises:
        InvalidInputError: one was given.
    """
    own = {option.name for form in FORMS if form.name == name for option in form.options}
    for form in FORMS:
        for option in form.options:
            if option.name not in own and given[option.on_command_line[2:].replace("-", "_")]:
                flag = option.on_command_line
                raise InvalidInputError(f"{flag} is for --from {form.name}, and not for {name}: leave one of them out.")


async def _import(place: Place, source: str, form: Any, *, quiet: bool, **options: Any) -> ImportReport:
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
        "notes": "; ".join(beginning(note, 60) for note in report.notes) or None,
        "conversations": report.conversations,
        "project": ", ".join(report.project_ids),
        "run": ", ".join(report.master_job_ids),
        "records": report.records,
        "new records": report.new_records,
        "skipped": report.skipped or None,
    }
