"""What `generate`, `resume` and `retry` share: the options of a run, carrying it out, and reporting its end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.cells import Cell, Money
from starfish_storage.cli.log_lines import is_json
from starfish_storage.cli.opening import existing, made, reading
from starfish_storage.cli.output import say, show_fields, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import Storage
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.wording import failed_again

if TYPE_CHECKING:
    from starfish_storage.generation import Run

Command = TypeVar("Command", bound=Callable[..., Any])
Call = Callable[[Storage], Awaitable["Run"]]


_HOW = (
    click.option(
        "--max-concurrency",
        type=click.IntRange(min=1),
        metavar="N",
        help="Calls at a time, of all processes [default: 10].",
    ),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        metavar="N",
        help="Retry a failed call this often [default: 2].",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Time limit of one call, in seconds.",
    ),
    click.option(
        "--max-cost", type=click.FloatRange(min=0), metavar="COST", help="Stop when the run has cost this much."
    ),
    click.option(
        "--max-failures",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N|SHARE|inf",
        help="Stop when so many inputs, or such a share, have failed [default: the first 20, or 50 in a row, alike].",
    ),
    click.option(
        "--limit", metavar="NAME", help="The limit that runs of the store share; --rpm and --tpm are its rates then."
    ),
    click.option("--rpm", type=click.FloatRange(min=1), metavar="N", help="Requests a minute."),
    click.option("--tpm", type=click.FloatRange(min=1), metavar="N", help="Tokens a minute."),
    click.option(
        "--priority",
        type=click.IntRange(1, 1000),
        metavar="N",
        help="The weight of its share while several runs use one --limit [default: 1, or what it was].",
    ),
    click.option(
        "--longest-limit-wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Wait so long for a provider that limits calls, without using up retries [default: 3600].",
    ),
    click.option(
        "--patience",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Wait so long for a store that takes nothing, with what was paid for [default: 3600].",
    ),
    click.option(
        "--spool",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="A file in which results of the run wait [default: those on this machine].",
    ),
    click.option("--schema", metavar="FILE.json|MODULE:MODEL", help="The schema that each output must fit."),
    click.option("--accept", metavar="MODULE:FUNCTION", help="A function that decides which outputs are kept."),
    click.option(
        "--unique-by",
        multiple=True,
        metavar="FIELD",
        help="Outputs that agree in FIELD are duplicates; repeatable.",
    ),
    click.option(
        "--reask",
        type=click.Choice(["auto", "never", "last", "all"]),
        help="Which stored replies of steps to ask for again after a failure [default: auto].",
    ),
    click.option(
        "--reuse",
        type=click.Choice(["run", "project", "store"]),
        help="Where to look for answers to recorded requests; run: only at the same input [default: run].",
    ),
    click.option(
        "--replay",
        type=click.Choice(["off", "only"]),
        help="With only, send nothing: a recorded request whose answer is not stored is an error [default: off].",
    ),
    click.option(
        "--on-empty",
        type=click.Choice(["fail", "skip"]),
        help="What a call that returns nothing is: a failure, or an input without output [default: fail].",
    ),
    click.option(
        "--retry-on-misfit/--no-retry-on-misfit",
        default=None,
        help="Retry a call whose output does not fit the schema.",
    ),
    click.option(
        "--on-bad-input",
        type=click.Choice(["stop", "skip"]),
        help="What to do about a bad line of the inputs [default: stop].",
    ),
    click.option(
        "--allow-secrets", is_flag=True, help="Store inputs even if a field such as token holds what looks like a key."
    ),
    click.option(
        "--on-change",
        type=click.Choice(["refuse", "continue", "fork", "match"]),
        help="What to do if the run has another configuration or other inputs [default: refuse].",
    ),
    click.option("--strict-code", is_flag=True, help="Refuse code that has changed since the run was last called."),
    click.option(
        "--durability",
        type=click.Choice(["power", "process"]),
        default="power",
        show_default=True,
        help="What stored results survive: a power cut, or only the end of the process.",
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "lines", "quiet"]),
        default="auto",
        show_default=True,
        help="How progress is shown.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show only errors, and how to continue."),
    click.option("--json", "as_json", is_flag=True, help="Print the run at the end as JSON, for programs."),
)
"""The options of how to carry out a run."""


def with_how(command: Command) -> Command:
    """Give a command the options of how to carry out a run."""
    for option in reversed(_HOW):
        command = option(command)
    return command


def how_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the given options of `with_how` as the functions of `generation` take them."""
    from starfish_storage.generation import load_function

    accept, unique_by, retries, schema = given["accept"], list(given["unique_by"]), given["retries"], given["schema"]
    options = {
        "output_schema": None if schema is None else _schema(schema),
        "max_concurrency": given["max_concurrency"],
        "retry": None if retries is None else retries + 1,  # there it is how often a call is tried at all
        "timeout": given["timeout"],
        "max_cost": given["max_cost"],
        "max_failures": given["max_failures"],
        "limit": given["limit"],
        "rpm": given["rpm"],
        "tpm": given["tpm"],
        "priority": given["priority"],
        "longest_limit_wait": given["longest_limit_wait"],
        "patience": given["patience"],
        "spool": given["spool"],
        "accept": None if accept is None else load_function(accept),
        "unique_by": unique_by or None,
        "on_empty": given["on_empty"],
        "retry_on_misfit": given["retry_on_misfit"],
        "on_bad_input": given["on_bad_input"],
        "allow_secrets": given["allow_secrets"] or None,  # on resuming: as the run was started
        "reask": given["reask"],
        "on_change": given["on_change"],
        "strict_code": given["strict_code"] or None,
        "reuse": given["reuse"],
        "replay": given["replay"],
        "progress": "quiet" if given["quiet"] else "log" if is_json() else given["progress"],
    }
    return {name: value for name, value in options.items() if value is not None}


def read_config(path: str) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        InvalidInputError: the file does not hold one.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found: object = json.load(file)
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"{path!r} is not JSON, at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path!r} does not exist.") from error
    except OSError as error:
        raise InvalidInputError(f"{path!r} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "it is not UTF-8"
        raise InvalidInputError(f"{path!r} cannot be read as JSON: {reason}.") from error
    if not isinstance(found, dict):
        raise InvalidInputError(f"{path!r} must hold a JSON object, not a value of type {type(found).__name__}.")
    return cast("dict[str, Any]", found)


def _schema(given: str) -> Any:
    """Return the JSON Schema of a file, or the pydantic model that is named."""
    from starfish_storage.generation import load_function

    return read_config(given) if given.endswith(".json") else load_function(given)


def id_of_run(place: Place, given: str) -> str:
    """Return the id of the run that is meant."""

    async def found() -> str:
        async with reading(place) as storage:
            return (await find_run(storage, given)).master_job_id

    return asyncio.run(found())


def carry_out(
    place: Place, run_id: str, given: dict[str, Any], call: Call, *, is_new: bool, function: str | None = None
) -> int:
    """Carry out a run, report its end, and return the exit status.

    Args:
        place: the store.
        run_id: the run.
        given: the options of `with_how`.
        call: starts or continues the run.
        is_new: make the store if it is missing.
        function: the function that was given in place of the stored one, to be given again.
    """
    from starfish_storage.telemetry.logs import about

    with about(run_id):
        return _carry_out(place, run_id, given, call, is_new=is_new, function=function)


def _carry_out(
    place: Place, run_id: str, given: dict[str, Any], call: Call, *, is_new: bool, function: str | None
) -> int:
    words = (run_id,) if function is None else (run_id, function)
    place.refuse_writing()
    quiet, as_json = given["quiet"], given["as_json"]
    try:
        # What the user's function prints must not get between the JSON.
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            run, broken = asyncio.run(
                _called(place, None if quiet else run_id, given["durability"], call, is_new=is_new)
            )
    except KeyboardInterrupt:
        say(f"Interrupted. {_how_to_go_on(place, words)}")
        return exit_codes.INTERRUPTED
    except SystemExit as error:
        if error.code == exit_codes.TERMINATED:
            say(f"Terminated. {_how_to_go_on(place, words)}")
        raise
    run_id = run.master_job_id  # that of a fork, perhaps
    words = (run_id, *words[1:])
    if as_json:
        show_json(run)
    elif not quiet:
        show_fields(_fields(run))
    if quiet and run.kept_before:  # else the progress has said it
        say(f"Run {run.master_job_id}: {failed_again(run.kept_before)}")
    status = exit_codes.of_run(run.status)
    if status == exit_codes.STOPPED:
        reason = "" if run.stop_reason is None else f" ({run.stop_reason})"
        others = " Other workers go on with the run." if run.status == "running" else ""
        say(f"Stopped before the end{reason}.{others} {_how_to_go_on(place, words)}")
    elif status == exit_codes.FAILURES:
        say(f"What failed: {place.command('errors', run_id)}")
        if broken:
            again = place.command("retry", run_id, "--recheck")
            say(f"A check itself failed. When it is mended, run it over what is stored, which costs nothing: {again}")
        say(f"Run failed inputs again: {place.command('retry', *words)}")
    return status


async def _called(
    place: Place, shown: str | None, durability: Durability, call: Call, *, is_new: bool
) -> tuple[Run, bool]:
    """Return how a run stands when it has been carried out, and whether it has outputs that broke a check."""
    from starfish_storage.generation.continuing import command_said_elsewhere

    with command_said_elsewhere():
        async with (made if is_new else existing)(place, durability) as storage:
            # Not before a refusal. Where nothing can be written, the call is about to refuse, and to say why.
            if shown is not None and (not place.is_local or os.access(place.path, os.W_OK)):
                say(f"Run {shown}")
            run = await call(storage)
            if not run.records.get("failed"):
                return run, False
            broken = await storage.ledger.search_records(run.master_job_id, ["failed"], "check: ", limit=1)
            return run, bool(broken)


def _how_to_go_on(place: Place, words: tuple[str, ...]) -> str:
    return f"Continue with: {place.command('resume', *words)}"


def _fields(run: Run) -> dict[str, Cell]:
    """Return what is shown of a run at its end."""
    found: dict[str, Any] = {name.replace("_", " "): value for name, value in run.to_json().items()}
    found["cost"], found["kept before"] = Money(run.cost), run.kept_before or None
    renamed = {"master job id": "run", "project id": "project"}
    return {renamed.get(name, name): value for name, value in found.items()}
