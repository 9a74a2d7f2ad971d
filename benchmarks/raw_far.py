"""The same durable work without a library, where every round trip takes its time: one put and one statement a group.

What waits while a group is stored becomes the next one: its payloads are one object, and its rows one batch of a
prepared statement, which is a transaction of its own. The table is that of `raw_remote`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import obstore
import orjson
from obstore.store import from_url

from benchmarks.callers import run_callers
from benchmarks.payloads import make_payloads, status_of
from benchmarks.turns import serve
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.queries import postgres_queries

_COLUMNS = postgres_queries().parameters("save_record")

_runner = asyncio.Runner()
_payloads = make_payloads(1000)
_open: dict[str, Any] = {}


def enter(uri: str, data_uri: str, environment: dict[str, str], made: dict[str, Any], table: str) -> None:
    """Connect, and make the table if it is not there."""
    os.environ.update(environment)
    _open.update(made, data_uri=data_uri)
    _runner.run(_enter(PostgresAddress.of_uri(uri), table))


def save(callers: int, records: int) -> float:
    """Store records by so many callers; return the seconds."""
    return _runner.run(_save(callers, records, 0.0))


def work(callers: int, inputs: int, seconds: float) -> float:
    """Make calls that take so long, so many at a time, each stored before the next; return the seconds."""
    return _runner.run(_save(callers, inputs, seconds))


def leave() -> None:
    """Close the connection."""
    _runner.run(_open.pop("connection").close())


async def _enter(address: PostgresAddress, table: str) -> None:
    connection = await asyncpg.connect(address.dsn, server_settings={"search_path": address.search_path})
    await connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (LIKE records INCLUDING ALL)")
    numbers = ", ".join(f"${number + 1}" for number in range(len(_COLUMNS)))
    statement = await connection.prepare(f"INSERT INTO {table} ({', '.join(_COLUMNS)}) VALUES ({numbers})")
    _open.update(connection=connection, statement=statement)


async def _save(callers: int, count: int, seconds: float) -> float:
    waiting: list[tuple[int, asyncio.Future[None]]] = []
    changed = asyncio.Event()

    async def one(number: int) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        stored = asyncio.get_running_loop().create_future()
        waiting.append((number, stored))
        changed.set()
        await stored

    async def store() -> None:
        while True:
            await changed.wait()
            changed.clear()
            group, waiting[:] = waiting[:], []
            await _store_group([number for number, _ in group])
            for _, stored in group:
                stored.set_result(None)

    storing = asyncio.create_task(store())
    took = await run_callers(callers, count, one)
    storing.cancel()
    return took


async def _store_group(numbers: list[int]) -> None:
    pack, rows, parts, start = f"{time.time_ns():020}", list[tuple[Any, ...]](), list[bytes](), 0
    for number in numbers:
        payload = _payloads[number % len(_payloads)]
        content = orjson.dumps(payload, option=orjson.OPT_APPEND_NEWLINE)
        uid, job_id = str(uuid.uuid4()), _open["job_ids"][number % len(_open["job_ids"])]
        moment = datetime.now(UTC).isoformat(timespec="microseconds")[:26] + "Z"
        head = (uid, job_id, _open["master_job_id"], status_of(payload), f"data/{uid}.json")
        tail = (hashlib.sha256(content).hexdigest(), f"{pack}:{start}+{len(content)}")
        rows.append((*head, moment, moment, moment, None, *tail))
        parts.append(content)
        start += len(content)
    place = urlsplit(_open["data_uri"])
    store = _open.setdefault("objects", from_url(f"s3://{place.netloc}"))
    key = f"{place.path.strip('/')}/data/packs/{pack}.jsonl"
    await asyncio.to_thread(obstore.put, store, key, b"".join(parts), use_multipart=False)
    await _open["statement"].executemany(rows)


if __name__ == "__main__":
    serve({task.__name__: task for task in (enter, save, work, leave)})
