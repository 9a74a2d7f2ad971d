# Made by scripts/make_sync.py from starfish_storage.generation: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.generation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

from starfish_storage import generation as asynchronous
from starfish_storage.generation.draining import Drained
from starfish_storage.generation.explaining import CallsExplained
from starfish_storage.generation.interruption import relayed
from starfish_storage.generation.lifecycle import Run
from starfish_storage.generation.run_options import RunOptions, Where
from starfish_storage.generation.sources import Inputs
from starfish_storage.models import Project
from starfish_storage.runs import Replace, Worker
from starfish_storage.sync.stores import Store, with_store


def cancel(master_job_id: str, reason: str = "cancelled", *, store: Store) -> None:
    """Ask every process that works on a run to stop, as Ctrl-C would; each sees it within about a second.

    Args:
        store: the store of the run. An open one, or a path or URI, which is opened for this call.
        master_job_id: the run.
        reason: stored with the run.

    Raises:
        NotFoundError: the run does not exist.
        RunFinishedError: it has finished.
    """
    return with_store(store, lambda storage: asynchronous.cancel(storage, master_job_id, reason))


def drain(
    master_job_id: str | None = None,
    *,
    store: Store,
    timeout: float | None = None,
    look: Callable[[Drained], object] | None = None,
) -> Drained:
    """Have no input claimed any more, and wait until no worker is at one. Workers stay alive and claim nothing.

    `end_drain` and a migration end it; until then it also stands where this call has timed out or was cancelled.

    Args:
        store: the store. An open one, or a path or URI, which is opened for this call.
        master_job_id: the run; None for all runs of the store, those that are made later too.
        timeout: for how long to wait at most, in seconds; None: as long as it takes.
        look: called with how it stands, at first and whenever that has changed.

    Raises:
        NotFoundError: there is no such run.
        InvalidInputError: the timeout is negative.
    """
    return with_store(store, lambda storage: asynchronous.drain(storage, master_job_id, timeout=timeout, look=look))


def end_drain(master_job_id: str | None = None, *, store: Store) -> None:
    """Have inputs claimed again; workers that are alive go on within a second. Idempotent.

    Args:
        store: the store. An open one, or a path or URI, which is opened for this call.
        master_job_id: the run; None for every drain of the store and of its runs.
    """
    return with_store(store, lambda storage: asynchronous.end_drain(storage, master_job_id))


def explain_calls(
    master_job_id: str, *, store: Store, progress: Callable[[int, int], object] | None = None
) -> CallsExplained:
    """Return how the requests of a run were answered, and for those that a model was asked, why.

    A request is compared with those that its input has asked in earlier attempts, and in the newest earlier runs of the
    project that are of the same function, or, where there is none, of whatever function. If there are no such requests,
    it is compared with some of other inputs. Changes nothing. It takes the memory of a page of requests.

    Args:
        store: the store of the run. An open one, or a path or URI, which is opened for this call.
        master_job_id: the run.
        progress: called after each request with how many are explained, and of about how many.

    Raises:
        NotFoundError: the run does not exist.
        StorageError: the store failed.
    """
    return with_store(store, lambda storage: asynchronous.explain_calls(storage, master_job_id, progress=progress))


def generate(
    function: Callable[..., Any],
    inputs: Inputs,
    *,
    store: Store,
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
        store: the store. An open one, or a path or URI, which is opened for this call.
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
    with relayed():
        return with_store(
            store,
            lambda storage: asynchronous.generate(
                storage,
                function,
                inputs,
                project=project,
                name=name,
                config=config,
                master_job_id=master_job_id,
                source=source,
                **options,
            ),
        )


def resume(
    master_job_id: str,
    function: Callable[..., Any] | None = None,
    *,
    store: Store,
    inputs: Inputs | None = None,
    **changed: Unpack[RunOptions],
) -> Run:
    """Continue a run that was killed, interrupted or stopped, with the inputs that are not finished.

    Other processes may work on the same run; each input is given to one of them.

    Args:
        store: the store of the run. An open one, or a path or URI, which is opened for this call.
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
    with relayed():
        return with_store(
            store, lambda storage: asynchronous.resume(storage, master_job_id, function, inputs=inputs, **changed)
        )


def retry(
    master_job_id: str,
    function: Callable[..., Any] | None = None,
    *,
    store: Store,
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
        store: the store of the run. An open one, or a path or URI, which is opened for this call.
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
    with relayed():
        return with_store(
            store,
            lambda storage: asynchronous.retry(
                storage,
                master_job_id,
                function,
                where=where,
                recheck=recheck,
                forget=forget,
                replace=replace,
                **changed,
            ),
        )


def set_priority(master_job_id: str, priority: int, *, store: Store) -> int:
    """Set the weight of a run's share in limits that runs share, also while it is under way; return what it was.

    While several runs use one limit, each gets a share by its priority: a run of priority 3 makes three calls where one
    of priority 1 makes one. What a run does not use goes to the others.

    Args:
        store: the store. An open one, or a path or URI, which is opened for this call.
        master_job_id: the run.
        priority: from 1, the usual one, to 1000.

    Raises:
        NotFoundError: there is no such run.
        InvalidInputError: the priority cannot be used.
    """
    return with_store(store, lambda storage: asynchronous.set_priority(storage, master_job_id, priority))


def stop_worker(worker_id: str, reason: str | None = None, *, store: Store) -> Worker:
    """Ask one worker to stop: it claims nothing more, finishes and stores what it has under way, and ends.

    It sees that within about a second. Other workers of its run go on; if it is the last one, the run is ``cancelled``
    and can be resumed.

    Args:
        store: the store. An open one, or a path or URI, which is opened for this call.
        worker_id: the worker, or the beginning of its id.
        reason: why; None: who asks.

    Raises:
        NotFoundError: there is no such worker, or it has ended.
        InvalidInputError: several workers have ids that begin so.
    """
    return with_store(store, lambda storage: asynchronous.stop_worker(storage, worker_id, reason))
