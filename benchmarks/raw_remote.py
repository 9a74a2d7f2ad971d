"""The same durable work without a library, where data lies in an object store or a directory and rows in PostgreSQL.

One connection, one group at a time, as large as there are callers: the payloads are encoded, put under new keys by as
many threads as the library has (a directory: written, renamed and synced by one ``syncfs``), and when all are there,
one COPY brings the rows into a table with the columns, the checks and all indexes of the library's, but neither
its foreign keys nor its triggers: a program of its own would need neither. COPY is a transaction of its own.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import obstore
import orjson
from obstore.store import from_url

from benchmarks.payloads import make_payloads, status_of
from benchmarks.turns import serve
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.queries import postgres_queries

_THREADS = 32  # as many as the library's
_COLUMNS = postgres_queries().parameters("save_record")
_C = ctypes.CDLL(None, use_errno=True)

_loop = asyncio.new_event_loop()
_payloads = make_payloads(1000)
_open: dict[str, Any] = {}


class Objects:
    """Puts data into a bucket, several at a time."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._prefix = parts.path.strip("/")
        self._store = from_url(f"s3://{parts.netloc}")  # which tries again by itself, as the library does
        self._threads = ThreadPoolExecutor(_THREADS)

    def put_all(self, items: list[tuple[str, bytes]]) -> None:
        """Put all, and return when they are there."""
        for _ in self._threads.map(self._put, items):
            pass

    def _put(self, item: tuple[str, bytes]) -> None:
        obstore.put(self._store, f"{self._prefix}/{item[0]}", item[1], use_multipart=False)


class Files:
    """Writes data into a directory."""

    def __init__(self, uri: str) -> None:
        self._root = Path(unquote(urlsplit(uri).path))
        self._staging = self._root / "staging" / str(os.getpid())
        self._staging.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (self._root / "data" / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._root, os.O_RDONLY)

    def put_all(self, items: list[tuple[str, bytes]]) -> None:
        """Write all, and return when they are on the disk."""
        for number, (_, payload) in enumerate(items):
            descriptor = os.open(f"{self._staging}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(descriptor, payload)
            os.close(descriptor)
        for number, (key, _) in enumerate(items):
            os.rename(f"{self._staging}/{number}", f"{self._root}/{key}")
        if _C.syncfs(self._descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed")


def prepare(uri: str, name: str) -> None:
    """Make the table beside the tables of a store that the library has made."""
    _loop.run_until_complete(_prepare(uri, name))


def enter(uri: str, data_uri: str, environment: dict[str, str], made: dict[str, Any], warm_up: int) -> None:
    """Connect, and save some records that are not timed."""
    os.environ.update(environment)
    address = PostgresAddress.of_uri(uri)
    data = Files(data_uri) if data_uri.startswith("file://") else Objects(data_uri)
    connection = _loop.run_until_complete(_connected(address))
    _open.update(made, data=data, connection=connection)
    if warm_up:
        save(50, warm_up)


def save(callers: int, records: int) -> tuple[float, float]:
    """Save records in groups as large as there are callers; return when that began and ended."""
    begun = time.perf_counter()
    for start in range(0, records, callers):
        _save_group(range(start, min(start + callers, records)))
    return begun, time.perf_counter()


def count() -> int:
    """Return how many records there are."""
    return _loop.run_until_complete(_open["connection"].fetchval(f"SELECT count(*) FROM {_open['table']}"))


def leave() -> None:
    """Close the connection."""
    _loop.run_until_complete(_open.pop("connection").close())


def _save_group(numbers: range) -> None:
    items: list[tuple[str, bytes]] = []
    rows: list[tuple[Any, ...]] = []
    for number in numbers:
        payload = _payloads[number % len(_payloads)]
        job_id, uid, version = _open["job_ids"][number % len(_open["job_ids"])], str(uuid.uuid4()), os.urandom(10).hex()
        content = orjson.dumps(payload, option=orjson.OPT_APPEND_NEWLINE)
        shard = hashlib.sha256(uid.encode()).hexdigest()[:2]
        moment = datetime.now(UTC).isoformat(timespec="microseconds")[:26] + "Z"
        items.append((f"data/{shard}/{uid}.{version}.json", content))
        digest = hashlib.sha256(content).hexdigest()
        head = (uid, job_id, _open["master_job_id"], status_of(payload), f"data/{shard}/{uid}.json")
        rows.append((*head, moment, moment, moment, None, digest, version))
    _open["data"].put_all(items)
    copying = _open["connection"].copy_records_to_table(_open["table"], records=rows, columns=_COLUMNS)
    _loop.run_until_complete(copying)


async def _connected(address: PostgresAddress) -> Any:
    return await asyncpg.connect(address.dsn, server_settings={"search_path": address.search_path})


async def _prepare(uri: str, name: str) -> None:
    connection = await _connected(PostgresAddress.of_uri(uri))
    await connection.execute(f"CREATE TABLE {name} (LIKE records INCLUDING ALL)")
    await connection.close()


TASKS = {task.__name__: task for task in (prepare, enter, save, count, leave)}

if __name__ == "__main__":
    serve(TASKS)
