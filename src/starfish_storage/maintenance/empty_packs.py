"""Removing packs of which no row names anything any more, at once: `collect` would do so some time later."""

from __future__ import annotations

import asyncio

from starfish_storage.data.compressed_packs import ENDING, RecentFrames
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.open_packs import open_pack
from starfish_storage.data.pack_compression import lock_out_writers
from starfish_storage.errors import StorageError
from starfish_storage.interface import Storage
from starfish_storage.keys import pack_key
from starfish_storage.maintenance.packing_sources import handlers_of


async def remove_empty_packs(storage: Storage) -> int:
    """Remove the packs that nobody appends to, and that neither a row nor the journal names; return how many.

    Of an object store none: there, whoever has put a pack may be about to commit the rows that name it. Idempotent.
    """
    _, data, repacking = handlers_of(storage)
    removed = 0
    if not isinstance(data, FileSystemDataHandler):
        return removed
    for pack in await repacking.rows.empty_packs():
        try:
            opened = open_pack(data.directories, pack, RecentFrames())
        except (FileNotFoundError, StorageError):
            continue  # 'verify' tells
        if lock_out_writers(opened.descriptor) and await repacking.give_up([pack]):
            for ending in ("", ENDING):
                await asyncio.to_thread(data.files.remove_path, f"{data.root}/{pack_key(pack)}{ending}")
            removed += 1
    return removed
