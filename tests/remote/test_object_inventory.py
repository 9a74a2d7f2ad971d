"""Listing an object store: everything once, page by page, also when a list breaks off."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import obstore
import pytest

from starfish_storage.data import object_client
from starfish_storage.data.object_inventory import ObjectInventory
from starfish_storage.data.object_store import ObjectStoreDataHandler


@pytest.fixture
def uri(monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with many shards of different sizes, and what is no data."""
    monkeypatch.setattr(object_client, "_LISTED_AT_ONCE", 10)
    uri = f"memory://{secrets.token_hex(6)}/a prefix"
    data = ObjectStoreDataHandler(uri)
    data.put_new([(key, b"{}\n") for key in keys()])
    for key in ("data/stray.json", "staging/probe", "store.json"):
        data.write(key, b"").publish()
    return uri


def keys() -> list[str]:
    shards = [f"data/{number:02x}/r{number}-{one}.json" for number in range(40) for one in range(number)]
    return [*shards, "data/0a/0b/deep.json", "data/zz/odd.json", "configs/m1.request.json", "data/0a/ü %20 #.json"]


def test_everything_is_listed_once(uri: str) -> None:
    pages = list(ObjectInventory(uri).pages())
    found = [file for page in pages for file in page]
    assert sorted(file.key for file in found if file.is_data) == sorted(keys())
    assert [file.key for file in found if not file.is_data] == ["data/stray.json"]
    assert {file.size for file in found if file.is_data} == {3}
    assert max(map(len, pages)) == 10
    assert [file.key for file in ObjectInventory(uri).leftovers()] == ["staging/probe"]


def test_a_list_that_breaks_off_goes_on_after_its_last_page(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, broken = obstore.list, set[str]()

    def breaks_once(store: Any, prefix: str, **options: Any) -> Iterator[Any]:
        pages = iter(listed(store, prefix, **options))
        yield next(pages, ())
        if prefix not in broken:
            broken.add(prefix)
            raise OSError("HTTP error: the connection was cut")
        yield from pages

    monkeypatch.setattr(obstore, "list", breaks_once)
    found = [file.key for page in ObjectInventory(uri).pages() for file in page if file.is_data]
    assert sorted(found) == sorted(keys())
    assert len(broken) > 40


def test_an_object_is_described(uri: str) -> None:
    inventory = ObjectInventory(uri)
    listed = next(file for page in inventory.pages() for file in page if file.key == "data/zz/odd.json")
    assert inventory.find("data/zz/odd.json") == listed
    assert inventory.find("data/zz/nothing.json") is None
    inventory.remove_leftover(inventory.leftovers()[0])
    assert inventory.leftovers() == []
