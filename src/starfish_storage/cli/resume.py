"""``starfish-storage resume`` and ``retry``: going on with a run, and running again what failed in it."""

from __future__ import annotations

from typing import Any

import click

from starfish_storage.cli.options import Place, example, one_of, with_run, with_store
from starfish_storage.cli.running import carry_out, generation, how_options, id_of_run, read_schema, with_how
from starfish_storage.models import EXECUTION_JOB_STATUSES

_ENDED = [status for status in EXECUTION_JOB_STATUSES if status not in ("pending", "running")]

_with_function = click.argument("function", metavar="[MODULE:FUNCTION]", required=False)
_with_inputs = click.option(
    "--inputs",
    metavar="FILE.jsonl",
    type=click.Path(exists=True, dir_okay=False),
    help="The inputs [default: the file that the run was started with].",
)


@click.command("resume", epilog=example("resume last --max-cost 10"))
@with_run
@_with_function
@_with_inputs
@with_how
@with_store
def resume_command(place: Place, run: str, function: str | None, inputs: str | None, **given: Any) -> int:
    """Go on with a run that was interrupted or killed: finished inputs are passed over.

    The function and the options are those that the run was started with, where none are given.
    """
    return _go_on("resume", place, run, function, inputs, given, {})


@click.command("retry", epilog=example("retry last --error-type RateLimitError"))
@with_run
@_with_function
@click.option("--status", multiple=True, type=one_of(_ENDED), help="What is run again; repeatable [default: failed].")
@click.option("--error", metavar="TEXT", help="Only what failed with this in its error, in whatever case.")
@click.option("--error-type", metavar="CLASS", help="Only what failed with this class of exception.")
@click.option("--job", multiple=True, metavar="ID", help="Only this execution job; repeatable.")
@_with_inputs
@with_how
@with_store
def retry_command(
    place: Place,
    run: str,
    function: str | None,
    inputs: str | None,
    status: tuple[str, ...],
    error: str | None,
    error_type: str | None,
    job: tuple[str, ...],
    **given: Any,
) -> int:
    """Run again the inputs of a run that failed; stored steps are not paid for again."""
    where = generation().Where(
        statuses=status or ("failed",), error_text=error, error_type=error_type, job_ids=job or None
    )
    return _go_on("retry", place, run, function, inputs, given, {"where": where})


def _go_on(
    call: str,
    place: Place,
    run: str,
    function: str | None,
    inputs: str | None,
    given: dict[str, Any],
    more: dict[str, Any],
) -> int:
    api = generation()
    arguments = more | how_options(given)
    loaded = None if function is None else api.load_function(function)
    if inputs is not None:
        arguments["inputs"] = api.read_json_lines(inputs, given["on_bad_input"] or "stop")
    if given["schema"] is not None:
        arguments["output_schema"] = read_schema(given["schema"])
    run_id = id_of_run(place, run)
    return carry_out(
        place, run_id, given, lambda storage: getattr(api, call)(storage, run_id, loaded, **arguments), is_new=False
    )
