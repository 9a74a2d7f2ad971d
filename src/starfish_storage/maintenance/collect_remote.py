"""Removing what nothing refers to from a store with its rows in PostgreSQL, or its data in an object store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from starfish_storage.interface.inspection import FoundFile, RowInspection
from starfish_storage.keys import pack_named
from starfish_storage.maintenance.backends import RemoteStore, remote_store
from starfish_storage.maintenance.checking import unwanted
from starfish_storage.maintenance.collect_packs import MOST_DEAD
from starfish_storage.maintenance.report import CollectReport
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.opening import open_storage
from starfish_storage.storage.hybrid import HybridStorage
from starfish_storage.storage.pack_merging import merge_packs

_AT_ONCE = 200  # objects that are removed while writers may have to wait


def collect_remote(
    storage_uri: str, data_uri: str | None, grace: timedelta, *, dry_run: bool, read_only: bool
) -> CollectReport:
    """See `collect`.

    Packs of which much is dead are written anew afterwards, by a writer like every other.
    """
    with remote_store(storage_uri, data_uri, read_only=read_only) as store:
        report, dead = _collect(store, grace, dry_run=dry_run)
    removed = [pack for pack in map(pack_named, report.removed) if pack is not None]
    if dry_run or not (dead or removed):
        return report
    with ThreadPoolExecutor(1) as thread:  # the caller's own may run an event loop
        gone = thread.submit(lambda: asyncio.run(_rewrite(storage_uri, data_uri, list(dead), removed))).result()
    return replace(report, packs_rewritten=gone)


async def _rewrite(storage_uri: str, data_uri: str | None, packs: Sequence[str], removed: Sequence[str]) -> int:
    """Write packs anew, and note of others that they are gone; return how many were written anew."""
    async with open_storage(storage_uri, data_uri) as storage:
        handler = storage.metadata if isinstance(storage, HybridStorage) else None
        if isinstance(handler, SQLiteMetadataHandler):  # PostgreSQL keeps no sizes of packs
            await handler.repacking.give_up(set(removed).intersection(await handler.repacking.rows.packs()))
        return (await merge_packs(storage, chosen=packs)).packs if packs else 0


def _collect(store: RemoteStore, grace: timedelta, *, dry_run: bool) -> tuple[CollectReport, dict[str, int]]:
    """Remove what nothing refers to; return that, and the packs that are mostly dead, with how much of each is.

    What lies there is listed first, and then the rows are asked: what was put later is not in the list, and what was
    committed later is in the answer.
    """
    rows, data, inventory = store.rows, store.data, store.inventory
    rows.refuse_other_data(data, strictly=True)
    rows.refuse_damage()
    before = rows.now() - int(grace.total_seconds() * 1e9)
    removed: list[FoundFile] = []
    dead: dict[str, int] = {}
    younger = 0

    def is_old(file: FoundFile) -> bool:
        now = inventory.find(file.key)
        return now is not None and now.changed < before

    for page in inventory.pages():
        found = unwanted(rows, page)
        old = [file for file in found if file.changed < before]
        younger += len(found) - len(old)
        for start in range(0, len(old), _AT_ONCE):
            some = old[start : start + _AT_ONCE]
            removed += some if dry_run else rows.remove_unwanted(some, data, is_old)
        dead |= _mostly_dead(rows, [file for file in page if file.changed < before])
    for file in inventory.leftovers():
        if file.changed < before and not inventory.has_writer(file):
            removed.append(file)
            if not dry_run:
                inventory.remove_leftover(file)
    noted: Sequence[str] = list(rows.stale_removals()) if dry_run else rows.remove_stale(data)
    keys = [*(file.key for file in removed), *noted]
    report = CollectReport(
        rows.uri,
        keys,
        sum(file.size for file in removed),
        younger,
        dry_run,
        packs_rewritten=len(dead),
        bytes_freed=sum(dead.values()),
    )
    return report, dead


def _mostly_dead(rows: RowInspection, files: Sequence[FoundFile]) -> dict[str, int]:
    """Return those packs of which much is data that no row needs any more, and how many bytes that is."""
    sizes = {file.pack: file.size for file in files if file.pack is not None}
    needed = rows.packs_in_use(list(sizes)) if sizes else {}
    return {pack: sizes[pack] - live for pack, live in needed.items() if sizes[pack] - live > MOST_DEAD * sizes[pack]}
