"""Opening a store whose data lies in an object store: what is wrong is said at once, and never a secret."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from conformance.object_stores import SQLiteObjectStore
from objects.conftest import LIMIT
from servers.fixtures import BUCKET
from servers.processes import free_port, wait_until
from servers.proxies import FaultyHttp
from servers.s3 import S3Server
from starfish_storage import (
    InvalidInputError,
    InvalidUriError,
    LocalStorage,
    StorageError,
    StorageUnavailableError,
    StoreOpenError,
    open_storage,
)
from starfish_storage.data.object_store import ObjectStoreDataHandler
from starfish_storage.testing.samples import JOB, MASTER_JOB, RECORD, a_record, save_run
from starfish_storage.testing.suites.suite import refused

SECRET = "a-secret-that-is-wrong"


async def failure(store: SQLiteObjectStore) -> StorageError:
    """Open the store, and return why that failed; nothing of the error says a secret."""
    with pytest.raises(StorageError) as raised:
        await store.open().setup()
    links: list[BaseException] = [raised.value]
    for link in links:
        links += [more for more in (link.__cause__, link.__context__) if more is not None and more not in links]
        told = "".join(traceback.format_exception(link)) + repr(link) + repr(vars(link))
        assert not any(word in told for word in (SECRET, "Debug source", "Signature=", "<Error>"))
    return raised.value


async def test_wrong_credentials_are_told_at_once(store: SQLiteObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    began = time.monotonic()
    error = await failure(store)
    assert time.monotonic() - began < LIMIT
    assert type(error) is StoreOpenError
    assert store.data_uri in str(error)
    assert "credentials are wrong" in str(error)


async def test_missing_credentials_are_told_of(store: SQLiteObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://169.254.169.254:{free_port()}")
    error = await failure(store)
    assert "no credentials were found" in str(error) or isinstance(error, StorageUnavailableError)


async def test_a_missing_bucket_is_told_at_once(tmp_path: Path, network: FaultyHttp) -> None:
    assert network.endpoint
    error = await failure(SQLiteObjectStore(tmp_path, "s3://no-such-bucket/x"))
    assert type(error) is StoreOpenError
    assert "'s3://no-such-bucket/x' cannot be opened: there is no such bucket" in str(error)


async def test_who_may_read_but_not_write_is_told(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """Before anything is paid for."""
    network.answer(403, only=lambda method, _: method == "PUT")
    assert type(await failure(store)) is StoreOpenError


async def test_a_store_that_nobody_answers_for_is_told_of_in_time(
    store: SQLiteObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    error = await failure(store)
    assert LIMIT <= time.monotonic() - began < LIMIT + 3
    assert type(error) is StorageUnavailableError
    assert (error.place, error.seconds) == (store.data_uri, LIMIT)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_ALLOW_HTTP", "false", "AWS_ALLOW_HTTP=true"),
        ("AWS_ENDPOINT", "no address", "AWS_ENDPOINT"),
        ("AWS_TIMEOUT", "soon", "environment variables"),
    ],
)
async def test_settings_that_cannot_work_are_told_at_once(
    store: SQLiteObjectStore, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    error = await failure(store)
    assert type(error) is StoreOpenError
    assert told in str(error)


async def test_an_address_that_speaks_no_tls_is_told_at_once(
    store: SQLiteObjectStore, network: FaultyHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", network.endpoint.replace("http:", "https:"))
    error = await failure(store)
    assert type(error) is StoreOpenError
    assert "not trusted" in str(error)


async def test_without_the_extra_its_name_is_told(store: SQLiteObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    error = await failure(store)
    assert type(error) is StoreOpenError
    assert "pip install 'starfish-storage[s3]'" in str(error)


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf", ""])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("STARFISH_STORAGE_RETRY_SECONDS", seconds)
    with refused(InvalidInputError, "STARFISH_STORAGE_RETRY_SECONDS"):
        ObjectStoreDataHandler("s3://bucket")


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://user:{SECRET}@bucket/x",
        f"s3://{SECRET}@bucket/x",
        f"s3://bucket/x?X-Amz-Signature={SECRET}",
        f"az://container/x?sig={SECRET}",
        "s3://",
        "s3:///x",
        "s3://bucket//x",
        "s3://bucket/../x",
        "s3://bucket/x/./y",
        "s3://bucket/x\0",
        "s3://bucket/x\ny",
        "s3://bucket/\ud800",
        "s3://buc ket/x",
        "s3://bucket/#x",
        "s3://bucket/" + "x" * 701,
        "s4://bucket/x",
        "ftp://bucket/x",
    ],
)
def test_uris_that_cannot_be_used_are_refused(uri: str) -> None:
    """And whatever may be a secret in them is not repeated."""
    with pytest.raises(InvalidUriError) as raised:
        open_storage("file:///data/store", uri)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_local_storage_takes_them_as_the_place_of_the_data() -> None:
    storage = LocalStorage("file:///data/store", "s3://bucket/runs/")
    assert storage.data_base_path == "s3://bucket/runs"
    assert storage.generate_request_config_path("m1") == "s3://bucket/runs/configs/m1.request.json"
    for uri in ("gs://bucket", "az://container/x", "abfss://container@account.dfs.core.windows.net/x"):
        path = LocalStorage("file:///data/store", uri).generate_request_config_path("m1")
        assert path == f"{uri}/configs/m1.request.json"


async def test_a_lost_database_is_not_begun_anew(store: SQLiteObjectStore) -> None:
    """While there is data in the bucket, or a row log beside it."""
    async with store.open() as storage:
        await save_run(storage)
        await storage.save_record(a_record(), {})
    for path in store.root.glob("metadata.db*"):
        path.unlink()
    rows = store.root / "rows.jsonl"
    with refused(StoreOpenError, "it is empty or missing"):
        await store.open().setup()
    content = rows.read_bytes()
    rows.unlink()
    with refused(StoreOpenError, "it is empty or missing"):
        await store.open().setup()
    rows.write_bytes(content)
    for key in store.raw_keys():
        store.raw_delete(key)
    with refused(StoreOpenError, "it is empty or missing"):
        await store.open().setup()
    rows.unlink()
    store.remove_marks()  # which say whose data it was
    async with store.open() as storage:
        assert await storage.list_projects() == []


WRITER = """
import asyncio, sys
from starfish_storage import open_storage
from starfish_storage.testing.samples import a_record, save_run

async def main():
    storage = open_storage(sys.argv[1], sys.argv[2], layout="files")
    await storage.setup()
    await save_run(storage)
    print("ready", flush=True)
    await storage.save_record(a_record(), {"version": 1})
    if sys.argv[3:]:
        asyncio.ensure_future(storage.save_record(a_record("slow"), {}))
        await asyncio.sleep(0.2)
        asyncio.ensure_future(storage.save_records([(a_record(f"r{n}"), {"version": 2}) for n in range(2, 5)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_what_a_killed_writer_has_committed_is_put_in_place(
    store: SQLiteObjectStore, network: FaultyHttp, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.delay(60, only=lambda method, path: method == "PUT" and RECORD in path)
    command = [sys.executable, "-c", WRITER, store.uri, store.data_uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"AWS_TIMEOUT": "60s"}) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        wait_until(lambda: any(method == "PUT" and RECORD in path for method, path in list(network.requests)), "a put")
        writer.send_signal(signal.SIGKILL)
    monkeypatch.setenv("AWS_ENDPOINT", s3_server.endpoint)  # past the proxy, which still holds back the put
    async with store.open() as storage:
        record = await storage.get_record_metadata(RECORD)
        assert record is not None
        assert record.output_ref is not None
        assert await storage.get_record_data(record.output_ref) == {"version": 1}
        assert store.raw_read(store.key(record.output_ref)) == b'{"version":1}\n'


async def test_a_program_that_does_not_close_ends_and_loses_nothing(
    store: SQLiteObjectStore, network: FaultyHttp
) -> None:
    """Also what is put once the interpreter is ending, and has closed its pools of threads."""
    network.delay(1, only=lambda method, path: method == "PUT" and "slow" in path)
    command = [sys.executable, "-c", WRITER, store.uri, store.data_uri, "forgetful"]
    environment = os.environ | {"AWS_TIMEOUT": "30s"}
    done = subprocess.run(command, capture_output=True, timeout=30, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    async with store.open() as storage:
        assert await storage.get_record_metadata(RECORD) is not None
        for uid in ("r2", "r3", "r4"):
            record = await storage.get_record_metadata(uid)
            assert record is not None
            assert record.output_ref is not None
            assert await storage.get_record_data(record.output_ref) == {"version": 2}


def open_in_child(uri: str, data_uri: str, told: multiprocessing.SimpleQueue[str]) -> None:
    handler = ObjectStoreDataHandler(data_uri)
    try:
        handler.setup()
        told.put("open")
    except StorageError as error:
        told.put(error.code)


CONTEXTS = {"fork": multiprocessing.get_context("fork"), "spawn": multiprocessing.get_context("spawn")}


@pytest.mark.parametrize(("how", "told"), [("fork", "forked_process"), ("spawn", "open")])
async def test_a_forked_child_is_refused_and_a_spawned_one_is_not(
    store: SQLiteObjectStore, how: str, told: str
) -> None:
    """obstore's threads do not survive a fork: it would wait for ever."""
    async with store.open() as storage:
        await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})
        context = CONTEXTS[how]
        answer = context.SimpleQueue()
        child = context.Process(target=open_in_child, args=(store.uri, store.data_uri, answer))
        child.start()
        child.join(20)
        alive = child.is_alive()
        child.kill()
        assert not alive
        assert not answer.empty()
        assert answer.get() == told


async def test_the_probe_is_gone(store: SQLiteObjectStore, s3_server: S3Server) -> None:
    """Nothing but the marks that say whose data it will be is left of opening."""
    async with store.open():
        prefix = store.data_uri.removeprefix(f"s3://{BUCKET}/")
        files = [path for path in (s3_server.root / BUCKET / prefix).rglob("*") if path.is_file()]
        assert sorted(path.parent.name for path in files if path.name != "store.json") == ["owners"]
        assert len(files) == 2
        assert store.raw_keys() == set()
