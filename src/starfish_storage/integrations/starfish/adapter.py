"""The storage that the framework is given: the methods and attributes that it knows, over a storage of this library."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NoReturn, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.integrations.starfish.factory_run import FactoryRun, refuse_begun_or_under_way, stored_inputs
from starfish_storage.integrations.starfish.opening import Opening
from starfish_storage.integrations.starfish.stored_code import refuse_untrusted, without_pickled_keys
from starfish_storage.interface import Storage
from starfish_storage.keys import CONFIG_DIRECTORY, master_job_of
from starfish_storage.models import GenerationMasterJob
from starfish_storage.times import utc_now

CLASS_NAME = "LocalStorage"
"""The framework stores nothing through a class of another name."""

_OF_FRAMEWORK = "starfish"
"""The field of a request configuration that holds what the framework gave as one."""


opened_here: ContextVar[list[Adapter] | None] = ContextVar("starfish_opened_here", default=None)
"""Gets the storages that are made while a job is resumed."""


class _MetadataHandler:
    """What the framework's own tests, and programs that do as they do, read of its handler of metadata.

    Attributes:
        db_path: the database; of a server, its URI.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.db_path: str = getattr(storage, "metadata_db_path", storage.storage_uri)

    async def batch_save_execution_jobs(self, jobs: Iterable[Any]) -> None:
        """Store execution jobs, together. Durable."""
        await asyncio.gather(*map(self._storage.log_execution_job_start, jobs))

    async def batch_save_records(self, records: Iterable[Any]) -> None:
        """Store the metadata of records, together. Durable."""
        await asyncio.gather(*map(self._storage.log_record_metadata, records))


class Adapter:
    """What all classes of storages that `storage_class` makes have.

    Args:
        storage_uri: where it lies.
        data_storage_uri_override: where its data lies, if not there.

    Attributes:
        opening: how it is opened; of the class.
        index: the field of an input that holds its position; of the class.
        storage: the storage itself.
        run: the run that a factory works on through it.
        naming: what a master job gets that is about to be started by a factory; the framework names all alike.
    """

    opening: Opening
    index: str

    def __init__(self, storage_uri: str, data_storage_uri_override: str | None = None) -> None:
        self.storage = self.opening.open(storage_uri, data_storage_uri_override)
        self.run: FactoryRun | None = None
        self.naming: Mapping[str, Any] = {}
        self._metadata_handler = _MetadataHandler(self.storage)
        opened = opened_here.get()
        if opened is not None:
            opened.append(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a storage cannot be pickled: open it again by its URI")

    def __getattr__(self, name: str) -> Any:
        if name == "storage":  # while it is made
            raise AttributeError(name)
        return getattr(self.storage, name)

    async def setup(self) -> None:
        """Open it. Idempotent."""
        await self.storage.setup()

    async def close(self) -> None:
        """Close it, and the run. Idempotent."""
        try:
            if self.run is not None:
                await self.run.close()
        finally:
            await self.storage.close()

    async def save_request_config(self, config_ref: str, config_data: dict[str, Any]) -> str:
        """Store a request configuration. What the framework needs to resume lies below one field of that of a run."""
        if not self.naming or "func" not in config_data:
            return await self.storage.save_request_config(config_ref, config_data)
        # The inputs are in the ledger.
        kept = without_pickled_keys({name: value for name, value in config_data.items() if name != "input_data"})
        return await self.storage.save_request_config(config_ref, {**self.naming["about"], _OF_FRAMEWORK: kept})

    async def get_request_config(self, config_ref: str) -> dict[str, Any]:
        """Return a request configuration as it was given, with the inputs of its run.

        Raises:
            UntrustedCodeError: it holds functions, and others can write to the store.
            InvalidInputError: its run cannot be resumed.
        """
        stored = await self.storage.get_request_config(config_ref)
        given = stored.get(_OF_FRAMEWORK)
        if isinstance(given, dict):
            run_id = master_job_of(f"{CONFIG_DIRECTORY}/{os.path.basename(config_ref)}")
            await refuse_begun_or_under_way(self.storage, run_id)
            stored = {
                **cast("dict[str, Any]", given),
                "input_data": await stored_inputs(self.storage, run_id, self.index),
            }
        elif opened_here.get() is not None and "func" not in stored:
            raise InvalidInputError(
                f"{os.path.basename(config_ref)!r} is not the configuration of a run of Starfish: "
                "starfish_storage.resume goes on with runs of generate."
            )
        if stored.get("func") or stored.get("config"):
            refuse_untrusted(self.storage, config_ref, trusts_code=self.opening.trusts_code)
        return stored

    async def get_master_job(self, master_job_id: str) -> GenerationMasterJob | None:
        """Return a master job; of one that is about to be resumed, the counts are those of its records."""
        if opened_here.get() is not None and await self.storage.ledger.get_run(master_job_id) is not None:
            await self.storage.ledger.refresh_run(master_job_id, utc_now())
        return await self.storage.get_master_job(master_job_id)

    async def log_master_job_start(self, job_data: GenerationMasterJob) -> None:
        """Store a master job; one that a factory starts under its own name, with its times and its target."""
        job = job_data.model_copy(update=self.naming["job"]) if self.naming else job_data
        await self.storage.log_master_job_start(job)

    async def log_master_job_end(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> None:
        """Store how a master job ended; that of a factory as its inputs did."""
        if self.run is not None and self.run.id == master_job_id:
            job = await self.storage.get_master_job(master_job_id)
            target = 0 if job is None else job.target_record_count
            status, found = await self.run.settle(final_status, target)
            final_status, summary = status, {**found, _OF_FRAMEWORK: dict(summary or {})}
        await self.storage.log_master_job_end(master_job_id, final_status, summary, end_time, update_time)


def storage_class(contract: type, opening: Opening, index: str) -> type[Adapter]:
    """Return the class that takes the place of the framework's own.

    Args:
        contract: the framework's contract of storages, whose methods it has, all of them those of a storage of ours.
        opening: how its storages are opened.
        index: the field of an input that holds its position.
    """
    names: Iterable[str] = cast("Any", contract).__abstractmethods__
    handed_on = {name: _handed_on(name) for name in names if not hasattr(Adapter, name)}
    body = {**handed_on, "opening": opening, "index": index, "__module__": __name__, "__doc__": Adapter.__doc__}
    return cast("type[Adapter]", type(CLASS_NAME, (Adapter, contract), body))


def _handed_on(name: str) -> Any:
    """Return an attribute that hands on to the storage itself; a bound method of that where it is one."""
    read: Callable[[Adapter], Any] = lambda adapter: getattr(adapter.storage, name)  # noqa: E731
    return property(read)


def storage_in_memory(original: type) -> type:
    """Return the framework's storage in memory as one that can be made, and that a job can begin with."""

    class InMemoryStorage(original):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass] (the framework's)
        async def get_request_config(self, config_ref: str) -> dict[str, Any]:
            """Return a configuration: it keeps none."""
            del config_ref
            return {}

        def generate_request_config_path(self, master_job_id: str) -> str:
            """Return a reference, which the model of a master job needs."""
            return master_job_id

    return InMemoryStorage
