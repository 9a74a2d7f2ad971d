"""Goes on with a stored run, for `resume` and `retry`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from starfish_storage.errors import RunIncompleteError
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.context import Context
from starfish_storage.generation.continuing import how_to_continue
from starfish_storage.generation.frames import rows_of
from starfish_storage.generation.input_files import FileInputs
from starfish_storage.generation.inputs import Feed, InputCheck
from starfish_storage.generation.lifecycle import Run, carry_on
from starfish_storage.generation.loading import load_function_of_run
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.progress import OPEN, reporter
from starfish_storage.generation.run_options import RunOptions
from starfish_storage.generation.sources import Inputs
from starfish_storage.generation.spooled import identity
from starfish_storage.generation.starting import refuse_import
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
    shown = reporter(changed.get("progress", "auto"))
    if function is None:
        refuse_import(state.master_job_id, config)
        command = f"starfish-storage {'resume' if before is None else 'retry'} {state.master_job_id}"
        function = load_function_of_run(str(config.get("function")), command)
    with closing(BoundFunction(function, options.max_concurrency, context_type=Context)) as bound:
        check = InputCheck(storage.ledger, bound.check, options)
        feed = None
        if inputs is None and not state.inputs_complete and before is None:
            source = config.get("inputs")
            if source is None:
                raise RunIncompleteError(state.master_job_id, state.registered)
            inputs = FileInputs(str(source))
        if inputs is not None:
            feed = Feed(storage.ledger, state, rows_of(inputs), check)
        for left in await storage.list_execution_jobs(state.master_job_id, [*OPEN, *again], limit=1):
            bound.check(left.run_config or {})
        if before is not None:
            await before()
        worker = RunWorker(storage, state, bound, checks, options, shown, feed, identity(job))
        again_by = how_to_continue(storage, state.master_job_id, bound, by_program=True)
        return await carry_on(storage, state, worker, again_by, handle_signals=changed.get("handle_signals", True))


def stored_options(
    job: GenerationMasterJob, config: dict[str, Any], changed: RunOptions
) -> tuple[Options, OutputChecks]:
    """Return the options and the checks of a stored run, with what is changed now."""
    options = Options.from_json(config.get("options", {}), changed)
    given = changed.get("output_schema")  # an empty one is one that everything fits
    schema = job.output_schema or None if given is None else given
    return options, OutputChecks(schema, options.accept, options.unique_by, options.on_empty)
