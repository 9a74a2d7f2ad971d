"""``starfish-storage resume`` and ``retry``: continue a run, and run again what failed in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

import click

from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, one_of, with_run, with_store_to_write
from starfish_storage.cli.place import Place
from starfish_storage.cli.running import carry_out, how_options, id_of_run, with_how
from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationJob
from starfish_storage.runs import UNFINISHED, Replace
from starfish_storage.statuses import EXECUTION_JOB_STATUSES

if TYPE_CHECKING:
    from starfish_storage.generation import Run, Where

_ENDED = [status for status in EXECUTION_JOB_STATUSES if status not in UNFINISHED]
_FAILED = ("failed",)
_BATCH = 1000

_with_function = click.argument("function", metavar="[MODULE:FUNCTION]", required=False)


@click.command("resume", epilog=example("resume last --max-cost 10"))
@with_run
@_with_function
@click.option(
    "--inputs",
    metavar="INPUTS",
    type=click.Path(exists=True),
    help="The inputs [default: the file or directory that the run was started with].",
)
@with_how
@with_store_to_write
def resume_command(place: Place, run: str, function: str | None, inputs: str | None, **given: Any) -> int:
    """Continue a run that was interrupted or killed. Finished inputs are skipped.

    What you do not give, the function or an option, is as the run was started.
    """
    from starfish_storage.generation import load_function, read_inputs, resume

    arguments = how_options(given)
    run_id = id_of_run(place, run)
    called = _stored_function(place, "resume", run_id) if function is None else load_function(function)
    read = None if inputs is None else read_inputs(inputs, given["on_bad_input"] or "stop")
    return carry_out(
        place,
        run_id,
        given,
        lambda storage: resume(storage, run_id, called, inputs=read, **arguments),
        is_new=False,
        function=function,
    )


@click.command("retry", epilog=example("retry last --error-type RateLimitError"))
@with_run
@_with_function
@click.option(
    "--status",
    multiple=True,
    type=one_of(_ENDED),
    help="Run inputs in this status again; repeatable [default: failed, also with a failed or lost output].",
)
@click.option("--error", metavar="TEXT", help="Only inputs whose error contains TEXT, in any case.")
@click.option("--error-type", metavar="CLASS", help="Only inputs that failed with this class of exception.")
@click.option("--input", "input_ids", multiple=True, metavar="ID", help="Only the input with this id; repeatable.")
@click.option("--recheck", is_flag=True, help="Call no function; run the checks over the stored outputs.")
@click.option("--forget", multiple=True, metavar="NAME", help="Ask for the steps of this name again; repeatable.")
@click.option(
    "--replace",
    type=one_of(["better", "always"]),
    default="better",
    show_default=True,
    help="Whether a failed attempt leaves a good outcome alone.",
)
@click.option("--job", "job_ids", multiple=True, hidden=True)  # the former name of --input, until 1.0
@with_how
@with_store_to_write
def retry_command(
    place: Place,
    run: str,
    function: str | None,
    status: tuple[str, ...],
    error: str | None,
    error_type: str | None,
    input_ids: tuple[str, ...],
    job_ids: tuple[str, ...],
    forget: tuple[str, ...],
    recheck: bool,
    replace: Replace,
    **given: Any,
) -> int:
    """Run the inputs of a run again that failed or have a failed output. Stored steps are not paid for again."""
    from starfish_storage.generation import Where, load_function, retry

    ids = input_ids + job_ids
    if recheck:
        if function or status or error or error_type or ids or forget or replace != "better":
            raise InvalidInputError(
                "--recheck calls no function and looks at all outputs: leave out the function and what selects inputs."
            )
        checked_id, how = id_of_run(place, run), how_options(given)
        return carry_out(
            place, checked_id, given, lambda storage: retry(storage, checked_id, recheck=True, **how), is_new=False
        )
    where = Where(statuses=status or _FAILED, error_text=error, error_type=error_type, job_ids=ids or None)
    arguments = how_options(given)
    run_id = id_of_run(place, run)
    called = _stored_function(place, "retry", run_id) if function is None else load_function(function)

    async def chosen(storage: Storage) -> Run:
        await _refuse_no_match(storage, run_id, where)
        return await retry(storage, run_id, called, where=where, forget=forget, replace=replace, **arguments)

    return carry_out(place, run_id, given, chosen, is_new=False, function=function)


def _stored_function(place: Place, command: str, run_id: str) -> Callable[..., Any] | None:
    """Return the function that a run was started with; None of one that is about to be refused.

    It is imported before there is an event loop: in one, `asyncio.run` in the file would fail before it is refused.
    """
    from starfish_storage.generation.loading import load_function_of_run

    async def name() -> object:
        async with reading(place) as storage:
            job = await storage.get_master_job(run_id)
            if job is None or (command == "resume" and job.status not in (*UNFINISHED, "cancelled")):
                return None
            return (await storage.get_request_config(job.request_config_ref)).get("function")

    found = asyncio.run(name())
    return load_function_of_run(found, place.command(command, run_id)) if isinstance(found, str) else None


async def _refuse_no_match(storage: Storage, run_id: str, where: Where) -> None:
    """Refuse conditions that no input meets, if the run has nothing else to do: a misspelt one would go unnoticed.

    Raises:
        InvalidInputError: so it is; names the errors that there are.
    """
    if where.error_text is None and where.error_type is None and where.job_ids is None:
        return
    if await storage.list_execution_jobs(run_id, UNFINISHED, limit=1):
        return
    async for job in _jobs(storage, run_id, where):
        if await _meets(storage, job, where):
            return
    errors = ", ".join(f"{group.kind} {group.inputs:,}" for group in await storage.ledger.list_errors(run_id))
    meant = " or ".join(where.statuses)
    raise InvalidInputError(
        f"no {meant} input of run {run_id!r} matches; {f'the errors are: {errors}' if errors else 'it has no errors'}. "
        "Nothing was changed."
    )


async def _jobs(storage: Storage, run_id: str, where: Where) -> AsyncGenerator[GenerationJob]:
    """Yield the inputs of a status; with those that failed also those of which an output failed, with its error."""
    offset = 0
    while batch := await storage.list_execution_jobs(run_id, where.statuses, limit=_BATCH, offset=offset):
        for job in batch:
            yield job
        offset += len(batch)
    if "failed" not in where.statuses:
        return
    async for record in storage.iter_records(run_id, _FAILED):
        job = await storage.get_execution_job(record.job_id)
        if job is not None:
            yield job.model_copy(update={"error_message": f"{job.error_message or ''} {record.error_message or ''}"})


async def _meets(storage: Storage, job: GenerationJob, where: Where) -> bool:
    if where.job_ids is not None and job.job_id not in where.job_ids:
        return False
    if where.error_text is not None and where.error_text.lower() not in (job.error_message or "").lower():
        return False
    if where.error_type is None:
        return True
    attempts = await storage.ledger.list_attempts(job.job_id)
    return bool(attempts) and attempts[-1].error_type == where.error_type
