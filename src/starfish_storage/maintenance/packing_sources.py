"""Which data `pack` and `unpack` move: that of a run by its rows, that of a store by what lies there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.object_inventory import ObjectInventory
from starfish_storage.errors import StoreOpenError
from starfish_storage.interface import DataHandler, MetadataHandler, Storage
from starfish_storage.interface.inspection import DataInventory, FoundFile
from starfish_storage.keys import DATA_DIRECTORY
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.metadata.sqlite.repacking import Repacking
from starfish_storage.storage.hybrid import HybridStorage

if TYPE_CHECKING:
    from starfish_storage.metadata.postgres.handler import PostgresMetadataHandler

_ROWS_AT_ONCE = 500
_PLACES_AT_ONCE = 5000  # of a pack, read in the order of their places


class StoreParts(NamedTuple):
    """What a store is made of, for those who move its data.

    Attributes:
        metadata: knows where data lies.
        data: reads it.
        repacking: writes it anew.
    """

    metadata: MetadataHandler
    data: DataHandler
    repacking: Repacking


def handlers_of(storage: Storage) -> StoreParts:
    """Return what an open store is made of.

    Raises:
        StoreOpenError: its layout cannot be changed.
    """
    if isinstance(storage, HybridStorage) and isinstance(storage.metadata, SQLiteMetadataHandler):
        return StoreParts(storage.metadata, storage.data, storage.metadata.repacking)
    reason = (
        "'pack' and 'unpack' are for stores whose rows are in SQLite; copy this one into a store of the other layout "
        "with 'copy'"
    )
    raise StoreOpenError(storage.storage_uri, reason)


def merges_only(storage: Storage) -> bool:
    """Return whether a store is one of packs that can be put together, and whose layout cannot be changed."""
    if not isinstance(storage, HybridStorage) or isinstance(storage.metadata, SQLiteMetadataHandler):
        return False
    return cast("PostgresMetadataHandler", storage.metadata).repacking.is_packed


async def keys_of_run(storage: Storage, master_job_id: str) -> AsyncIterator[Sequence[str]]:
    """Yield the keys of the data that records and versions of a master job refer to, in pages."""
    rows = storage.transfer.rows
    record = None
    while page := await rows.list_records(master_job_id, after=record, limit=_ROWS_AT_ONCE):
        record = page[-1]
        yield [one.record.output_ref for one in page if one.record.output_ref is not None]
    job = None
    while jobs := await rows.list_execution_jobs(master_job_id, after=job, limit=_ROWS_AT_ONCE):
        job = jobs[-1]
        versions = await rows.get_versions([one.job.job_id for one in jobs])
        yield [one.version.output_ref for one in versions if one.version.output_ref is not None]


async def keys_of_runs(storage: Storage) -> AsyncIterator[Sequence[str]]:
    """Yield what `keys_of_run` does of every master job, in the order in which they were stored."""
    for master_job_id in await storage.transfer.rows.list_master_job_order():
        async for page in keys_of_run(storage, master_job_id):
            yield page


async def keys_of_files(data: DataHandler) -> AsyncIterator[Sequence[str]]:
    """Yield the keys of the data that lies in files or objects of its own, whether a row knows it or not, in pages."""
    inventory = _inventory_of(data)
    try:
        pages: Iterator[Sequence[FoundFile]] = iter(inventory.pages())
        while page := await asyncio.to_thread(next, pages, None):
            yield [file.key for file in page if file.is_data and file.key.startswith(f"{DATA_DIRECTORY}/")]
    finally:
        inventory.close()


async def keys_in_packs(repacking: Repacking) -> AsyncIterator[Sequence[str]]:
    """Yield the keys of the data that lies in packs, pack by pack, in pages."""
    for pack in await repacking.rows.packs():
        after = ""
        while page := await repacking.rows.page(pack, after, _PLACES_AT_ONCE):
            after = page[-1][0]
            yield [key for key, _ in page]


def _inventory_of(data: DataHandler) -> DataInventory:
    if isinstance(data, FileSystemDataHandler):
        return Inventory(data.root)
    return ObjectInventory(data.to_reference("").rstrip("/"))
