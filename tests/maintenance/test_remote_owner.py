"""Whose data it is: a store never reads, and above all never removes, the data of another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenance import stores
from maintenance.conftest import KINDS, filled
from maintenance.remote_stores import RemoteStore
from starfish_storage import StoreOpenError, open_storage
from starfish_storage.maintenance import backup, collect, plan_repair, repair, restore, verify

Maker = Callable[[str], RemoteStore]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_data_of_another_store_is_refused_and_stays(make_store: Maker, kind: str, week_later: None) -> None:
    one, other = await filled(make_store(kind)), await filled(make_store(kind))
    before = other.objects()
    for run in (verify, collect):
        with pytest.raises(StoreOpenError, match="belongs to the store") as refused:
            run(one.uri, other.data_uri)
        identities = [json.loads((store.data / "store.json").read_bytes())["store"] for store in (one, other)]
        assert all(identity[:12] in str(refused.value) for identity in identities)
    with pytest.raises(StoreOpenError, match="belongs to the store"):
        async with open_storage(one.uri, other.data_uri):
            pass
    assert other.objects() == before


@pytest.mark.parametrize("kind", KINDS)
async def test_two_stores_do_not_share_a_place(make_store: Maker, kind: str) -> None:
    one, new = await filled(make_store(kind)), make_store(kind)
    before = one.objects()
    with pytest.raises(StoreOpenError, match=r"belongs to the store|there is data beside it"):
        await stores.fill(open_storage(new.uri, one.data_uri))
    one.remove("store.json")
    one.look_again()
    with pytest.raises(StoreOpenError, match=r"there is data already|there is data beside it"):
        await stores.fill(open_storage(new.uri, one.data_uri))
    assert one.objects() == before
    assert not (one.data / "store.json").exists()


async def test_a_copy_of_the_database_does_not_touch_the_data_of_the_original(
    on_postgres: RemoteStore, make_store: Maker, week_later: None
) -> None:
    """It has all the same rows, and even the same settings; only the database itself is another."""
    server, copy = on_postgres.server, make_store("postgres, files")
    assert server is not None
    async with copy.open():
        pass
    (here, there) = (uri.rpartition("=")[2] for uri in (on_postgres.uri, copy.uri))
    tables = ("projects", "master_jobs", "execution_jobs", "records")
    copied = "; ".join(f'INSERT INTO "{there}".{table} SELECT * FROM "{here}".{table}' for table in tables)
    server.execute(f"SET session_replication_role = replica; {copied}")
    before = on_postgres.objects()
    for run in (verify, collect):
        with pytest.raises(StoreOpenError, match="this database replaces the other one"):
            run(copy.uri, on_postgres.data_uri)
    with pytest.raises(StoreOpenError, match="this database replaces the other one"):
        async with open_storage(copy.uri, on_postgres.data_uri):
            pass
    on_postgres.remove("store.json")  # as the error says, where it has
    on_postgres.look_again()
    async with open_storage(copy.uri, on_postgres.data_uri) as storage:
        assert len(await storage.get_records_for_master_job("m1")) == stores.RECORDS // 2
    with pytest.raises(StoreOpenError, match="belongs to the store"):
        on_postgres.collect()
    assert on_postgres.objects() == before


async def test_a_place_without_a_mark_is_checked_and_not_cleaned(remote: RemoteStore, week_later: None) -> None:
    orphan, mark = remote.orphan(), remote.data / "store.json"
    content = mark.read_bytes()
    remote.remove("store.json")
    assert remote.kinds() == [("data_unreferenced", orphan)]
    with pytest.raises(StoreOpenError, match=r"open the store .* once"):
        remote.collect()
    assert remote.is_there(orphan)
    async with remote.open():
        pass
    assert mark.read_bytes() == content
    remote.look_again()
    assert remote.collect().removed == [orphan]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"store":1}'])
async def test_a_mark_that_is_none_is_refused(on_postgres: RemoteStore, content: bytes) -> None:
    (on_postgres.data / "store.json").write_bytes(content)
    with pytest.raises(StoreOpenError, match="it is not a valid store marker"):
        on_postgres.verify()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_empty_place_is_not_taken_for_a_store_that_has_data(make_store: Maker, kind: str) -> None:
    store, empty = await filled(make_store(kind)), make_store(kind)
    with pytest.raises(StoreOpenError, match=r"the data of .* is not there"):
        async with open_storage(store.uri, empty.data_uri):
            pass
    with pytest.raises(StoreOpenError, match=r"the data of .* is not there"):
        verify(store.uri, empty.data_uri)


async def test_what_works_on_files_says_what_to_use_instead(remote: RemoteStore, tmp_path: Path) -> None:
    for run in (
        lambda: backup(remote.uri, tmp_path / "backup", data_uri=remote.data_uri),
        lambda: plan_repair(remote.uri, remote.data_uri),
        lambda: repair(remote.uri, remote.data_uri),
        lambda: restore(tmp_path, remote.uri, data_uri=remote.data_uri),
    ):
        with pytest.raises(StoreOpenError, match="is for stores in directories") as refused:
            run()
        assert "database" in str(refused.value)
        if remote.server is not None:
            assert remote.server.password not in str(refused.value)
    assert not (tmp_path / "backup").exists()
