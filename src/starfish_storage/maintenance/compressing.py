"""Compressing the packs of a store in place.

Compressing changes no row and no place, so it asks nothing of the runs whose data a pack holds: whatever they do next
goes into another pack. What matters is that nobody appends to it, which its lock tells.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from starfish_storage.data.compressed_packs import require_zstd
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.pack_compression import PackCompression
from starfish_storage.errors import StoreDamagedError, StoreOpenError
from starfish_storage.interface import Storage
from starfish_storage.keys import pack_key
from starfish_storage.maintenance.packing import MoveProgress
from starfish_storage.maintenance.packing_report import PackingReport
from starfish_storage.maintenance.packing_sources import handlers_of, merges_only


def refuse_compression(storage: Storage) -> None:
    """Raise if the packs of a store cannot be compressed; called before anything is changed.

    Raises:
        StoreOpenError: the store is of another kind.
        MissingExtraError: what compresses them is not installed.
    """
    if merges_only(storage) or not isinstance(handlers_of(storage).data, FileSystemDataHandler):
        reason = "packs are compressed only where data lies in a directory, and rows in SQLite; leave --compress out"
        raise StoreOpenError(storage.storage_uri, reason)
    require_zstd()


async def compress(storage: Storage, report: PackingReport, *, progress: MoveProgress | None = None) -> None:
    """Compress the packs that hold data of the run that a report is of, or all, if it is of none; note it there.

    Packs stay that somebody appends to, this object too, and those of which the journal holds something. Idempotent.
    Durable. A damaged pack is left.

    Raises: as `refuse_compression`; also
        StorageFullError: no space was left; nothing is lost, and what was compressed stays so.
        StorageIOError: it failed; so, too.
    """
    refuse_compression(storage)
    _, data, repacking = handlers_of(storage)
    assert isinstance(data, FileSystemDataHandler)
    compression = PackCompression(data.directories, data.staging, data.files)
    began = time.monotonic()
    packs = await repacking.rows.packs(report.master_job_id)
    for number, pack in enumerate(packs, 1):
        key = pack_key(pack)
        committed = partial(repacking.rows.committed_end, pack)
        try:
            done = await asyncio.to_thread(compression.compress, key, committed)
        except StoreDamagedError as error:
            report.left.append((key, str(error)))
            continue
        if done is not None:
            report.packs += 1
            report.bytes_before += done.before
            report.bytes_after += done.after
        elif data.exists(key):
            report.packs_in_use += 1
        if progress is not None:
            progress(number, len(packs), "compressing")
    report.seconds += time.monotonic() - began
