"""Puts this storage under the framework, and takes it away again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, cast

from starfish_storage.integrations.starfish import factories, jobs
from starfish_storage.integrations.starfish.adapter import storage_class, storage_in_memory
from starfish_storage.integrations.starfish.framework import Framework, load_framework
from starfish_storage.integrations.starfish.model_calls import record_calls
from starfish_storage.integrations.starfish.opening import Opening
from starfish_storage.integrations.starfish.patches import Patches, defined
from starfish_storage.interface import Layout
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.uri import as_uri

_lock = threading.Lock()
_patches = Patches()


def install(
    storage_uri: str | os.PathLike[str] | None = None,
    *,
    project: str = "starfish",
    trust_stored_code: bool = False,
    data_uri: str | os.PathLike[str] | None = None,
    layout: Layout | None = None,
    durability: Durability = "power",
    redact_secrets: bool = True,
) -> None:
    """Let the factories of Starfish (`starfish-core`) store through this library, from now on, in this process.

    Call it once, before the first factory runs. ``@data_factory(...)``, ``.run``, ``.dry_run``, ``.resume`` and
    ``resume_from_checkpoint`` stay as they are. A run of a factory is a run with a ledger: an input for each row of its
    data, an attempt for each call of its function. It can be resumed after the process was killed at any moment. Calls
    of models that go through LiteLLM are recorded with their costs, as by `starfish_storage.http.async_client`.

    Calling it again replaces what was said before; what runs meanwhile keeps its storage.

    Args:
        storage_uri: where the storage lies, as for `open_storage`: a directory or ``file://`` URI, or
            ``"postgresql://..."``. None: where Starfish would store, which ``STARFISH_LOCAL_STORAGE_DIR`` says.
        project: the name of the project that runs belong to.
        trust_stored_code: load the functions of runs also from a store that others can write to, or that lies on a
            server or in a bucket. To load a function is to run it: whoever can write there can run code as this user.
        data_uri: where the data lies, such as ``"s3://bucket/prefix"``; None: beside the metadata.
        layout: ``"files"`` or ``"packed"``, of a new store; None: files for a local one, packs for another.
        durability: as for `open_storage`.
        redact_secrets: as for `open_storage`.

    Raises:
        MissingExtraError: Starfish is not installed.
        UnsupportedVersionError: Starfish is of a version that this library does not know.
        InvalidUriError: the storage cannot lie there.
        InvalidInputError: an option has an unknown value.
    """
    framework = load_framework()
    uri = as_uri(framework.constants.LOCAL_STORAGE_URI if storage_uri is None else storage_uri)
    options = {"layout": layout, "durability": durability, "redact_secrets": redact_secrets}
    opening = Opening(uri, None if data_uri is None else as_uri(data_uri), options, project, trust_stored_code)
    opening.open(opening.uri, None)  # refuses what it cannot use; nothing is made before it is set up
    with _lock:
        _patches.undo()
        try:
            _replace(framework, opening)
        except BaseException:
            _patches.undo()
            raise


def uninstall() -> None:
    """Put everything back as it was before `install`; what runs meanwhile keeps its storage. Idempotent."""
    with _lock:
        _patches.undo()


def _replace(framework: Framework, opening: Opening) -> None:
    made = storage_class(framework.contract.Storage, opening, framework.constants.IDX)
    for module in (framework.factory, framework.local, framework.local_storage):
        _patches.set(module, "LocalStorage", made)
    _patches.set(framework.factory, "InMemoryStorage", storage_in_memory(framework.factory.InMemoryStorage))
    for module in (framework.factory, framework.constants):
        _patches.set(module, "LOCAL_STORAGE_URI", opening.uri)
    registered = framework.contract.storage_registry._registry  # noqa: SLF001 (it has no way to take a name back)

    def created(config: Any) -> Any:
        """Make a storage as the framework's registry does: of a configuration, an object or a dict."""
        given = cast("dict[str, Any]", config if isinstance(config, dict) else vars(config))
        return made(given.get("storage_uri") or opening.uri, given.get("data_storage_uri_override"))

    for name in ("local", "starfish_storage"):
        _patches.put(registered, name, created)
    _wrap_factory(framework)
    _wrap_jobs(framework)
    record_calls(_patches)


def _wrap(owner: Any, name: str, wrapper: Callable[..., Any], *arguments: Any) -> None:
    """Replace a method by what a function makes of it."""
    made = wrapper(getattr(owner, name), *arguments)
    is_static = isinstance(defined(owner, name), staticmethod)
    _patches.set(owner, name, staticmethod(made) if is_static else made)


def _wrap_factory(framework: Framework) -> None:
    factory, constants = framework.factory.Factory, framework.constants
    _wrap(factory, "__call__", factories.calling_factory)
    _wrap(factory, "_save_project", factories.saving_project)
    _wrap(factory, "_save_request_config", factories.saving_request_config)
    _wrap(factory, "_log_master_job_start", factories.logging_master_job_start, constants.IDX)
    _wrap(factory, "_setup_job_execution", factories.setting_up_execution, constants.RUN_MODE_RE_RUN)
    _wrap(factory, "_finalize_and_cleanup_job", factories.finalizing)
    manager = framework.executing.FactoryExecutorManager
    _wrap(manager.Resume, "resume", factories.resuming_job)
    _wrap(manager.EventLoop, "execute", factories.executing)


def _wrap_jobs(framework: Framework) -> None:
    manager, constants = framework.managing.JobManager, framework.constants
    _wrap(manager, "_run_single_task", jobs.running_single_task, constants.IDX)
    _wrap(manager, "_handle_task_error", jobs.handling_task_error)
    _wrap(manager, "_requeue_task", jobs.requeuing_task)
    _wrap(manager, "_job_save_record_data", jobs.saving_record_data, constants.RUN_MODE_DRY_RUN)
    _wrap(manager, "_handle_task_completion", jobs.handling_task_completion)
    _wrap(manager, "_is_job_to_stop", jobs.stopping_job)
    _wrap(manager, "_async_run_orchestration", jobs.running_orchestration)
    _wrap(manager, "_process_tasks", jobs.processing_tasks)
    _wrap(manager, "_cleanup", jobs.cleaning_up)
    fields = {"index": constants.IDX, "status": constants.RECORD_STATUS}
    _wrap(framework.resuming.JobManagerRerun, "_handle_completed_tasks", factories.resuming, fields)
    _wrap(framework.running.TaskRunner, "run_task", jobs.running_task)
