"""The command that writes records into a file to train on, to look at, or to hand on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.cells import Cell
from starfish_storage.cli.counting import counted
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
from starfish_storage.cli.output import say, show_fields, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.errors import InvalidInputError
from starfish_storage.export import ExportReport, Form, export, form_named, form_of, registered_forms
from starfish_storage.export.endings import form_ending_as
from starfish_storage.filtering import Sample
from starfish_storage.form_option import FormOption
from starfish_storage.models import RECORD_STATUSES

_SHOWN = 10


def _options() -> dict[str, dict[str, FormOption]]:
    """Return each option of a form as it is typed, with the forms that have it."""
    found: dict[str, dict[str, FormOption]] = {}
    for kind in registered_forms():
        for option in kind.options:
            found.setdefault(option.on_command_line, {})[kind.name] = option
    return found


def _help() -> str:
    endings = ", ".join(ending for kind in registered_forms() for ending in kind.endings)
    compressed = ", ".join(
        ending for kind in registered_forms() if kind.is_compressed_by_ending for ending in kind.endings
    )
    return f"""Write the records of runs into a file, or into a directory that holds a dataset.

    The ending of FILE chooses the form: {endings}. Add .gz or .zst to {compressed} to compress it. Choose other forms
    with --form. FILE appears once it is complete.
    """


_OPTIONS = _options()


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
    form = _form(given)
    report = asyncio.run(_export(place, runs, given, form, quiet=quiet or as_json))
    if as_json:
        show_json(report.to_json())
    elif not quiet:
        _show(report)
    if not report.records and not report.skipped_records and not quiet:
        say("No records match: 0 written.")
    return exit_codes.FAILURES if report.skipped_records else exit_codes.DONE


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
        with counted("exporting", quiet=quiet) as count:
            return await export(
                storage,
                given["destination"],
                form,
                master_job_ids=found,
                project_id=given["project"],
                statuses=None if given["all_statuses"] else given["status"] or ("completed",),
                where=given["where"],
                sample=None if given["sample"] is None else Sample(given["sample"], given["sample_seed"]),
                accepted_only=given["accepted_only"],
                with_annotations=given["annotations_key"] or given["with_annotations"],
                dedupe=given["dedupe"],
                skip_damaged=given["skip_damaged"],
                overwrite=given["overwrite"],
                progress=lambda progress: count(progress.done, progress.total),
            )


def _form(given: dict[str, Any]) -> Form:
    """Return what to write.

    Raises:
        InvalidInputError: options do not fit together, or the ending of the file says nothing.
    """
    destination, name = given["destination"], given["form"]
    options: dict[str, Any] = {}
    if given["metadata_key"] and not given["metadata"]:
        raise InvalidInputError("--metadata-key names the key of --metadata: add that, or leave this out.")
    if given["annotations_key"] and not given["with_annotations"]:
        raise InvalidInputError("--annotations-key names the key of --with-annotations: add that, or leave this out.")
    if given["all_statuses"] and given["status"]:
        raise InvalidInputError("--all-statuses and --status do not fit together: leave one of them out.")
    if given["metadata"]:
        options["metadata_key"] = given["metadata_key"] or "metadata"
    for flag, forms in _OPTIONS.items():
        value = given[flag.removeprefix("--").replace("-", "_")]
        if value is None or value is False:  # False: a flag that was not given
            continue
        name = name or _form_with(flag, destination)
        if name not in forms:
            known = " or ".join(forms)
            raise InvalidInputError(f"{flag} is for --form {known}, and not for {name}: leave one of them out.")
        options[forms[name].name] = forms[name].value(value)
    return form_of(destination, **options) if name is None else form_named(name, destination, **options)


def _form_with(flag: str, destination: str) -> str:
    """Return the form that an option means, when none is named.

    Raises:
        InvalidInputError: the ending of the file means another form.
    """
    forms = _OPTIONS[flag]
    by_ending = form_ending_as(destination)
    if by_ending is not None and by_ending.name in forms:
        return by_ending.name
    if by_ending is None:  # a directory, most likely
        return next(
            (kind.name for kind in registered_forms() if kind.is_directory and kind.name in forms), next(iter(forms))
        )
    for kind in registered_forms():
        if kind.name in forms and issubclass(kind, by_ending):  # conversations are JSON Lines, and end like them
            return kind.name
    raise InvalidInputError(
        f"{flag} is for --form {' or '.join(forms)}, and the ending of {destination!a} means {by_ending.name}: leave "
        "the option out, or choose another name."
    )


def _show(report: ExportReport) -> None:
    number = f"{report.records:,}, which somebody has accepted and nobody rejected"
    records: Cell = number if report.accepted_only else report.records
    fields: dict[str, Cell] = {"file": report.path, "form": report.form, "records": records}
    fields["bytes"] = report.bytes
    fields["chosen by"] = ", ".join(report.where) or None
    if report.sample is not None:
        fields["sample"] = f"{report.sample:,} of each run at most, with the seed {report.sample_seed}"
    fields |= {"without data": report.without_data or None, "skipped": report.skipped_records or None}
    show_fields(fields | _division(report))
    for sentence in _warnings(report):
        say(sentence)
    if report.replaced_halves:
        say(f"{report.replaced_halves:,} halves of characters became U+FFFD; the store keeps them as they were saved")
    for conflict in report.conflicts:
        say(str(conflict))
    for skipped in report.skipped[:_SHOWN]:
        say(f"left out {skipped.record_uid}: {skipped.reason}")
    if report.skipped_records > _SHOWN:
        say(f"and {report.skipped_records - _SHOWN} more; --json names them")


def _division(report: ExportReport) -> dict[str, Cell]:
    """Return how the records were divided, and what stands twice."""
    fields: dict[str, Cell] = {}
    if report.splits is not None:
        counts = [f"{name} {count:,}" for name, count in report.splits.records.items()]
        by = report.splits.split_by or f"{report.splits.group_by}, with the seed {report.splits.seed}"
        fields |= {"splits": ", ".join(counts), "divided by": by}
    if report.duplicates is not None and report.duplicates.records:
        told = "left out" if report.duplicates.left_out else "equal to an earlier record"
        fields["duplicates"] = f"{report.duplicates.records:,} {told}"
    return fields


def _warnings(report: ExportReport) -> Iterator[str]:
    """Yield what makes a test with these splits say less than it seems to."""
    if report.splits is not None and report.splits.empty and report.records:
        names = ", ".join(report.splits.empty)
        group = report.splits.group_by
        yield f"No record came into {names}: records that are equal in {group} stay together. --group-by names another."
    found = report.duplicates
    if found is None:
        return
    if found.over_splits and not found.left_out:
        yield f"{found.over_splits:,} records are equal to one of another split; --dedupe leaves them out."
    if found.inputs_over_splits:
        yield f"{found.inputs_over_splits:,} inputs have records in several splits; --group-by @input prevents that."
    if found.prompts_over_splits:
        yield f"{found.prompts_over_splits:,} prompts stand in several splits; --group-by FIELD prevents that."
