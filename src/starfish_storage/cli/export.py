"""The command that writes records into a file to train on, to look at, or to hand on."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.export_form import STANDARD_OUTPUT, form_asked_for
from starfish_storage.cli.export_report import TerminalOutput, show_export, warn_of_export
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import (
    RunName,
    example,
    one_of,
    with_conditions,
    with_form_options,
    with_json,
    with_store,
)
from starfish_storage.cli.output import show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.search import indexed
from starfish_storage.errors import InvalidInputError
from starfish_storage.export import (
    ExportOptions,
    ExportProgress,
    ExportReport,
    Form,
    export,
    registered_forms,
)
from starfish_storage.export.fields import parse_fields
from starfish_storage.export.streaming import ByteStream
from starfish_storage.filtering import Sample
from starfish_storage.statuses import RECORD_STATUSES


def _help() -> str:
    endings = ", ".join(ending for kind in registered_forms() for ending in kind.endings)
    compressed = ", ".join(
        ending for kind in registered_forms() if kind.is_compressed_by_ending for ending in kind.endings
    )
    return f"""Write the records of runs into a file, or into a directory that holds a dataset.

    The ending of FILE chooses the form: {endings}. Add .gz or .zst to {compressed} to compress it. Choose other forms
    with --form. FILE appears once it is complete. - is the standard output, as JSON Lines or what --form says.
    """


_DOING = {"reading": "exporting", "writing": "writing"}


@click.command("export", help=_help(), epilog=example("export last answers.jsonl.gz --metadata"))
@click.argument("runs", nargs=-1, type=RunName(), metavar="[RUN]...")
@click.argument("destination", type=click.Path(), metavar="FILE")
@click.option("--project", metavar="ID", help="Export all runs of a project.")
@click.option(
    "--status",
    multiple=True,
    type=one_of(RECORD_STATUSES),
    help="Export records in this status; repeatable [default: completed].",
)
@click.option("--all-statuses", is_flag=True, help="Export records in every status that have data.")
@with_conditions
@click.option("--search", metavar="QUERY", help="Only records that a text search finds, as 'search' takes it.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Write only the first N that fit.")
@click.option("--with-input", is_flag=True, help="Add the input of each record, before its data.")
@click.option("--input-key", metavar="KEY", help="Under this key, not beside the data.")
@click.option("--fields", metavar="FIELD,...", help="Write only these fields, in this order: question,answer.text.")
@click.option(
    "--form",
    type=click.Choice([kind.name for kind in registered_forms()]),
    help="What to write [default: by the ending of FILE].",
)
@click.option("--metadata", is_flag=True, help="Add what the store knows of each record, under one key.")
@click.option("--metadata-key", metavar="KEY", help="That key, if not 'metadata'.")
@with_form_options(option for kind in registered_forms() for option in kind.options)
@click.option("--accepted-only", is_flag=True, help="Only records that somebody has accepted, and nobody rejected.")
@click.option("--with-annotations", is_flag=True, help="Add what people say of each record, under 'annotations'.")
@click.option("--annotations-key", metavar="KEY", help="That key, if not 'annotations'.")
@click.option("--dedupe", is_flag=True, help="Leave out rows that are equal to an earlier one.")
@click.option("--skip-damaged", is_flag=True, help="Leave out and report what is lost, damaged or does not fit.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@with_json
@with_store
def export_command(place: Place, runs: tuple[str, ...], quiet: bool, as_json: bool, **given: Any) -> int:
    """See `_help`."""
    _check_together(given)
    form = form_asked_for(given)
    report = asyncio.run(_export(place, runs, given, form, quiet=quiet or as_json))
    is_streamed = given["destination"] == STANDARD_OUTPUT
    if as_json:
        show_json(report.to_json(), to_error_stream=is_streamed)
    elif not quiet:
        show_export(report, to_error_stream=is_streamed)
    if not quiet:
        warn_of_export(report)
    return exit_codes.FAILURES if report.skipped_records else exit_codes.DONE


def _check_together(given: dict[str, Any]) -> None:
    """Refuse options that do not fit together.

    Raises:
        InvalidInputError: there are some.
    """
    for key, of in (("metadata_key", "metadata"), ("annotations_key", "with_annotations"), ("input_key", "with_input")):
        if given[key] is not None and not given[of]:
            flag, other = (f"--{name.replace('_', '-')}" for name in (key, of))
            raise InvalidInputError(f"{flag} names the key of {other}: add that, or leave this out.")
    if given["all_statuses"] and given["status"]:
        raise InvalidInputError("--all-statuses and --status do not fit together: leave one of them out.")
    if given["destination"] == STANDARD_OUTPUT and given["overwrite"]:
        raise InvalidInputError("--overwrite is for files: leave it out, or name a file in place of '-'.")


async def _export(
    place: Place, runs: tuple[str, ...], given: dict[str, Any], form: Form, *, quiet: bool
) -> ExportReport:
    if not runs and given["project"] is None:
        raise InvalidInputError(
            "no run is named: write 'starfish-storage export RUN FILE', such as 'export last answers.jsonl', or give a "
            "--project."
        )
    async with reading(place) as storage:
        found = [(await find_run(storage, run)).master_job_id for run in runs]
        asked_for = _asked_for(given, found)
        is_shown = given["destination"] == STANDARD_OUTPUT and sys.stdout.isatty()
        with counted("exporting", quiet=quiet or is_shown) as count:

            def shown(progress: ExportProgress) -> None:
                count(progress.done, progress.total, _DOING[progress.phase])

            if given["search"] is not None:
                await indexed(storage, count)
            asked_for["progress"] = shown
            return await export(storage, _destination(given["destination"], form), form, **asked_for)


def _destination(given: str, form: Form) -> str | ByteStream:
    """Return where to write.

    Raises:
        InvalidInputError: a terminal would show nothing that people can read.
    """
    if given != STANDARD_OUTPUT:
        return given
    if not sys.stdout.isatty():
        return sys.stdout.buffer
    if getattr(form.written_as, "compression", None) is not None:  # of tables, always
        raise InvalidInputError("what is written is not text: send it to a file or a program, not to a terminal.")
    return TerminalOutput()


def _asked_for(given: dict[str, Any], master_job_ids: list[str]) -> ExportOptions:
    """Return what is asked for, as `export` takes it."""
    sample, seed = given["sample"], given["sample_seed"]
    if seed is None:
        seed = given["seed"] or 0  # one seed for all that is drawn, unless the sample has its own
    return {
        "master_job_ids": master_job_ids,
        "project_id": given["project"],
        "statuses": None if given["all_statuses"] else given["status"] or ("completed",),
        "where": given["where"],
        "search": given["search"],
        "sample": None if sample is None else Sample(sample, seed),
        "accepted_only": given["accepted_only"],
        "limit": given["limit"],
        "with_input": given["input_key"] if given["input_key"] is not None else given["with_input"],
        "fields": None if given["fields"] is None else parse_fields(given["fields"]),
        "with_annotations": given["annotations_key"] or given["with_annotations"],
        "dedupe": given["dedupe"],
        "skip_damaged": given["skip_damaged"],
        "overwrite": given["overwrite"],
    }
