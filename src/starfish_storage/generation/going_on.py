"""Goes on with a stored run, for `resume` and `retry`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from starfish_storage.errors import InvalidInputError, RunIncompleteError
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.changes import OnChange, check_on_change, identity_now, last_identity, matched_inputs
from starfish_storage.generation.context import Context
from starfish_storage.generation.continuing import how_to_continue
from starfish_storage.generation.frames import rows_of
from starfish_storage.generation.input_files import FileInputs
from starfish_storage.generation.inputs import Feed, InputCheck
from starfish_storage.generation.lifecycle import Run, carry_on
from starfish_storage.generation.limiting import set_shared_limit
from starfish_storage.generation.loading import load_function_of_run
from starfish_storage.generation.matching import Matched
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.progress import OPEN, reporter
from starfish_storage.generation.run_options import RunOptions
from starfish_storage.generation.sources import Inputs
from starfish_storage.generation.spooled import identity
from starfish_storage.generation.worker import RunWorker
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import RunState


async def go_on(
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
    """Carry on with a stored run.

    Args:
        storage: holds the run.
        state: where the run stands.
        job: its master job.
        config: its request configuration.
        function: called for each input; None for the stored one.
        inputs: the inputs of the run, given again.
        changed: options to change.
        before: awaited after all checks; resets the inputs that are to run again.
        again: the statuses of those inputs.
    """
    options, checks = stored_options(job, config, changed)
    run_id, strict = state.master_job_id, changed.get("strict_code") or False
    on_change, shown = _on_change(run_id, changed), reporter(changed.get("progress", "auto"))
    if function is None:
        function = _stored_function(run_id, config, "resume" if before is None else "retry")
    await set_shared_limit(storage.ledger, options, changed, shown.note, run_id)
    with closing(BoundFunction(function, options.max_concurrency, context_type=Context)) as bound:
        check = InputCheck(storage.ledger, bound.check, options)
        if inputs is None and not state.inputs_complete and before is None:
            inputs = _stored_source(state, config)
        for left in await storage.list_execution_jobs(run_id, [*OPEN, *again], limit=1):
            bound.check(left.run_config or {})
        known = await last_identity(storage, job)
        made_of = await identity_now(
            bound, known.get("config"), options, checks, known, run_id, shown.note, strict=strict
        )
        feed = None if inputs is None else Feed(storage.ledger, state, rows_of(inputs), check)
        if feed is not None and (matched := await _compared(storage, state, feed, on_change)) is not None:
            made_of["change"] = {"on_change": on_change, "inputs": matched.to_json()}
            feed, state = None, await storage.ledger.get_run(run_id) or state
        if before is not None:
            await before()
        segment = await storage.ledger.add_segment(run_id, made_of)
        worker = RunWorker(storage, state, bound, checks, options, shown, feed, identity(job), segment.number)
        again_by = how_to_continue(storage, run_id, bound, by_program=True)
        return await carry_on(storage, state, worker, again_by, handle_signals=changed.get("handle_signals", True))


def _on_change(run_id: str, changed: RunOptions) -> OnChange:
    on_change = check_on_change(changed.get("on_change"))
    if on_change == "fork":
        raise InvalidInputError(
            f"on_change='fork' makes a new run: call generate (starfish-storage generate) with the id {run_id!r} for "
            "that."
        )
    return on_change


def _stored_function(run_id: str, config: dict[str, Any], command: str) -> Callable[..., Any]:
    if "import" in config and "function" not in config:
        raise InvalidInputError(
            f"run {run_id!r} was imported: there is no function to run. Name one that takes its inputs: "
            f"starfish-storage {command} {run_id} MODULE:FUNCTION, or {command}(storage, run_id, function)."
        )
    return load_function_of_run(str(config.get("function")), f"starfish-storage {command} {run_id}")


def _stored_source(state: RunState, config: dict[str, Any]) -> Inputs:
    source = config.get("inputs")
    if source is None:
        raise RunIncompleteError(state.master_job_id, state.registered)
    return FileInputs(str(source))


async def _compared(storage: Storage, state: RunState, feed: Feed, on_change: OnChange) -> Matched | None:
    """Compare the inputs that were given; return what was changed because they differ, and None if they do not."""
    try:
        found = await feed.compare()
        return None if found is None else await matched_inputs(storage, state, feed, found, on_change)
    except BaseException:
        await feed.close()
        raise


def stored_options(
    job: GenerationMasterJob, config: dict[str, Any], changed: RunOptions
) -> tuple[Options, OutputChecks]:
    """Return the options and the checks of a stored run, with what is changed now."""
    options = Options.from_json(config.get("options", {}), changed)
    given = changed.get("output_schema")  # an empty one is one that everything fits
    schema = job.output_schema or None if given is None else given
    return options, OutputChecks(schema, options.accept, options.unique_by, options.on_empty)
