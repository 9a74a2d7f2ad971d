"""What of the framework's classes is wrapped: where they store, fail, wait and end.

Each function here makes what takes the place of a method; it calls that method, and does what has to be done around it.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starfish_storage.errors import StorageError
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.integrations.starfish.adapter import Adapter
from starfish_storage.integrations.starfish.factory_run import FactoryRun
from starfish_storage.integrations.starfish.trial import Trial, trial_under_way, uncancelled

Method = Callable[..., Any]
AsyncMethod = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _State:
    """What is known of a job manager beyond itself.

    Attributes:
        error: what ended its job; None if nothing did.
        is_ending: it cancels what is under way.
    """

    error: BaseException | None = None
    is_ending: bool = False


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
        if isinstance(error, StorageError) and run_of(manager) is not None:
            _state(manager).error = error  # another try would be paid for, and not be stored either
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


def saving_record_data(original: AsyncMethod) -> AsyncMethod:
    """Store a result in one step: the attempt, the records under uids of their own, the end of the input."""

    @functools.wraps(original)
    async def save_record_data(manager: Any, records: Any, task_status: Any, input_data: Any) -> Any:
        trial = trial_under_way.get()
        if trial is None:
            return await original(manager, records, task_status, input_data)
        return await trial.save(records, task_status)

    return save_record_data


def handling_task_completion(original: AsyncMethod) -> AsyncMethod:
    """End the job if a task ended in a way that the framework would wait for for ever."""

    @functools.wraps(original)
    async def handle_task_completion(manager: Any, task: asyncio.Task[Any]) -> None:
        try:
            await original(manager, task)
        except (Exception, asyncio.CancelledError, StoppedError) as error:  # noqa: BLE001 (raised when the job has ended)
            state = _state(manager)
            if not state.is_ending:
                state.error = state.error or error
                manager.semaphore.release()

    return handle_task_completion


def stopping_job(original: Method) -> Method:
    """Stop also where nothing is left to do, where something ended the job, and where somebody asked for that."""

    @functools.wraps(original)
    def is_job_to_stop(manager: Any) -> bool:
        run = run_of(manager)
        if _state(manager).error is not None or (run is not None and run.stop_reason is not None):
            return True
        # All places are free again, so whatever was tried has been counted and put back, if it is to be tried again.
        is_idle = manager.semaphore._value >= manager.job_config.max_concurrency  # noqa: SLF001 (no other way to know)
        return original(manager) or (is_idle and manager.job_input_queue.empty())

    return is_job_to_stop


def running_orchestration(original: AsyncMethod) -> AsyncMethod:
    """Raise what ended the job."""

    @functools.wraps(original)
    async def async_run_orchestration(manager: Any) -> None:
        await original(manager)
        error = _state(manager).error
        if error is not None:
            raise error if isinstance(error, Exception) else RuntimeError("a task was cancelled") from error

    return async_run_orchestration


def cleaning_up(original: AsyncMethod) -> AsyncMethod:
    """Note that tasks are cancelled from here on."""

    @functools.wraps(original)
    async def cleanup(manager: Any) -> None:
        _state(manager).is_ending = True
        await original(manager)

    return cleanup
