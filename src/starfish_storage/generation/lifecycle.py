"""Lets a worker carry out a run, and stores the status that it ends with."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack

from starfish_storage.errors import StorageError, StoreReadOnlyError
from starfish_storage.generation.continuing import store_words
from starfish_storage.generation.interruption import ignored, watched
from starfish_storage.generation.lease import is_dead
from starfish_storage.generation.preloading import preload
from starfish_storage.generation.progress import OPEN
from starfish_storage.generation.threads import to_the_end
from starfish_storage.generation.viewing import RunViewer, view_run
from starfish_storage.generation.worker import RunWorker
from starfish_storage.html_tables import html_of_fields
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import RunState
from starfish_storage.statuses import COUNTED_STATUSES, StatusMasterJob
from starfish_storage.storage.pack_merging import merge_packs
from starfish_storage.telemetry import look
from starfish_storage.telemetry.logs import about, get_logger
from starfish_storage.times import utc_now
from starfish_storage.wording import failed_again

if TYPE_CHECKING:
    import pandas as pd

    from starfish_storage.export.options import FrameOptions

logger = get_logger(__name__)

_LAST_SECONDS = 2.0  # for a store that did not take results
_FEWEST_MERGED, _MERGED_BYTES, _MERGING_SECONDS = 20, 64 << 20, 5.0  # packs of a run that has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run stands.

    Attributes:
        master_job_id: its id.
        project_id: its project.
        status: of its master job.
        records: how many records are in each status that occurs.
        inputs: how many inputs are in each status that occurs.
        attempts: attempts made, over all resumes.
        failed_attempts: attempts that failed or were interrupted.
        input_tokens: tokens sent, failed attempts included.
        output_tokens: tokens received, failed attempts included.
        cost: the cost of the run, failed attempts included.
        conversions: how many values of each kind were converted so that they could be stored.
        done_before: inputs that were finished before this call, which did not pay for them again.
        kept_before: inputs at which this call has failed; the outcome that they had before stands.
        stop_reason: why it stopped early; None if it did not.
        seconds: how long this call took.
        rechecked: of ``retry(recheck=True)``, how many outputs are ``unchanged``, and how many went from one status to
            another, as in ``"failed to completed"``.
        store: the options that name its store on a command line, without a password.
    """

    master_job_id: str
    project_id: str
    status: StatusMasterJob
    records: dict[str, int]
    inputs: dict[str, int]
    attempts: int
    failed_attempts: int
    input_tokens: int
    output_tokens: int
    cost: float
    conversions: dict[str, int] = field(default_factory=dict[str, int])
    done_before: int = 0
    kept_before: int = 0
    stop_reason: str | None = None
    seconds: float = 0.0
    rechecked: dict[str, int] = field(default_factory=dict[str, int])
    store: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, without where its store is."""
        return {name: value for name, value in asdict(self).items() if name != "store"}

    def view(self, *, opens: bool = True) -> RunViewer:
        """Show its records, live: in a notebook as a table with links, and in a browser. Needs the extra ``viewer``.

        A process of its own shows the store. It ends with this one, or when the view is closed.

        Args:
            opens: whether to open a browser.

        Raises:
            MissingExtraError: the extra is not installed.
            StoreOpenError: the viewer did not start. A password comes from ``PGPASSWORD`` or a password file: one that
                stood in a URI is not kept.
        """
        return view_run(self.store, self.master_job_id, opens=opens)

    def to_pandas(self, **options: Unpack[FrameOptions]) -> pd.DataFrame:
        """Return its completed records as a data frame of pandas, a column for each field. Needs the extra ``pandas``.

        It opens the store again, read-only, and waits for the records: it is not awaited, also in a notebook. Where
        an event loop has other work, await `starfish_storage.export.to_pandas` with the storage.

        Args:
            options: what of them, as of `starfish_storage.export.to_pandas`; ``with_input=True`` adds the inputs.

        Raises:
            MissingExtraError: pandas or pyarrow is not installed.
            StorageError: the store cannot be read. A password is not kept, as for `view`.
        """
        from starfish_storage.generation.run_reading import frame_of

        return frame_of(self.store, self.master_job_id, options)

    def sample(self, size: int = 5, *, seed: int = 0) -> list[dict[str, Any]]:
        """Return the data of some completed records, chosen at random; notebooks show them as a table.

        Args:
            size: how many records.
            seed: the same one gives the same records, as long as none come or go.

        Raises:
            InvalidInputError: the size is not a number of records.
            StorageError: as `to_pandas`.
        """
        from starfish_storage.generation.run_reading import sample_of

        return sample_of(self.store, self.master_job_id, size, seed)

    def _repr_html_(self) -> str:
        """Return how it stands, as notebooks show it."""
        shown = self.to_json() | {"cost": f"${self.cost:.4g}" if self.cost else None, "seconds": f"{self.seconds:.1f}"}
        hidden = ("master_job_id", "failed_attempts" if not self.failed_attempts else "")
        fields = ((name.replace("_", " "), value) for name, value in shown.items() if name not in hidden and value)
        return html_of_fields(f"run {self.master_job_id}", fields)


async def carry_on(storage: Storage, state: RunState, worker: RunWorker, again: str, *, handle_signals: bool) -> Run:
    """Let a worker work on a run until it ends or stops, store its true status, and return how it stands.

    Args:
        storage: holds the run.
        state: where the run stands.
        worker: works on it.
        again: what continues the run after an interruption, for people.
        handle_signals: whether signals stop it.

    Raises:
        StorageError: the store failed, or the inputs are bad.
        KeyboardInterrupt: after Ctrl-C; after SIGTERM a `SystemExit`.
    """
    run_id, worker_id = state.master_job_id, worker.worker_id
    with about(run_id, worker_id), look().run(run_id, worker_id):
        return await _carried_on(storage, state, worker, again, handle_signals=handle_signals)


async def _carried_on(storage: Storage, state: RunState, worker: RunWorker, again: str, *, handle_signals: bool) -> Run:
    began = time.monotonic()
    preload()
    try:
        ended = await _run_and_settle(storage, state, worker, handle_signals=handle_signals)
    except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
        worker.note_stop("was interrupted", again)  # a long traceback follows, and says nothing about the run
        raise
    finally:
        await to_the_end(worker.close())
    run = ended or await run_of(storage, await storage.ledger.get_run(state.master_job_id) or state)
    run = replace(
        run,
        done_before=worker.done_before,
        stop_reason=worker.stopping.reason,
        seconds=time.monotonic() - began,
    )
    if ended is not None:
        await _merge_quietly(storage, run.master_job_id)
    if run.status == "cancelled" and run.stop_reason is not None:
        worker.note_stop(f"stopped ({run.stop_reason})", again)  # a program may show no more than the status
    elif worker.stopping.was_asked and run.status not in FINISHED:
        worker.reporter.note(f"this worker of run {run.master_job_id!r} stopped ({run.stop_reason}); others go on")
    if worker.kept_before:  # the counts of the run do not show it
        worker.reporter.note(f"run {run.master_job_id!r}: {failed_again(worker.kept_before)}")
    return replace(run, kept_before=worker.kept_before)


async def _run_and_settle(storage: Storage, state: RunState, worker: RunWorker, *, handle_signals: bool) -> Run | None:
    """Return how the run has ended; None if something of it was left to do."""
    ended = None
    run_id = state.master_job_id
    watch = watched if handle_signals else ignored
    with watch(worker.interrupt, worker.stopping.force) as interruption:
        try:
            if state.stop_reason is not None:
                await storage.ledger.request_stop(run_id, None)
            await storage.update_master_job_status(run_id, "running", utc_now())
            await worker.run()
        except BaseException as error:
            was_cancelled = isinstance(error, asyncio.CancelledError)
            reason = worker.stopping.reason or ("cancelled" if was_cancelled else type(error).__name__)
            await to_the_end(_settle_quietly(storage, run_id, reason, is_away=worker.is_store_away))
            raise
        if worker.is_store_away:
            await to_the_end(_settle_quietly(storage, run_id, worker.stopping.reason, is_away=True))
        else:
            ended = await to_the_end(settle(storage, run_id, worker.stopping.reason))
        interruption.raise_if_any()
    return ended


async def settle(storage: Storage, id: str, stop_reason: str | None) -> Run | None:
    """Store how a run ended, unless somebody is still working on it; return that if nothing was left to do.

    Others may do the same at the same time. Whoever stores ``cancelled`` looks again afterwards: another worker may
    have finished the last input in between, and stored the end of the run before.
    """
    ledger = storage.ledger
    while True:
        # The workers before the inputs: a worker that has left has nothing in flight.
        workers = await ledger.list_workers(id)
        now = await ledger.now() if workers else utc_now()
        state = await ledger.get_run(id)
        if state is None:
            return None  # deleted meanwhile
        run = await run_of(storage, state)
        over = state.inputs_complete and not any(run.inputs.get(status) for status in OPEN)
        if over or all(is_dead(worker, now) for worker in workers):
            await _log_end(storage, run, stop_reason, over=over)
        if over:
            return replace(run, status=_final_status(run))
        if not await _has_ended(storage, id):
            return None


async def _merge_quietly(storage: Storage, id: str) -> None:
    """Put small packs of a run together, where that saves requests; never for long, and never to fail the run."""
    try:
        await merge_packs(storage, id, most_bytes=_MERGED_BYTES, seconds=_MERGING_SECONDS, fewest=_FEWEST_MERGED)
    except StorageError as error:
        logger.warning("small packs of run %s could not be merged now (%s)", id, error.code)


async def is_finished(storage: Storage, job: GenerationMasterJob) -> bool:
    """Return whether a run has nothing left to do; one whose list of inputs has just changed may only look like it."""
    return job.status in FINISHED and await _has_ended(storage, job.master_job_id)


async def _has_ended(storage: Storage, id: str) -> bool:
    state, inputs = await storage.ledger.get_run(id), await storage.ledger.count_inputs(id)
    return state is not None and state.inputs_complete and not any(inputs.get(status) for status in OPEN)


async def _log_end(storage: Storage, run: Run, stop_reason: str | None, *, over: bool) -> None:
    now = utc_now()
    status: StatusMasterJob = _final_status(run) if over else "cancelled"
    summary = {
        **{name: run.records.get(name, 0) for name in COUNTED_STATUSES},
        "inputs": run.inputs,
        "attempts": run.attempts,
        "failed_attempts": run.failed_attempts,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost": run.cost,
        "conversions": run.conversions,
        "stop_reason": None if over else stop_reason,
    }
    await storage.log_master_job_end(run.master_job_id, status, summary, now, now)


async def run_of(
    storage: Storage,
    state: RunState,
    *,
    seconds: float = 0.0,
) -> Run:
    """Return how a run stands now."""
    job = await storage.get_master_job(state.master_job_id)
    return Run(
        master_job_id=state.master_job_id,
        project_id="" if job is None else job.project_id,
        status="cancelled" if job is None else job.status,
        records=await storage.count_records_for_master_job(state.master_job_id),
        inputs=await storage.ledger.count_inputs(state.master_job_id),
        attempts=state.attempts,
        failed_attempts=state.failed_attempts,
        input_tokens=state.input_tokens,
        output_tokens=state.output_tokens,
        cost=state.cost,
        conversions=await storage.ledger.count_conversions(state.master_job_id),
        seconds=seconds,
        store=tuple(store_words(storage, state.master_job_id)),
    )


def _final_status(run: Run) -> StatusMasterJob:
    failed = run.inputs.get("failed", 0)
    if failed and failed == sum(run.inputs.values()) - run.inputs.get("cancelled", 0):
        return "failed"
    return "completed_with_errors" if failed or run.records.get("failed") else "completed"


async def _settle_quietly(storage: Storage, id: str, stop_reason: str | None, *, is_away: bool) -> None:
    """Do what `settle` does; something else is to be told already. A store that takes nothing is tried for a moment."""
    try:
        async with asyncio.timeout(_LAST_SECONDS if is_away else None):
            await settle(storage, id, stop_reason)
    except StoreReadOnlyError:
        pass  # where nothing can be written, nothing has changed
    except (StorageError, TimeoutError) as error:
        logger.warning("could not save the status of run %s: %s", id, type(error).__name__)


FINISHED = frozenset({"completed", "completed_with_errors", "failed"})
"""The statuses of runs that have nothing left to do."""
