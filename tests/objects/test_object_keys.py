"""References and names of objects: what means a key, and that each key is one object of just that name."""

from __future__ import annotations

import secrets

import pytest

from conformance.object_stores import Bucket
from servers.fixtures import BUCKET
from servers.s3 import MotoServer
from starfish_storage import InvalidReferenceError
from starfish_storage.data.object_store import ObjectStoreDataHandler
from starfish_storage.keys import check_record_key, record_key
from starfish_storage.testing.suites.suite import refused

ROOT = "s3://bucket/a prefix/50%25"
KEY = "data/3f/r1.json"


@pytest.fixture
def handler() -> ObjectStoreDataHandler:
    return ObjectStoreDataHandler(ROOT)


@pytest.mark.parametrize(
    "reference",
    [
        KEY,
        f"{ROOT}/{KEY}",
        f"s3://other-bucket/{KEY}",
        f"gs://other/data/prefix/{KEY}",
        f"{ROOT}/where it lay below/{KEY}",
        f"/data/store/{KEY}",
    ],
)
def test_references_of_here_and_of_where_the_store_lay_before_are_taken(
    handler: ObjectStoreDataHandler, reference: str
) -> None:
    assert handler.to_key(reference) == KEY


@pytest.mark.parametrize(
    "reference",
    [
        f"{ROOT}/../{KEY}",
        f"{ROOT}//{KEY}",
        f"{ROOT}/./{KEY}",
        f"{ROOT}/data/../../{KEY}",
        f"{ROOT}/%2e%2e/secret",
        f"{ROOT}-2/secret",
        ROOT,
        f"{ROOT}/",
        f"s3://bucket/../{KEY}",
        f"s3://bucket/%2E%2E/{KEY.replace('/', '%2F')}",
        "s3://bucket",
        "s3://",
        f"https://bucket/{KEY}",
        f"file:///data/store/{KEY}",
        f"/data/../{KEY}",
        f"/data//{KEY}",
    ],
)
def test_whatever_else_is_no_data(handler: ObjectStoreDataHandler, reference: str) -> None:
    """Percent signs are characters like any others, and never stand for another."""
    with refused(InvalidReferenceError):
        check_record_key(handler.to_key(reference))


def test_percent_signs_are_not_decoded(handler: ObjectStoreDataHandler) -> None:
    """An id may hold what looks like an escape."""
    for uid in ("a%2Fb", "%2e%2e", "..%2f..%2fetc"[2:], "100%", "a%20b", "a+b"):
        key = record_key(uid)
        assert key.endswith(f"/{uid}.json")
        assert handler.to_key(f"{ROOT}/{key}") == key


AWKWARD_IDS = (
    *("a b", "a%20b", "a%2Fb", "50%", "a#b", "a+b", "a&b=c", "a~b", "`^{}", "[1]", "it's!", ";,", "a..b", "@$()", "_-"),
    *("ü-5", "é🐙", "a\u00adb", "a\u3000b", "日本語", "a" * 200, "ü" * 100, "A.B"),
)


def check_names(uri: str) -> None:
    handler = ObjectStoreDataHandler(uri)
    handler.setup()
    bucket, prefix = Bucket(f"s3://{BUCKET}"), uri.removeprefix(f"s3://{BUCKET}/")
    keys = [record_key(uid) for uid in AWKWARD_IDS]
    handler.put_new([(key, key.encode()) for key in keys])
    assert bucket.names(prefix) == {f"{prefix}/{key}" for key in keys}
    for key in keys:
        assert handler.read(key) == key.encode()
        assert handler.exists(key)
        assert bucket.read(f"{prefix}/{key}") == key.encode()
    handler.remove_all(keys)
    assert bucket.names(prefix) == set()
    handler.close()


def test_every_id_is_the_name_of_its_object_on_rclone(s3_uri: str) -> None:
    check_names(f"{s3_uri}/ü%20 +#"[:-1])


def test_every_id_is_the_name_of_its_object_on_moto(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_server.make_bucket(BUCKET)
    for name, value in moto_server.environment.items():
        monkeypatch.setenv(name, value)
    check_names(f"s3://{BUCKET}/{secrets.token_hex(6)}/ü%20 +")
