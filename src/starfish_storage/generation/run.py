"""The functions that people call: `generate`, `resume`, `retry` and `cancel`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Unpack

from starfish_storage.errors import InvalidInputError, NotFoundError, RunFinishedError
from starfish_storage.generation.account import checks_send_nothing
from starfish_storage.generation.beginning import About, Beginning
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.changes import check_on_change
from starfish_storage.generation.context import Context
from starfish_storage.generation.continuing import how_to_continue, how_to_retry
from starfish_storage.generation.forgetting import check_step_names, forget_of_pending
from starfish_storage.generation.frames import rows_of
from starfish_storage.generation.going_on import go_on, stored_options
from starfish_storage.generation.lease import is_dead, release_dead
from starfish_storage.generation.lifecycle import FINISHED, Run, carry_on, is_finished, run_of, settle
from starfish_storage.generation.limiting import set_given_priority, set_shared_limit
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.progress import ended_of, reporter
from starfish_storage.generation.rechecking import recheck as recheck_outputs
from starfish_storage.generation.run_options import RunOptions, Where, check_call
from starfish_storage.generation.sources import Inputs
from starfish_storage.generation.spool import RunIdentity
from starfish_storage.generation.spooled import identity, take_in
from starfish_storage.generation.starting import stored_run
from starfish_storage.generation.tracebacks import raised_at_the_call
from starfish_storage.generation.worker import RunWorker
from starfish_storage.identifiers import check_id
from starfish_storage.interface import Storage
from starfish_storage.models import Project
from starfish_storage.runs import Replace, RunState
from starfish_storage.times import utc_now
from starfish_storage.user_modules import refuse_in_import
from starfish_storage.wording import number_of


@raised_at_the_call
async def generate(
    storage: Storage,
    function: Callable[..., Any],
    inputs: Inputs,
    *,
    project: str | Project,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    master_job_id: str | None = None,
    source: str | None = None,
    **options: Unpack[RunOptions],
) -> Run:
    """Call a function for each input and store every outcome; nothing is paid for twice.

    Each input becomes an execution job, and each dict that the function returns a record of it. `resume` continues a
    run that was killed at any moment. After Ctrl-C or SIGTERM no new call starts; a second one cancels the calls in
    flight.

    Args:
        storage: the store, set up.
        function: called for each input, async or plain (then in threads), with the fields that its parameters name, or
            the whole input. Returns a dict, or several in a list; each may be wrapped in `Filtered` or `Duplicate`.
        inputs: dicts, texts or models in any iterable, also an asynchronous one; a frame of pandas or Polars, a table
            of Arrow, a `datasets.Dataset`; or what `read_inputs` returns. A text is the input ``{"text": ...}``.
        project: the project, or its id; a project that does not exist is made.
        name: a name of the run, for people.
        config: stored with the run for its readers, such as the prompt, the model and the temperature. None: that of
            the run, if it exists.
        master_job_id: id of the run. If that run exists, this call resumes it, or joins the processes that work on it;
            if it has finished, this call returns it, or does the inputs that have come to the end of the list since.
        source: the file or directory that the inputs come from: `resume` reads it again, as `read_inputs` does.
        options: see `RunOptions`.

    Raises:
        RunChangedError: the run exists, with another configuration or other inputs: see ``on_change``.
        InvalidInputError: an option, an input or the function's parameters cannot be used.
        StorageError: the store failed. Everything acknowledged is stored; `resume` continues the run.
        KeyboardInterrupt: after Ctrl-C, once everything is stored; after SIGTERM, `SystemExit`.
    """
    check_call("generate", options)
    how = Options().with_given(options)
    run_id = check_id("master_job_id", uuid.uuid4().hex if master_job_id is None else master_job_id)
    about = About(project, name, source, config, options.get("spool"))
    with closing(BoundFunction(function, how.max_concurrency, context_type=Context)) as bound:
        by_program = master_job_id is not None
        return await _generate(storage, run_id, bound, rows_of(inputs), about, how, options, by_program=by_program)


async def _generate(
    storage: Storage,
    run_id: str,
    bound: BoundFunction,
    inputs: Inputs,
    about: About,
    how: Options,
    options: RunOptions,
    *,
    by_program: bool,
) -> Run:
    checks = OutputChecks(options.get("output_schema"), how.accept, how.unique_by, how.on_empty)
    on_change, strict = check_on_change(options.get("on_change")), options.get("strict_code") or False
    shown = reporter(options.get("progress", "auto"))
    await set_shared_limit(storage.ledger, how, options, shown.note)
    beginning = Beginning(storage, bound, inputs, about, checks, how, on_change, strict, shown.note)
    begun = await beginning.begin(run_id)
    state = begun.state
    if begun.is_over:
        found = await _as_it_is(storage, state)
        failed = found.inputs.get("failed", 0)
        hint = how_to_retry(storage, state.master_job_id, bound, failed) if failed else None
        if hint is not None:
            shown.note(hint)
        return found
    await set_given_priority(storage.ledger, state.master_job_id, options)
    segment, run = await asyncio.gather(
        storage.ledger.add_segment(state.master_job_id, begun.identity), _identity(storage, state.master_job_id)
    )
    worker = RunWorker(storage, state, bound, checks, how, shown, begun.feed, run, segment.number)
    again = how_to_continue(storage, state.master_job_id, bound, by_program=by_program)
    return await carry_on(storage, state, worker, again, handle_signals=options.get("handle_signals", True))


@raised_at_the_call
async def resume(
    storage: Storage,
    master_job_id: str,
    function: Callable[..., Any] | None = None,
    *,
    inputs: Inputs | None = None,
    **changed: Unpack[RunOptions],
) -> Run:
    """Continue a run that was killed, interrupted or stopped, with the inputs that are not finished.

    Other processes may work on the same run; each input is given to one of them.

    Args:
        storage: the store of the run, set up.
        master_job_id: the run.
        function: called for each input; None for the function that the run was started with, found by its name.
        inputs: the inputs of the run, again. Needed only if the run ended before it had stored them all: it stores up
            to 100,000 of a list before the first call, and reads a file again. An empty list says that there are no
            more.
        changed: options to change: see `RunOptions`.

    Raises:
        NotFoundError: the run does not exist.
        RunFinishedError: it has finished; `retry` runs failed inputs again.
        RunIncompleteError: not all of its inputs were stored; give them again.
        InvalidInputError: the inputs differ from those of the run, or the function is not found or cannot take them.
        StorageError: the store failed.
        KeyboardInterrupt: after Ctrl-C, once everything is stored; after SIGTERM, `SystemExit`.
    """
    check_call("resume", changed)
    await take_in(storage, master_job_id, changed.get("spool"))
    state, job, config = await stored_run(storage, master_job_id)
    if await is_finished(storage, job):
        raise RunFinishedError(master_job_id, job.status)
    return await go_on(storage, state, job, config, function, inputs, changed)


@raised_at_the_call
async def retry(
    storage: Storage,
    master_job_id: str,
    function: Callable[..., Any] | None = None,
    *,
    where: Where | None = None,
    recheck: bool = False,
    forget: Sequence[str] = (),
    replace: Replace = "better",
    **changed: Unpack[RunOptions],
) -> Run:
    """Run finished inputs again, by default those that failed or have a failed output, and the unfinished ones.

    The function gets the stored results of paid steps. The outcome that an input has stands until there is a better
    one; what is replaced stays as earlier versions of its records.

    Args:
        storage: the store of the run, set up.
        master_job_id: the run.
        function: as for `resume`.
        where: chooses the inputs.
        recheck: call no function, but run the checks, as they are now, over the outputs that are stored: what
            ``accept`` and the schema pass now becomes ``completed``. `Run.rechecked` says what changed. What the
            function itself returned as `Filtered` or `Duplicate` stays so. If ``unique_by`` has changed, the newest of
            equal outputs stays ``completed``.
        forget: names of steps whose stored replies are not to be used again, so that they are asked for again; the
            replies stay in the history.
        replace: ``"better"`` [default]: an attempt that fails leaves a good outcome alone. ``"always"``: none stands.
        changed: as for `resume`.

    Raises:
        NotFoundError: the run does not exist.
        InvalidInputError: a status is unknown, the run has no step of a name to forget, or as for `resume`.
        StorageError: the store failed.
    """
    check_call("retry", changed)
    await take_in(storage, master_job_id, changed.get("spool"))
    if recheck:
        if function is not None or where is not None or forget or replace != "better":
            raise InvalidInputError(
                "recheck=True calls no function and looks at all outputs: leave out function, where, forget, replace."
            )
        return await _recheck(storage, master_job_id, changed)
    return await _run_again(storage, master_job_id, function, where or Where(), forget, replace, changed)


async def cancel(storage: Storage, master_job_id: str, reason: str = "cancelled") -> None:
    """Ask every process that works on a run to stop, as Ctrl-C would; each sees it within about a second.

    Args:
        storage: the store of the run, set up.
        master_job_id: the run.
        reason: stored with the run.

    Raises:
        NotFoundError: the run does not exist.
        RunFinishedError: it has finished.
    """
    refuse_in_import("calls cancel()")
    _, job, _ = await stored_run(storage, master_job_id)
    if await is_finished(storage, job):
        raise RunFinishedError(master_job_id, job.status)
    await storage.ledger.request_stop(master_job_id, reason, action="cancel")
    await release_dead(storage.ledger, master_job_id)
    now = await storage.ledger.now()
    if all(is_dead(worker, now) for worker in await storage.ledger.list_workers(master_job_id)):
        await settle(storage, master_job_id, reason)  # no worker will


async def _run_again(
    storage: Storage,
    master_job_id: str,
    function: Callable[..., Any] | None,
    chosen: Where,
    forget: Sequence[str],
    replace: Replace,
    changed: RunOptions,
) -> Run:
    state, job, config = await stored_run(storage, master_job_id)
    await check_step_names(storage, master_job_id, forget)

    async def reset() -> None:
        number = await storage.ledger.reset_inputs(
            master_job_id,
            chosen.statuses,
            error_text=chosen.error_text,
            error_type=chosen.error_type,
            job_ids=chosen.job_ids,
            failed_outputs="failed" in chosen.statuses,
            replace=replace,
        )
        await storage.ledger.note_action("retry", "run", master_job_id, number_of(number, "input"))
        if forget:
            await forget_of_pending(storage, master_job_id, forget)

    # Inputs that were never stored cannot run again.
    return await go_on(storage, state, job, config, function, None, changed, before=reset, again=chosen.statuses)


async def _identity(storage: Storage, run_id: str) -> RunIdentity:
    job = await storage.get_master_job(run_id)
    if job is None:
        raise NotFoundError("run", run_id, "it was deleted meanwhile")
    return identity(job)


async def _recheck(storage: Storage, run_id: str, changed: RunOptions) -> Run:
    """Run the checks over the stored outputs of a run, and return how it stands then."""
    began = time.monotonic()
    _, job, config = await stored_run(storage, run_id)
    options, checks = stored_options(job, config, changed)
    is_new = changed.get("output_schema") is not None
    token = checks_send_nothing.set(options.replay == "only")
    try:
        changes = await recheck_outputs(storage, run_id, checks, is_new_schema=is_new)
    finally:
        checks_send_nothing.reset(token)
    if job.status in FINISHED:
        await settle(storage, run_id, None)
    state = await storage.ledger.refresh_run(run_id, utc_now())
    found = await run_of(storage, state, seconds=time.monotonic() - began)
    return replace(found, done_before=_ended(found), rechecked=changes)


def _ended(run: Run) -> int:
    return ended_of(run.inputs)


async def _as_it_is(storage: Storage, state: RunState) -> Run:
    found = await run_of(storage, state)
    return replace(found, done_before=_ended(found))
