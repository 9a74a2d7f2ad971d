"""What people call: `generate`, `resume`, `retry` and `cancel`."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from starfish_storage.errors import (
    InvalidInputError,
    RunFinishedError,
    RunIncompleteError,
    shorten,
)
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.context import Context
from starfish_storage.generation.inputs import Feed, InputCheck, JsonLinesInputs, OnBadInput
from starfish_storage.generation.lease import is_dead, release_dead
from starfish_storage.generation.lifecycle import FINISHED, Run, carry_on, create, run_of, settle, state_of, stored_run
from starfish_storage.generation.loading import load_function
from starfish_storage.generation.options import Accept, Options, OutputSchema, UniqueBy
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.progress import OPEN, Progress, reporter
from starfish_storage.generation.retrying import Retry
from starfish_storage.generation.sources import Inputs
from starfish_storage.generation.tracebacks import raised_at_the_call
from starfish_storage.generation.worker import RunWorker
from starfish_storage.identifiers import check_id
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob, Project
from starfish_storage.runs import RunState

ProgressKind = str | Callable[[Progress], object]


class RunOptions(TypedDict, total=False):
    """How a run is carried out: arguments of `generate`, and of `resume` and `retry`, which may say them anew.

    What is not said, or None, is the default, and stays as the run was started when it goes on.

    Attributes:
        output_schema: a pydantic model or a JSON Schema; an output that does not fit is kept as ``failed``.
        max_concurrency: calls at a time, in this process [10].
        retry: how many attempts an input gets [3], or a `Retry`.
        timeout: seconds that one attempt may take [no limit]. A thread cannot be stopped: a plain function's call is
            abandoned.
        accept: given an output's data, plain or async; False or a text (the reason) makes the record ``filtered``.
        unique_by: a field, several, or a function of an output's data: a second output of the run with the same value
            is a ``duplicate``, also after a resume and in another process.
        max_cost: stops the run when so much was reported with ``context.log_usage``, over all resumes; what is in
            flight ends [no limit].
        on_bad_input: ``"stop"`` [default]: an input that cannot be run stops the run, before it begins where the inputs
            can be read twice. ``"skip"``: it is left out, with a warning in the log.
        grace: seconds that calls in flight get to end after an interruption [30].
        lease: seconds after which another process may take over the inputs of this one, if nothing is heard of it [60].
        progress: ``"auto"`` [default]: a bar in a terminal, else lines; ``"bar"``, ``"lines"``, ``"quiet"``, or a
            function that is given a `Progress`.
        handle_signals: stop in an orderly way on Ctrl-C and SIGTERM, if this is the main thread [True].
    """

    output_schema: OutputSchema | None
    max_concurrency: int | None
    retry: Retry | int | None
    timeout: float | None
    accept: Accept | None
    unique_by: UniqueBy | None
    max_cost: float | None
    on_bad_input: OnBadInput | None
    grace: float | None
    lease: float | None
    progress: ProgressKind
    handle_signals: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which inputs `retry` runs again: those for which all that is given holds.

    Attributes:
        statuses: the status of their execution job is one of these.
        error_text: their error holds this text, whatever its case.
        error_type: their last attempt raised this class, such as ``"RateLimitError"``.
        job_ids: they are one of these execution jobs.

    Raises:
        InvalidInputError: there is no status, or what should be a list is none.
    """

    statuses: Sequence[str] = ("failed",)
    error_text: str | None = None
    error_type: str | None = None
    job_ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, value in (("statuses", self.statuses), ("job_ids", self.job_ids)):
            if isinstance(value, str):
                raise InvalidInputError(f"{name} must be a list, such as [{shorten(value)}].")
        if not self.statuses:
            raise InvalidInputError("statuses must name at least one, such as 'failed': none would mean no input.")


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
    """Run a function over inputs and store every outcome; what was paid for is never paid for again.

    Each input becomes an execution job, each dict that the function returns a record of it. Killed at any moment, the
    run goes on with `resume`. On Ctrl-C or SIGTERM nothing new starts; a second one cancels what is in flight.

    Args:
        storage: where everything is stored; it must be set up.
        function: called for each input, async or plain (then in threads), with the fields that its parameters name, or
            the whole input. Returns a dict, or several in a list; each may be wrapped in `Filtered` or `Duplicate`.
        inputs: dicts that are JSON, in any iterable, also an asynchronous one; never held in memory as a whole.
        project: id of the project, which is made if it does not exist; or the project.
        name: of the run, for people.
        config: what is stored with the run for its readers: the prompt, the model, the temperature.
        master_job_id: id of the run; if there is one, this goes on with it or shares it; finished, it is returned.
        source: where the inputs come from, noted with the run: a JSON Lines file is read again by `resume`.
        options: how: see `RunOptions`.

    Raises:
        InvalidInputError: an option, an input or the function's parameters cannot be used.
        StorageError: the store failed. What was acknowledged is stored: `resume` goes on.
        KeyboardInterrupt: after Ctrl-C, when everything is stored. After SIGTERM it is a `SystemExit`.
    """
    _refuse_unknown(options)
    how = Options().with_given(options)
    checks = OutputChecks(options.get("output_schema"), how.accept, how.unique_by)
    shown = reporter(options.get("progress", "auto"))
    run_id = check_id("master_job_id", uuid.uuid4().hex if master_job_id is None else master_job_id)
    about = _About(project, name, source, config)
    with closing(BoundFunction(function, how.max_concurrency, context_type=Context)) as bound:
        state, feed = await _begun(storage, run_id, bound, inputs, about, checks, how)
        if feed is None:
            return await _as_it_is(storage, state)
        worker = RunWorker(storage, state, bound, checks, how, shown, feed)
        return await carry_on(storage, state, worker, handle_signals=options.get("handle_signals", True))


@raised_at_the_call
async def resume(
    storage: Storage,
    master_job_id: str,
    function: Callable[..., Any] | None = None,
    *,
    inputs: Inputs | None = None,
    **changed: Unpack[RunOptions],
) -> Run:
    """Go on with a run that was killed, interrupted or stopped: only with what is not finished.

    Other processes may be at the same run: each input is worked on by one of them.

    Args:
        storage: where the run is; it must be set up.
        master_job_id: the run.
        function: what is called for each input; None for the one that the run was started with, found by its name.
        inputs: the inputs of the run, again. Needed only if it ended before all of them were stored: up to 100,000 of a
            list are, before the first call, and a file is read again. An empty list says that there are no more.
        changed: options that shall be others than those the run was started with: see `RunOptions`.

    Raises:
        NotFoundError: there is no such run.
        RunFinishedError: it has finished; `retry` runs failed inputs again.
        RunIncompleteError: not all of its inputs were stored; give them again.
        InvalidInputError: the inputs are not those of the run, the function cannot take them, or it is not found.
        StorageError: the store failed.
        KeyboardInterrupt: after Ctrl-C, when everything is stored. After SIGTERM it is a `SystemExit`.
    """
    state, job, config = await stored_run(storage, master_job_id)
    if job.status in FINISHED:
        raise RunFinishedError(master_job_id, job.status)
    return await _go_on(storage, state, job, config, function, inputs, changed)


@raised_at_the_call
async def retry(
    storage: Storage,
    master_job_id: str,
    function: Callable[..., Any] | None = None,
    *,
    where: Where | None = None,
    **changed: Unpack[RunOptions],
) -> Run:
    """Run inputs of a run again that have ended, by default those that failed, and what is not finished.

    Stored results of paid steps are used again. Records of the earlier outcome are replaced.

    Args:
        storage: where the run is; it must be set up.
        master_job_id: the run.
        function: as for `resume`.
        where: which inputs.
        changed: as for `resume`.

    Raises:
        NotFoundError: there is no such run.
        InvalidInputError: a status is unknown, or as for `resume`.
        StorageError: the store failed.
    """
    chosen = where or Where()
    state, job, config = await stored_run(storage, master_job_id)

    async def reset() -> None:
        await storage.ledger.reset_inputs(
            master_job_id,
            chosen.statuses,
            error_text=chosen.error_text,
            error_type=chosen.error_type,
            job_ids=chosen.job_ids,
        )

    # Inputs that were never stored are not what is to be run again.
    return await _go_on(storage, state, job, config, function, None, changed, before=reset, again=chosen.statuses)


async def cancel(storage: Storage, master_job_id: str, reason: str = "cancelled") -> None:
    """Ask every process that is at a run to stop, as Ctrl-C would; they see it within about a second.

    Args:
        storage: where the run is; it must be set up.
        master_job_id: the run.
        reason: kept with the run.

    Raises:
        NotFoundError: there is no such run.
        RunFinishedError: it has finished.
    """
    _, job, _ = await stored_run(storage, master_job_id)
    if job.status in FINISHED:
        raise RunFinishedError(master_job_id, job.status)
    await storage.ledger.request_stop(master_job_id, reason)
    await release_dead(storage.ledger, master_job_id)
    now = await storage.ledger.now()
    if all(is_dead(worker, now) for worker in await storage.ledger.list_workers(master_job_id)):
        await settle(storage, master_job_id, reason)  # nobody else will


async def _go_on(
    storage: Storage,
    state: RunState,
    job: GenerationMasterJob,
    config: dict[str, Any],
    function: Callable[..., Any] | None,
    inputs: Inputs | None,
    changed: RunOptions,
    before: Callable[[], Any] | None = None,
    again: Sequence[str] = (),
) -> Run:
    """Carry on with a stored run; ``before`` is awaited once everything has been checked.

    Args:
        storage: where the run is.
        state: where it stands.
        job: its master job.
        config: its request configuration.
        function: what is called.
        inputs: given again.
        changed: options that are to be others.
        before: puts back what is to be run again.
        again: statuses of inputs that are.
    """
    _refuse_unknown(changed)
    options = Options.from_json(config.get("options", {}), changed)
    schema = changed.get("output_schema") or job.output_schema or None
    checks = OutputChecks(schema, options.accept, options.unique_by)
    shown = reporter(changed.get("progress", "auto"))
    called = load_function(str(config.get("function"))) if function is None else function
    with closing(BoundFunction(called, options.max_concurrency, context_type=Context)) as bound:
        check = InputCheck(storage.ledger, bound.check)
        feed = None
        if inputs is None and not state.inputs_complete and before is None:
            source = config.get("inputs")
            if source is None:
                raise RunIncompleteError(state.master_job_id, state.registered)
            inputs = JsonLinesInputs(str(source))
        if inputs is not None:
            feed = Feed(storage.ledger, state, inputs, check, options.on_bad_input)
        for left in await storage.list_execution_jobs(state.master_job_id, [*OPEN, *again], limit=1):
            bound.check(left.run_config or {})
        if before is not None:
            await before()
        worker = RunWorker(storage, state, bound, checks, options, shown, feed)
        return await carry_on(storage, state, worker, handle_signals=changed.get("handle_signals", True))


async def _as_it_is(storage: Storage, state: RunState) -> Run:
    found = await run_of(storage, state)
    return replace(found, done_before=sum(found.inputs.values()))


@dataclass(frozen=True, slots=True)
class _About:
    """What is stored of a new run, besides how it is carried out."""

    project: str | Project
    name: str | None
    source: str | None
    config: Mapping[str, Any] | None

    def to_json(self, function: str, inputs: Inputs, options: Options) -> dict[str, Any]:
        """Return its request configuration, with all that is needed to go on with it later."""
        source = self.source
        if source is None and isinstance(inputs, JsonLinesInputs):
            source = os.path.abspath(inputs.path)  # the run may be gone on with in another directory
        return {"function": function, "inputs": source, "options": options.to_json(), "config": dict(self.config or {})}


async def _begun(
    storage: Storage,
    run_id: str,
    bound: BoundFunction,
    inputs: Inputs,
    about: _About,
    checks: OutputChecks,
    options: Options,
) -> tuple[RunState, Feed | None]:
    """Return where a run stands, made if there is none of that id, and its feed; None if it has finished."""
    check = InputCheck(storage.ledger, bound.check)
    job = await storage.get_master_job(run_id)
    state = None if job is None else await state_of(storage, job)
    if state is None:
        await asyncio.to_thread(check.beforehand, inputs, options.on_bad_input)
        config = about.to_json(bound.name, inputs, options)
        target = len(inputs) if isinstance(inputs, Sized) else 0
        state = await create(storage, run_id, about.project, about.name, config, checks.json_schema, target)
    elif job is not None and job.status in FINISHED:
        return state, None
    return state, Feed(storage.ledger, state, inputs, check, options.on_bad_input)


def _refuse_unknown(options: RunOptions) -> None:
    """Refuse a misspelt option, as Python does for other arguments."""
    for name in options:
        if name not in RunOptions.__annotations__:
            raise TypeError(f"{name!r} is no option of a run; see RunOptions for those there are.")
