"""``starfish-storage check``: whether a model can be trained on a file of conversations."""

from __future__ import annotations

from typing import Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.options import example, with_json, with_limit
from starfish_storage.cli.output import say, show_fields, show_json, show_list
from starfish_storage.cli.tables import Column
from starfish_storage.conversations.shapes import conversation_shapes
from starfish_storage.imports.checking import CheckReport, PlacedFault, check_file
from starfish_storage.row_files.forms import FILE_FORMS
from starfish_storage.wording import number_of

_COLUMNS = (Column("row", whole=False), Column("at", whole=False), Column("fault", whole=False))


@click.command("check", epilog=example("check train.jsonl --form openai"))
@click.argument("file", metavar="FILE", type=click.Path(exists=True))
@click.option(
    "--form",
    "shape",
    type=click.Choice([shape.name for shape in conversation_shapes()]),
    help="The form of the rows [default: that of most].",
)
@click.option(
    "--from",
    "form",
    type=click.Choice([form.name for form in FILE_FORMS]),
    help="The form of the file [default: by the ending of FILE].",
)
@with_limit("faults")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@with_json
def check_command(file: str, shape: Any, form: Any, limit: int, quiet: bool, as_json: bool) -> int:
    """Check that a model can be trained on FILE: every row has its messages, in their order, and every call its answer.

    FILE is a file of rows, or a directory, zip or tar file of a dataset, of which all splits are checked.

    The exit status is 0 if all rows are right, and 1 if one has a fault.
    """
    with counted("checking", "rows", quiet=quiet or as_json) as count:
        report = check_file(file, shape, form, most_faults=limit or None, progress=lambda rows: count(rows, None))
    if as_json:
        show_json(report)
    elif report.faults:
        _show(report)
    else:
        show_fields({"file": report.path, "form": report.form, "rows": report.rows})
    return exit_codes.FAILURES if report.faults else exit_codes.DONE


def _show(report: CheckReport) -> None:
    show_list(_COLUMNS, report.first_faults, _cells)
    left = report.faults - len(report.first_faults)
    more = f", of which {left:,} are not shown: --limit 0 shows all" if left else ""
    rows = number_of(report.rows, "row")
    say(
        f"{report.faulty_rows:,} of {rows} of the form {report.form} cannot be trained on: "
        f"{number_of(report.faults, 'fault')}{more}."
    )
    if report.unlike:
        lacking = f"{report.unlike} {'does' if report.unlike == 1 else 'do'} not have it"
        say(f"The form {report.form} comes closest to the first rows, though {lacking}: --form names another.")


def _cells(fault: PlacedFault) -> tuple[str, str, str]:
    return fault.place, fault.path, fault.reason
