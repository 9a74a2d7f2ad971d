"""The tests' two servers of S3 do what tests of the library rely on, and lack what their docstrings say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError
from obstore.store import S3Store

from servers.proxies import FaultyHttp
from servers.s3 import MotoServer, ObjectServer, S3Server

BUCKET = "bucket"


@pytest.fixture(params=["s3_server", "moto_server"])
def server(request: pytest.FixtureRequest) -> Iterator[ObjectServer]:
    server: S3Server | MotoServer = request.getfixturevalue(request.param)
    server.start()
    server.make_bucket(BUCKET)
    yield server
    server.start()


@pytest.fixture
def rclone(s3_server: S3Server) -> Iterator[S3Server]:
    s3_server.start()
    s3_server.make_bucket(BUCKET)
    yield s3_server
    s3_server.start()


def open_store(server: ObjectServer, bucket: str = BUCKET, endpoint: str | None = None, secret: str = "") -> S3Store:
    return S3Store(
        bucket,
        endpoint=endpoint or server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=secret or server.secret_key,
        region=server.environment["AWS_REGION"],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
    )


def keys(store: S3Store, prefix: str) -> list[str]:
    return sorted(entry["path"] for page in obstore.list(store, prefix) for entry in page)


def test_objects_are_put_read_listed_and_deleted(server: ObjectServer) -> None:
    store = open_store(server)
    for number in range(3):
        obstore.put(store, f"life/{number}.json", b"%d" % number)
    assert obstore.get(store, "life/1.json").bytes() == b"1"
    assert obstore.head(store, "life/1.json")["size"] == 1
    assert keys(store, "life") == ["life/0.json", "life/1.json", "life/2.json"]
    obstore.delete(store, [f"life/{number}.json" for number in (0, 1, 99)])
    assert keys(store, "life") == ["life/2.json"]


def test_a_missing_key_and_a_missing_bucket_are_not_found(server: ObjectServer) -> None:
    with pytest.raises(FileNotFoundError, match="NoSuchKey"):
        obstore.get(open_store(server), "missing")
    elsewhere = open_store(server, bucket="missing")
    for call in (lambda: obstore.get(elsewhere, "key"), lambda: obstore.put(elsewhere, "key", b"")):
        with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
            call()
    with pytest.raises(GenericError, match="NoSuchBucket"):
        keys(elsewhere, "key")


def test_a_server_comes_back_on_its_port(server: ObjectServer) -> None:
    for end in (server.stop, server.kill):
        before = server.endpoint
        end()
        with pytest.raises(GenericError):
            obstore.head(open_store(server), "anything")
        server.start()
        assert server.endpoint == before
        assert server.ready()


def test_rclone_keeps_objects_over_a_kill_as_files(rclone: S3Server) -> None:
    obstore.put(open_store(rclone), "kept/key.json", b"{}")
    rclone.kill()
    rclone.start()
    assert obstore.get(open_store(rclone), "kept/key.json").bytes() == b"{}"
    assert (rclone.root / BUCKET / "kept" / "key.json").read_bytes() == b"{}"


def test_rclone_sees_what_was_done_behind_its_back_when_told_to_look_again(rclone: S3Server) -> None:
    store = open_store(rclone)
    obstore.put(store, "behind/removed", b"1")
    (rclone.root / BUCKET / "behind" / "removed").unlink()
    (rclone.root / BUCKET / "behind" / "added").write_bytes(b"2")
    rclone.look_again()
    assert keys(store, "behind") == ["behind/added"]


def test_rclone_refuses_a_wrong_secret_and_moto_does_not(rclone: S3Server, moto_server: MotoServer) -> None:
    with pytest.raises(PermissionDeniedError, match="SignatureDoesNotMatch"):
        obstore.put(open_store(rclone, secret="wrong"), "key", b"")
    moto_server.start()
    moto_server.make_bucket(BUCKET)
    obstore.put(open_store(moto_server, secret="wrong"), "key", b"")


def test_moto_obeys_a_conditional_put_and_rclone_overwrites(rclone: S3Server, moto_server: MotoServer) -> None:
    moto_server.start()
    moto_server.make_bucket(BUCKET)
    for server in (rclone, moto_server):
        obstore.put(open_store(server), "once", b"first")
    obstore.put(open_store(rclone), "once", b"second", mode="create")
    assert obstore.get(open_store(rclone), "once").bytes() == b"second"
    with pytest.raises(AlreadyExistsError):
        obstore.put(open_store(moto_server), "once", b"second", mode="create")


def test_moto_keeps_a_key_that_continues_another_and_rclone_refuses_it(
    rclone: S3Server, moto_server: MotoServer
) -> None:
    moto_server.start()
    moto_server.make_bucket(BUCKET)
    for server in (rclone, moto_server):
        obstore.put(open_store(server), "short", b"1")
    with pytest.raises(GenericError, match="500"):
        obstore.put(open_store(rclone), "short/longer", b"2")
    obstore.put(open_store(moto_server), "short/longer", b"2")
    assert obstore.get(open_store(moto_server), "short").bytes() == b"1"


def test_a_uri_and_the_environment_are_all_that_a_client_needs(s3_server: S3Server, s3_uri: str) -> None:
    uri = urlsplit(s3_uri)
    store = S3Store(uri.netloc, prefix=uri.path)
    obstore.put(store, "key", b"1")
    assert keys(S3Store(uri.netloc), uri.path.strip("/")) == [f"{uri.path.strip('/')}/key"]
    assert os.environ["AWS_ENDPOINT"] == s3_server.endpoint


def test_signatures_stay_valid_through_the_http_proxy(rclone: S3Server) -> None:
    with FaultyHttp(rclone.endpoint) as proxy:
        store = open_store(rclone, endpoint=proxy.endpoint)
        for key in ("through/a b+ü%.json", "through/q?a&b=c"):
            obstore.put(store, key, b"1")
            assert obstore.head(store, key)["size"] == 1
            assert obstore.get(store, key).bytes() == b"1"
        assert len(keys(store, "through")) == 2
        obstore.put(store, "large", bytes(12 << 20), use_multipart=True)
        assert obstore.get(store, "large").bytes() == bytes(12 << 20)
        obstore.delete(store, ["large", "none"])
        assert ("PUT", f"/{BUCKET}/through/q%3Fa%26b%3Dc") in proxy.requests


def test_an_error_that_the_proxy_answers_is_what_the_client_reports(rclone: S3Server) -> None:
    with FaultyHttp(rclone.endpoint) as proxy:
        store = open_store(rclone, endpoint=proxy.endpoint)
        proxy.answer(503, times=1, only=lambda method, path: method == "PUT" and path.endswith("/refused"))
        obstore.put(store, "other", b"1")
        with pytest.raises(GenericError, match="SlowDown"):
            obstore.put(store, "refused", b"1")
        obstore.put(store, "refused", b"1")
