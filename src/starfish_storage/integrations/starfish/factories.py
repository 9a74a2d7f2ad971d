"""What of the framework's factory is wrapped: how a job begins, goes on and ends."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starfish_storage.errors import StorageError
from starfish_storage.generation.loading import is_found_by_name, stored_name
from starfish_storage.generation.options import Options
from starfish_storage.generation.starting import project_id_of
from starfish_storage.integrations.starfish.adapter import Adapter, opened_here
from starfish_storage.integrations.starfish.factory_run import new_run, stored_run
from starfish_storage.integrations.starfish.patches import kept
from starfish_storage.runs import RunInput
from starfish_storage.times import utc_now

AsyncMethod = Callable[..., Awaitable[Any]]

_OF_FACTORY = (
    *("_save_project", "_save_request_config", "_log_master_job_start", "_setup_job_execution"),
    "_finalize_and_cleanup_job",
)
"""Methods of a factory that belong together."""

_SHOWN = (
    *("batch_size", "dead_queue_threshold", "job_run_stop_threshold", "max_concurrency", "target_count"),
    "task_runner_timeout",
)


def calling_factory(original: AsyncMethod) -> AsyncMethod:
    """Run a factory that is called while it runs, as by a function that another factory calls several times at once.

    The second run has a factory of its own: in the same one, it would take the storage and the results of the first.
    """
    running: weakref.WeakSet[Any] = weakref.WeakSet()

    @functools.wraps(original)
    async def call(factory: Any, *arguments: Any, **keywords: Any) -> Any:
        if factory in running:
            another = type(factory)(dataclasses.replace(factory.config, prev_job={}), factory.func)
            another.target_count, another.state = factory.target_count, factory.state
            return await another(*arguments, **keywords)
        running.add(factory)
        try:
            with kept(factory, _OF_FACTORY):  # until it ends, though `install` or `uninstall` is called meanwhile
                return await original(factory, *arguments, **keywords)
        finally:
            running.discard(factory)

    return call


def saving_project(original: AsyncMethod) -> AsyncMethod:
    """Find the project by its name, in place of a new one for each run."""

    @functools.wraps(original)
    async def save_project(factory: Any) -> None:
        storage = factory.factory_storage
        if isinstance(storage, Adapter):
            factory.config.project_id = await project_id_of(storage.storage, storage.opening.project)
        else:
            await original(factory)

    return save_project


def logging_master_job_start(original: AsyncMethod, index: str) -> AsyncMethod:
    """Store the configuration and the inputs before the first call, so that a job that is killed can be resumed.

    Args:
        original: the method.
        index: the field of an input that holds its position.
    """

    @functools.wraps(original)
    async def log_master_job_start(factory: Any) -> None:
        storage = factory.factory_storage
        if not isinstance(storage, Adapter):
            await original(factory)
            return
        inputs = [
            RunInput(given[index], {name: value for name, value in given.items() if name != index})
            for given in factory.original_input_data
        ]
        try:
            for one in inputs:
                storage.storage.ledger.check_input(one)
                one.encoded()
        except StorageError:
            factory.job_manager = None  # there is no job to end
            raise
        run_id = factory.config.master_job_id
        about, now = _about(factory), utc_now()
        of_job: dict[str, Any] = {
            "name": _name(factory.func),
            "output_schema": {},
            "storage_uri": storage.storage.storage_uri,
            "target_record_count": len(inputs),
            "start_time": now,
            "creation_time": now,
            "last_update_time": now,
        }
        storage.naming = {"about": about, "job": of_job}
        factory.config_ref = storage.generate_request_config_path(run_id)
        await factory._save_request_config()  # noqa: SLF001 (what the framework itself calls, at the end)
        await original(factory)
        storage.run = await new_run(storage.storage, run_id, factory.func, _options(factory), about["config"])
        await storage.run.register(inputs)

    return log_master_job_start


def resuming(original: AsyncMethod, fields: dict[str, str]) -> AsyncMethod:
    """Give the framework what is done, from the ledger, in place of one question for each input.

    Args:
        original: the method that finds what is done, of a job that is resumed.
        fields: the names of the fields of what a job puts out: ``index`` and ``status``.
    """
    index = fields["index"]

    @functools.wraps(original)
    async def handle_completed_tasks(manager: Any, input_data_hashed: list[dict[str, Any]]) -> None:
        run = manager.storage.run if isinstance(manager.storage, Adapter) else None
        if run is None:
            await original(manager, input_data_hashed)
            return
        done = await run.find_inputs()
        outputs = await run.outputs_of(done)
        for position in done:
            await manager.job_output.put(
                {index: position, fields["status"]: "completed", "output": outputs[position], "err": [{}]},
            )
        manager.completed_count = len(done)
        input_data_hashed[:] = [item for item in input_data_hashed if item["data"].get(index) not in outputs]

    return handle_completed_tasks


def setting_up_execution(original: AsyncMethod, resumed: str) -> AsyncMethod:
    """Open the run of a job that is resumed, before its inputs are looked at.

    Args:
        original: the method.
        resumed: the mode of a job that is resumed.
    """

    @functools.wraps(original)
    async def setup_job_execution(factory: Any) -> None:
        storage = factory.factory_storage
        if isinstance(storage, Adapter) and factory.config.run_mode == resumed:
            about = _about(factory)
            run_id, options = factory.config.master_job_id, _options(factory)
            try:
                storage.run = await stored_run(storage.storage, run_id, factory.func, options, about["config"])
            except StorageError:
                factory.job_manager = None  # the job is not this one's to end
                raise
            if storage.run is not None:
                if not is_found_by_name(about["function"]):
                    about["function"] = await _stored_function(storage, run_id) or about["function"]
                storage.naming = {"about": about, "job": {}}
        await original(factory)

    return setup_job_execution


def saving_request_config(original: AsyncMethod) -> AsyncMethod:
    """Leave the configuration as it is where the storage has failed: the job may not even be this one's."""

    @functools.wraps(original)
    async def save_request_config(factory: Any) -> None:
        if not (isinstance(factory.factory_storage, Adapter) and isinstance(factory.err, StorageError)):
            await original(factory)

    return save_request_config


def resuming_job(original: AsyncMethod) -> AsyncMethod:
    """Close the storages of a job that cannot be resumed: the framework leaves them open."""

    @functools.wraps(original)
    async def resume(*arguments: Any, **keywords: Any) -> Any:
        opened: list[Adapter] = []
        token = opened_here.set(opened)
        try:
            return await original(*arguments, **keywords)
        except BaseException:
            for storage in opened:
                with suppress(StorageError):
                    await storage.close()
            raise
        finally:
            opened_here.reset(token)

    return resume


def executing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Raise what a job raised: a `RuntimeError`, the framework takes for one of the event loop, and runs all again."""

    @functools.wraps(original)
    def execute(callable_func: AsyncMethod, *arguments: Any, **keywords: Any) -> Any:
        raised: list[Exception] = []

        async def carried_out() -> Any:
            try:
                return await callable_func(*arguments, **keywords)
            except Exception as error:  # noqa: BLE001 (raised below)
                raised.append(error)

        result = original(carried_out)
        if raised:
            raise raised[0]
        return result

    return execute


def finalizing(original: AsyncMethod) -> AsyncMethod:
    """Close the storage whatever happens, and raise the error of the storage before any that follows from it."""

    @functools.wraps(original)
    async def finalize_and_cleanup_job(factory: Any) -> Any:
        first = factory.err
        try:
            result = await original(factory)
        except BaseException as error:
            if isinstance(factory.factory_storage, Adapter):
                with suppress(StorageError):
                    await factory.factory_storage.close()
            if isinstance(first, StorageError) and error is not first:
                raise first from None
            raise
        if isinstance(first, StorageError):
            raise first
        return result

    return finalize_and_cleanup_job


def _options(factory: Any) -> Options:
    config = factory.config
    return Options().with_given({"max_concurrency": config.max_concurrency, "timeout": config.task_runner_timeout})


def _about(factory: Any) -> dict[str, Any]:
    """Return the request configuration of a run, as `generate` stores it: the command line and the viewer show it."""
    config = {name: getattr(factory.config, name) for name in _SHOWN}
    return {
        "function": stored_name(factory.func),
        "inputs": None,
        "options": _options(factory).to_json(),
        "config": config,
    }


async def _stored_function(storage: Adapter, run_id: str) -> str | None:
    """Return the name that a run was stored with: its function, if loaded from its pickle, has none in this program."""
    config = await storage.storage.get_request_config(storage.generate_request_config_path(run_id))
    return config.get("function")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
