"""Packs in an object store: one put a group, few requests to read many records back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from servers.fixtures import BUCKET
from servers.proxies import FaultyHttp
from servers.s3 import MotoServer
from starfish_storage.data import object_packs
from starfish_storage.data.object_packs import LARGEST_PACK
from starfish_storage.data.object_store import ObjectStoreDataHandler
from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StorageUnavailableError
from starfish_storage.keys import PackPlace, new_pack

ROWS = [b'{"number":%d,"text":"%s"}\n' % (number, b"x" * 1200) for number in range(300)]


@pytest.fixture
def requests(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHttp]:
    """A server that knows ranges, which rclone's does not, behind a proxy that counts."""
    moto_server.make_bucket(BUCKET)
    for name, value in moto_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STARFISH_STORAGE_RETRY_SECONDS", "0.2")
    with FaultyHttp(moto_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT", proxy.endpoint)
        yield proxy


@pytest.fixture
def handler(requests: FaultyHttp) -> Iterator[ObjectStoreDataHandler]:
    made = ObjectStoreDataHandler(f"s3://{BUCKET}/{secrets.token_hex(6)}")
    yield made
    made.close()


def keys_of(places: list[PackPlace]) -> list[str]:
    return [place.key for place in places]


class TestRequests:
    def test_a_group_is_one_put_and_is_read_back_with_few_requests(
        self, handler: ObjectStoreDataHandler, requests: FaultyHttp
    ) -> None:
        places = keys_of(handler.append(ROWS, safe=True))
        assert [method for method, _ in requests.requests] == ["PUT"]
        requests.requests.clear()
        assert list(handler.read_each(places)) == ROWS
        assert len(requests.requests) == 2  # 256 places at a time
        requests.requests.clear()
        backwards = list(reversed(list(zip(places, ROWS, strict=True))))
        assert [handler.read(place) for place, _ in backwards] == [payload for _, payload in backwards]
        assert len(requests.requests) == 3  # of 128 KB each, though nobody said which record would be next
        requests.requests.clear()
        assert list(handler.read_small(places, 100)) == [len(payload) for payload in ROWS]
        assert not requests.requests

    def test_of_threads_that_want_neighbours_one_asks(
        self, handler: ObjectStoreDataHandler, requests: FaultyHttp
    ) -> None:
        places = keys_of(handler.append(ROWS[:60], safe=True))
        requests.requests.clear()
        requests.delay(0.1)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(handler.read, places)) == ROWS[:60]
        assert len(requests.requests) == 1

    def test_what_is_kept_is_bounded(
        self, handler: ObjectStoreDataHandler, requests: FaultyHttp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(object_packs, "_KEPT", 300_000)
        places = keys_of(handler.append(ROWS, safe=True))
        assert [handler.read(place) for place in places] == ROWS  # three windows, of which one fits
        requests.requests.clear()
        assert handler.read(places[-1]) == ROWS[-1]
        assert not requests.requests
        assert handler.read(places[0]) == ROWS[0]
        assert len(requests.requests) == 1

    def test_large_payloads_lie_alone_and_are_read_in_parts(self, handler: ObjectStoreDataHandler) -> None:
        large = b'"' + b"y" * LARGEST_PACK + b'"\n'
        places = handler.append([ROWS[0], large, ROWS[1]], safe=True)
        assert len({place.pack for place in places}) == 3
        parts = list(handler.read_parts(keys_of(places)[1], 1 << 16))
        assert b"".join(parts) == large
        assert len(parts) > 4
        assert list(handler.read_each(keys_of(places))) == [ROWS[0], large, ROWS[1]]

    def test_what_a_pack_does_not_have_is_not_found(self, handler: ObjectStoreDataHandler) -> None:
        place = handler.append(ROWS[:2], safe=True)[1]
        behind, beyond = place._replace(start=place.end).key, place._replace(length=place.length + 1).key
        missing = place._replace(pack=new_pack()).key
        for absent in (behind, beyond, missing):
            with pytest.raises(DataNotFoundError):
                handler.read(absent)
        assert list(handler.read_each([behind, place.key, missing, beyond])) == [None, ROWS[1], None, None]
        assert handler.existing([behind, place.key, missing, beyond]) == {place.key}
        with pytest.raises(InvalidReferenceError):
            handler.remove_all([place.key])
        handler.take_back([place])
        assert handler.existing([place.key]) == set()


class TestFailures:
    def test_a_put_that_fails_leaves_nothing(self, handler: ObjectStoreDataHandler, requests: FaultyHttp) -> None:
        requests.answer(503, only=lambda method, path: method == "PUT" and "packs" in path)
        with pytest.raises(StorageUnavailableError):
            handler.append(ROWS, safe=True)
        assert requests.requests[-1][0] in {"DELETE", "POST"}  # it may have been put all the same

    def test_taking_back_never_raises(self, handler: ObjectStoreDataHandler, requests: FaultyHttp) -> None:
        places = handler.append(ROWS[:1], safe=True)
        requests.answer(503)
        handler.take_back(places)


def test_names_of_packs_are_in_the_order_of_time_and_never_the_same() -> None:
    names = [new_pack() for _ in range(2000)]
    assert len(set(names)) == len(names)
    assert [name[:11] for name in names] == sorted(name[:11] for name in names)
    assert {len(name) for name in names} == {20}


class TestOtherServers:
    def test_a_server_that_knows_no_ranges_is_read_whole(self, s3_uri: str) -> None:
        handler = ObjectStoreDataHandler(s3_uri)
        places = keys_of(handler.append(ROWS, safe=True))
        assert [handler.read(place) for place in places] == ROWS
        assert list(handler.read_each(places)) == ROWS
        assert b"".join(handler.read_parts(places[7], 100)) == ROWS[7]
        handler.close()
