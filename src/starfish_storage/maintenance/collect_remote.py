"""Removing what nothing refers to from a store with its rows in PostgreSQL, or its data in an object store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from starfish_storage.interface.inspection import FoundFile
from starfish_storage.maintenance.backends import RemoteStore
from starfish_storage.maintenance.checking import unwanted
from starfish_storage.maintenance.report import CollectReport

_AT_ONCE = 200  # objects that are removed while writers may have to wait


def collect_remote(store: RemoteStore, grace: timedelta, *, dry_run: bool) -> CollectReport:
    """See `collect`.

    What lies there is listed first, and then the rows are asked: what was put later is not in the list, and what was
    committed later is in the answer.
    """
    rows, data, inventory = store.rows, store.data, store.inventory
    rows.refuse_other_data(data, strictly=True)
    rows.refuse_damage()
    before = rows.now() - int(grace.total_seconds() * 1e9)
    removed: list[FoundFile] = []
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
    for file in inventory.leftovers():
        if file.changed < before and not inventory.has_writer(file):
            removed.append(file)
            if not dry_run:
                inventory.remove_leftover(file)
    noted: Sequence[str] = list(rows.stale_removals()) if dry_run else rows.remove_stale(data)
    keys = [*(file.key for file in removed), *noted]
    return CollectReport(rows.uri, keys, sum(file.size for file in removed), younger, dry_run)
