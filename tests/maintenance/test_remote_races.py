"""What changes while it is looked at: looked at again before it is told, and while nobody writes before it goes."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from maintenance import stores
from maintenance.conftest import filled
from maintenance.remote_stores import OLD_VERSION, RemoteStore
from starfish_storage.codec import content_digest
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.object_inventory import ObjectInventory
from starfish_storage.interface.inspection import DataReference, FoundFile
from starfish_storage.metadata.postgres.inspection import PostgresInspection
from starfish_storage.uri import path_of_file_uri

Maker = Callable[[str], RemoteStore]


async def test_data_that_is_replaced_again_and_again_is_no_damage(
    on_postgres: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, the version that the row named is gone when it is read."""
    key = on_postgres.key_of("r0001")
    gone = [DataReference(key, f"{key.removesuffix('.json')}.{number * 10}.json", "0" * 64) for number in (1, 2)]
    pages, locate = PostgresInspection.data_references, PostgresInspection.locate

    def stale_pages(self: PostgresInspection) -> Iterator[Sequence[DataReference]]:
        yield from pages(self)
        yield [gone.pop()]

    def stale(self: PostgresInspection, key: str) -> list[DataReference]:
        return [gone.pop()] if gone else locate(self, key)

    monkeypatch.setattr(PostgresInspection, "data_references", stale_pages)
    monkeypatch.setattr(PostgresInspection, "locate", stale)
    assert on_postgres.kinds() == []
    assert gone == []


@pytest.mark.parametrize("kind", ["postgres, files"])
async def test_what_was_removed_since_it_was_listed_is_not_told(
    make_store: Maker, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await filled(make_store(kind))
    pages = Inventory.pages

    def listed_before(self: Inventory) -> Iterator[Sequence[FoundFile]]:
        yield [FoundFile(f"data/7f/ghost.{OLD_VERSION}.json", 1, 0, 0, is_data=True)]
        yield from pages(self)

    monkeypatch.setattr(Inventory, "pages", listed_before)
    assert store.kinds() == []


async def test_nobody_writes_while_what_may_be_named_again_is_removed(
    remote: RemoteStore, week_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at for the last time under the lock that every writer takes."""
    key = remote.put("configs/nobody.request.json", b"{}\n")
    locked: list[bool] = []

    def find(found: Callable[..., Any]) -> Callable[..., Any]:
        def looked(self: Any, name: str) -> Any:
            locked.append(nobody_can_write(remote))
            return found(self, name)

        return looked

    for inventory in (Inventory, ObjectInventory):
        monkeypatch.setattr(inventory, "find", find(inventory.find))
    assert remote.collect().removed == [key]
    assert locked == [True]


def nobody_can_write(store: RemoteStore) -> bool:
    if store.server is not None:
        held = "locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted"
        return store.server.execute(f"SELECT count(*) FROM pg_locks WHERE {held}") == [["1"]]
    with open(f"{path_of_file_uri(store.uri)}/writer.lock", "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("kind", ["sqlite, s3"])
async def test_what_is_committed_and_not_yet_in_place_counts(make_store: Maker, kind: str, week_later: None) -> None:
    """As a writer that was killed after its commit left it: the journal has new data of a record, and loose data."""
    store = await filled(make_store(kind))
    root, payload = Path(path_of_file_uri(store.uri)), b'{"new":1}\n'
    store.sql(f"UPDATE records SET data_sha256 = '{content_digest(payload)}' WHERE record_uid = 'r0001'")
    loose = store.put("data/0c/loose.json", b'{"old":1}\n')
    for key in (store.key_of("r0001"), loose):
        stores.journal(root, key, payload)
    assert store.kinds() == []
    assert store.collect().removed == []
    assert store.is_there(loose)
