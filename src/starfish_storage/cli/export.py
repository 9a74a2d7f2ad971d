"""The command that writes records into a file to train on, to look at, or to hand on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import RunName, example, one_of, with_json, with_store
from starfish_storage.cli.output import Cell, say, show_fields, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.errors import InvalidInputError
from starfish_storage.models import RECORD_STATUSES

if TYPE_CHECKING:
    from starfish_storage.export import ExportReport, Form

_FORMS = ("jsonl", "csv", "messages", "parquet", "arrow", "huggingface")
_SHOWN = 10


@click.command("export", epilog=example("export last answers.jsonl.gz --metadata"))
@click.argument("runs", nargs=-1, type=RunName(), metavar="[RUN]...")
@click.argument("destination", type=click.Path(), metavar="FILE")
@click.option("--project", metavar="ID", help="The records of all runs of a project.")
@click.option("--status", multiple=True, type=one_of(RECORD_STATUSES), help="[default: completed]; repeatable.")
@click.option("--all-statuses", is_flag=True, help="Records of every status that have data.")
@click.option("--form", type=click.Choice(_FORMS), help="What to write [default: by the ending of FILE].")
@click.option("--metadata", is_flag=True, help="Add what the store knows of each record, under one key.")
@click.option("--metadata-key", metavar="KEY", help="That key, if not 'metadata'.")
@click.option("--messages", metavar="ROLE=FIELD,...", help="Conversations: user=question,assistant=answer.")
@click.option("--system", metavar="TEXT", help="The system message of every conversation.")
@click.option("--split", metavar="NAME=SHARE,...", help="Splits of a dataset: train=0.9,test=0.1.")
@click.option("--split-by", metavar="FIELD", help="The field that names a record's split.")
@click.option("--seed", type=int, help="Draw the splits otherwise [default: 0].")
@click.option("--skip-damaged", is_flag=True, help="Leave out what is lost, damaged or does not fit, and say so.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@with_json
@with_store
def export_command(place: Place, runs: tuple[str, ...], quiet: bool, as_json: bool, **given: Any) -> int:
    """Write the records of runs into a file: JSON Lines, CSV, Parquet, Arrow, conversations, or a dataset directory.

    FILE ends in .jsonl or .csv, with .gz or .zst behind it to compress it, in .parquet or .arrow; or say --form. It is
    there once it is whole.
    """
    form = _form(given)
    report = asyncio.run(_export(place, runs, given, form, quiet=quiet or as_json))
    if as_json:
        show_json(report.to_json())
    elif not quiet:
        _show(report)
    return exit_codes.FAILURES if report.skipped_records else exit_codes.DONE


async def _export(
    place: Place, runs: tuple[str, ...], given: dict[str, Any], form: Form, *, quiet: bool
) -> ExportReport:
    from starfish_storage.export import export

    if not runs and given["project"] is None:
        raise InvalidInputError(
            "no run is named: write 'starfish-storage export RUN FILE', such as 'export last answers.jsonl', or name a "
            "--project."
        )
    async with existing(place) as storage:
        found = [(await find_run(storage, run)).master_job_id for run in runs]
        with counted("exporting", quiet=quiet) as count:
            return await export(
                storage,
                given["destination"],
                form,
                master_job_ids=found,
                project_id=given["project"],
                statuses=None if given["all_statuses"] else given["status"] or ("completed",),
                skip_damaged=given["skip_damaged"],
                overwrite=given["overwrite"],
                progress=lambda progress: count(progress.done, progress.total),
            )


def _form(given: dict[str, Any]) -> Form:
    """Return what to write.

    Raises:
        InvalidInputError: options do not fit together, or the ending of the file says nothing.
    """
    from starfish_storage.export import ChatMessages, compression_of, form_named, form_of

    destination, name = given["destination"], given["form"]
    options: dict[str, Any] = {}
    if given["metadata"] or given["metadata_key"]:
        options["metadata_key"] = given["metadata_key"] or "metadata"
    name = _implied(name, "messages", "--messages", given["messages"])
    name = _implied(name, "messages", "--system", given["system"])
    for option in ("split", "split_by", "seed"):
        name = _implied(name, "huggingface", f"--{option.replace('_', '-')}", given[option])
    if name == "messages":
        options |= {"compression": compression_of(destination), "system": given["system"]}
        return ChatMessages.parsed(given["messages"] or "", **options)
    if name == "huggingface":
        options |= _split_options(given)
    return form_of(destination, **options) if name is None else form_named(name, destination, **options)


def _implied(name: str | None, form: str, option: str, value: object) -> str | None:
    """Return the form that an option is for, if it was given, else the one there was."""
    if value is None:
        return name
    if name not in (None, form):
        raise InvalidInputError(f"{option} is for --form {form}, and not for {name}: leave one of them out.")
    return form


def _split_options(given: dict[str, Any]) -> dict[str, Any]:
    from starfish_storage.export import parse_splits

    return {
        "splits": None if given["split"] is None else parse_splits(given["split"]),
        "split_by": given["split_by"],
        "seed": given["seed"] or 0,
    }


def _show(report: ExportReport) -> None:
    fields: dict[str, Cell] = {"file": report.path, "form": report.form, "records": report.records}
    fields["bytes"] = report.bytes
    fields |= {"without data": report.without_data or None, "skipped": report.skipped_records or None}
    show_fields(fields)
    for conflict in report.conflicts:
        say(str(conflict))
    for skipped in report.skipped[:_SHOWN]:
        say(f"left out {skipped.record_uid}: {skipped.reason}")
    if report.skipped_records > _SHOWN:
        say(f"and {report.skipped_records - _SHOWN} more; --json names them")
