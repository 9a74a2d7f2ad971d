"""What of the framework's classes is wrapped: where they store, fail, wait and end.

Each function here makes what takes the place of a method; it calls that method, and does what has to be done around it.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.integrations.starfish.adapter import Adapter
from starfish_storage.integrations.starfish.factory_run import FactoryRun
from starfish_storage.integrations.starfish.patches import kept
from starfish_storage.integrations.starfish.trial import Trial, trial_under_way, uncancelled
from starfish_storage.models import Record, utc_now

Method = Callable[..., Any]
AsyncMethod = Callable[..., Awaitable[Any]]

_OF_JOB = (
    *("_run_single_task", "_handle_task_error", "_requeue_task", "_job_save_record_data", "_handle_task_completion"),
    *("_is_job_to_stop", "_process_tasks", "_cleanup"),
)
"""Methods of a job manager that belong together: one of them alone would wait for what the others do."""


@dataclass(slots=True)
class _State:
    """What is known of a job manager beyond itself.

    Attributes:
        error: what ended its job; None if nothing did.
        is_ending: it cancels what is under way.
        queue: its inputs, while its job is under way.
    """

    error: BaseException | None = None
    is_ending: bool = False
    queue: InputQueue | None = None


class InputQueue:
    """The inputs of a job: those of the framework's own queue, which it hands on.

    The framework looks into an empty queue once a second, and for ever where nothing is to come. This one is not empty
    while something is under way, which may be put back, and whoever takes from it waits for that.

    Args:
        manager: the job manager.
        queue: the framework's queue.
    """

    def __init__(self, manager: Any, queue: asyncio.Queue[Any]) -> None:
        self._manager = manager
        self._queue = queue
        self._changed = asyncio.Event()
        self._waiting = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def is_used_up(self) -> bool:
        """Return whether nothing is left, and nothing under way that may be put back."""
        # All places are free, but for that of whoever waits: what was tried has been counted, and put back if it was.
        free = self._manager.semaphore._value + self._waiting  # noqa: SLF001 (no other way to know)
        return self._queue.empty() and free >= self._manager.job_config.max_concurrency

    def empty(self) -> bool:
        """Return whether there is nothing to wait for."""
        return self._queue.empty() and (not hasattr(self._manager, "semaphore") or self.is_used_up())

    async def put(self, item: Any) -> None:
        """Put an input back."""
        await self._queue.put(item)
        self._changed.set()

    def note_change(self) -> None:
        """Let whoever waits look again: a try has been counted."""
        self._changed.set()

    async def get(self) -> Any:
        """Return the next input, as soon as there is one.

        Raises:
            JobOverError: the job is to stop.
        """
        self._waiting += 1
        try:
            while self._queue.empty():
                self._changed.clear()
                if self._manager._is_job_to_stop():  # noqa: SLF001 (the framework asks no other)
                    raise JobOverError
                await self._changed.wait()
        finally:
            self._waiting -= 1
        return self._queue.get_nowait()


class JobOverError(Exception):
    """The job is to stop. This never reaches a caller."""


_states: weakref.WeakKeyDictionary[Any, _State] = weakref.WeakKeyDictionary()


def _state(manager: Any) -> _State:
    return _states.setdefault(manager, _State())


def run_of(manager: Any) -> FactoryRun | None:
    """Return the run that a job manager works on; None in a dry run, and with the framework's storage in memory."""
    storage = manager.storage
    return storage.run if isinstance(storage, Adapter) else None


def running_single_task(original: AsyncMethod, index: str) -> AsyncMethod:
    """Make each try of an input a `Trial`.

    Args:
        original: the method.
        index: the field of an input that holds its position.
    """

    @functools.wraps(original)
    async def run_single_task(manager: Any, input_data: dict[str, Any]) -> Any:
        run = run_of(manager)
        if run is None:
            return await original(manager, input_data)
        trial = Trial(run, await run.begin(input_data[index]))
        token = trial_under_way.set(trial)
        try:
            return await original(manager, input_data)
        except asyncio.CancelledError:
            await trial.release()
            raise
        except Exception as error:
            if not trial.is_stored:  # a hook for errors raised, and ends the job
                trial.note_error(error)
                await trial.fail()
            raise
        finally:
            trial_under_way.reset(token)

    return run_single_task


def running_task(original: AsyncMethod) -> AsyncMethod:
    """Make each call of the function an attempt."""

    @functools.wraps(original)
    async def run_task(runner: Any, func: AsyncMethod, *arguments: Any, **keywords: Any) -> Any:
        trial = trial_under_way.get()

        @functools.wraps(func)
        async def call(**fields: Any) -> Any:
            # What the function starts, such as a factory of its own, is no part of this try.
            token = trial_under_way.set(None)
            try:
                if trial is None:
                    return await uncancelled(func(**fields))
                return await trial.call(func, fields)
            finally:
                trial_under_way.reset(token)

        return await original(runner, call, *arguments, **keywords)

    return run_task


def handling_task_error(original: Method) -> Method:
    """Note what a try failed with."""

    @functools.wraps(original)
    def handle_task_error(manager: Any, error: BaseException) -> Any:
        trial = trial_under_way.get()
        if trial is not None:
            trial.note_error(error)
        return original(manager, error)

    return handle_task_error


def requeuing_task(original: AsyncMethod) -> AsyncMethod:
    """Store a try that failed before the input can be tried again."""

    @functools.wraps(original)
    async def requeue_task(manager: Any, *arguments: Any, **keywords: Any) -> Any:
        trial = trial_under_way.get()
        if trial is not None and not trial.is_stored and _state(manager).error is None:
            await trial.fail()
        return await original(manager, *arguments, **keywords)

    return requeue_task


def saving_record_data(original: AsyncMethod, dry_run: str) -> AsyncMethod:
    """Store a result in one step: the attempt, the records under uids of their own, the end of the input.

    Args:
        original: the method.
        dry_run: the mode of a job that stores nothing.
    """

    @functools.wraps(original)
    async def save_record_data(manager: Any, records: Any, task_status: Any, input_data: Any) -> Any:
        trial, storage = trial_under_way.get(), manager.storage
        try:
            if trial is not None:
                return await trial.save(records, task_status)
            if isinstance(storage, Adapter) and manager.job_config.run_mode != dry_run:
                return await _save_without_run(manager, storage, records, task_status, input_data)
        except InvalidInputError:
            raise  # what the function returned is at fault
        except StorageError as error:
            _state(manager).error = error  # another try would be paid for, and not be stored either
            raise
        return await original(manager, records, task_status, input_data)

    return save_record_data


async def _save_without_run(manager: Any, storage: Adapter, records: Any, status: Any, input_data: Any) -> list[str]:
    """Store a result of a job that Starfish has begun with its own storage, and that goes on here."""
    job_id, now = str(uuid.uuid4()), utc_now()
    await manager._create_execution_job(job_id, input_data)  # noqa: SLF001 (what it stores is looked for at a resume)
    rows = [
        Record(
            record_uid=str(uuid.uuid4()),
            job_id=job_id,
            master_job_id=manager.master_job_id,
            status=status,
            start_time=now,
            end_time=now,
            last_update_time=now,
        )
        for _ in records
    ]
    references = await storage.storage.save_records(zip(rows, records, strict=True))
    await manager._complete_execution_job(job_id, status=status, num_records=len(rows))  # noqa: SLF001 (as above)
    return references


def handling_task_completion(original: AsyncMethod) -> AsyncMethod:
    """End the job if a task ended in a way that the framework would wait for for ever."""

    @functools.wraps(original)
    async def handle_task_completion(manager: Any, task: asyncio.Task[Any]) -> None:
        try:
            await original(manager, task)
        except BaseException as error:  # noqa: BLE001 (raised when the job has ended)
            state = _state(manager)
            if not state.is_ending:
                state.error = state.error or error
                manager.semaphore.release()
        finally:
            queue = _state(manager).queue
            if queue is not None:
                queue.note_change()

    return handle_task_completion


def stopping_job(original: Method) -> Method:
    """Stop also where nothing is left to do, where something ended the job, and where somebody asked for that."""

    @functools.wraps(original)
    def is_job_to_stop(manager: Any) -> bool:
        run, state = run_of(manager), _state(manager)
        if state.error is not None or (run is not None and run.stop_reason is not None):
            return True
        return original(manager) or (state.queue is not None and state.queue.is_used_up())

    return is_job_to_stop


def running_orchestration(original: AsyncMethod) -> AsyncMethod:
    """Give the job a queue that says when it is used up, and raise what ended the job."""

    @functools.wraps(original)
    async def async_run_orchestration(manager: Any) -> None:
        state, queue = _state(manager), manager.job_input_queue
        state.queue = manager.job_input_queue = InputQueue(manager, queue)
        try:
            # Until it ends, though `install` or `uninstall` is called meanwhile.
            with kept(manager, _OF_JOB), kept(manager.task_runner, ["run_task"]):
                await original(manager)
        finally:
            state.queue, manager.job_input_queue = None, queue
        error = state.error
        if isinstance(error, Exception | KeyboardInterrupt):
            raise error
        if error is not None:
            raise RuntimeError(f"a task of the job ended with {type(error).__name__}") from error

    return async_run_orchestration


def cleaning_up(original: AsyncMethod) -> AsyncMethod:
    """Note that tasks are cancelled from here on."""

    @functools.wraps(original)
    async def cleanup(manager: Any) -> None:
        _state(manager).is_ending = True
        await original(manager)

    return cleanup


def processing_tasks(original: AsyncMethod) -> AsyncMethod:
    """End when the queue says that the job is over."""

    @functools.wraps(original)
    async def process_tasks(manager: Any) -> None:
        with suppress(JobOverError):
            await original(manager)

    return process_tasks
