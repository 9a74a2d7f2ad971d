"""The same durable work without a library: what is left when everything but the work is taken away.

One thread, no event loop. For each group of as many records as there would be callers: every payload encoded, its
SHA-256, one transaction with the rows and the journaled payloads, the rows appended to a log. With a file a record,
every payload is written under a temporary name before, and renamed into place afterwards; every 4,000 records the file
system is synced and the journal emptied, here and now. In packs, the payloads of a group are written behind each other
by one call before, and journaled as one; every 32 MB the pack is synced and the journal emptied.
Schema and statements are the library's own files; nothing else of it is used.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import time
import uuid
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import apsw
import orjson
import pyarrow.parquet as pq

from benchmarks.callers import settle
from benchmarks.payloads import make_payloads, status_of
from benchmarks.turns import serve
from starfish_storage.metadata.queries import sqlite_queries

_CHECKPOINT_RECORDS = 4000
_CHECKPOINT_BYTES = 32 << 20
_PACK_BYTES = 64 << 20
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class RawStore:
    """A database and directories like the library's, and the loop that fills them.

    Args:
        directory: where; it must not exist.
        durability: ``"power"`` commits with ``synchronous=FULL``, ``"process"`` with ``NORMAL``.
        jobs: the number of execution jobs that the records are spread over.
    """

    def __init__(self, directory: str, durability: str, jobs: int) -> None:
        os.makedirs(directory, 0o700)
        self._root = os.open(directory, _DIRECTORY)
        self._staging = self._make_directory("staging")
        self._make_directory("data")
        self._row_log = os.open(f"{directory}/rows.jsonl", _CREATE | os.O_APPEND, 0o600)
        self._shards = {shard: self._make_directory(f"data/{shard}") for shard in (f"{n:02x}" for n in range(256))}
        self._numbers = itertools.count()
        self._since_checkpoint = 0
        self._queries = sqlite_queries()
        self._connection = _open_database(f"{directory}/metadata.db", durability)
        self.master_job_id = str(uuid.uuid4())
        self._job_ids = [str(uuid.uuid4()) for _ in range(jobs)]
        self._insert_parents()

    def save_group(self, payloads: list[dict[str, Any]]) -> None:
        """Save a record for each payload; they are durable on return."""
        rows: list[tuple[Any, ...]] = []
        encoded: list[bytes] = []
        for payload in payloads:
            uid, number = str(uuid.uuid4()), next(self._numbers)
            shard = hashlib.sha256(uid.encode()).hexdigest()[:2]
            content = orjson.dumps(payload, option=orjson.OPT_APPEND_NEWLINE)
            moment = datetime.now(UTC).isoformat(timespec="microseconds")[:26] + "Z"
            job_id = self._job_ids[number % len(self._job_ids)]
            key = f"data/{shard}/{uid}.json"
            digest = hashlib.sha256(content).hexdigest()
            status = status_of(payload)
            rows.append((uid, job_id, self.master_job_id, status, key, moment, moment, moment, None, digest))
            encoded.append(content)
        keys = [row[4] for row in rows]
        self._stage(encoded)
        execute, save = self._connection.execute, self._queries["save_record"]
        execute("BEGIN IMMEDIATE")
        for row in rows:
            execute(save, row)
        self._journal(keys, encoded)
        os.write(self._row_log, b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
        execute("COMMIT")
        self._publish(keys)
        if self._is_due(encoded):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Make the data itself power-safe and empty the journal."""
        self._sync()
        until = self._first("last_journal_number")[0]
        self._connection.execute(self._queries["empty_journal"], (until,))
        self._since_checkpoint = 0

    def _stage(self, encoded: list[bytes]) -> None:
        for number, content in enumerate(encoded):
            descriptor = os.open(str(number), _CREATE, 0o600, dir_fd=self._staging)
            os.write(descriptor, content)
            os.close(descriptor)

    def _journal(self, keys: list[str], encoded: list[bytes]) -> None:
        execute, journal = self._connection.execute, self._queries["journal_data"]
        for key, content in zip(keys, encoded, strict=True):
            execute(journal, (key, content))

    def _publish(self, keys: list[str]) -> None:
        for number, key in enumerate(keys):
            shard = self._shards[key[5:7]]
            os.rename(str(number), key[8:], src_dir_fd=self._staging, dst_dir_fd=shard)

    def _is_due(self, encoded: list[bytes]) -> bool:
        self._since_checkpoint += len(encoded)
        return self._since_checkpoint >= _CHECKPOINT_RECORDS

    def _sync(self) -> None:
        _sync_file_system(self._root)

    def count(self) -> int:
        """Return the number of records in the database."""
        counts = self._connection.execute(self._queries["count_records"], (self.master_job_id,))
        return sum(row[1] for row in counts)

    def close(self) -> None:
        """Close the database and the directories."""
        self._connection.close()
        for descriptor in (*self._shards.values(), self._staging, self._root):
            os.close(descriptor)

    def _make_directory(self, path: str) -> int:
        os.mkdir(path, 0o700, dir_fd=self._root)
        return os.open(path, _DIRECTORY, dir_fd=self._root)

    def _insert_parents(self) -> None:
        moment = "2026-01-31T12:00:00.000000Z"
        project_id = str(uuid.uuid4())
        execute, queries = self._connection.execute, self._queries
        with self._connection:
            execute(queries["save_project"], (project_id, "benchmark", None, moment, moment))
            master_job = (self.master_job_id, project_id, None, "running", "configs/x.request.json", "{}", ".")
            counts = (1, 0, 0, 0, 0)
            execute(queries["insert_master_job"], (*master_job, None, None, *counts, moment, None, None, moment, None))
            for number, job_id in enumerate(self._job_ids):
                job = (job_id, self.master_job_id, "running", f'{{"n":{number}}}', f"{number:064x}", 0, 0, 0, 0, 0, 0)
                execute(queries["save_execution_job"], (*job, moment, None, None, moment, None, None))

    def _first(self, query: str) -> tuple[Any, ...]:
        row = self._connection.execute(self._queries[query]).fetchone()
        assert row is not None
        return row


class RawPacks(RawStore):
    """The same with the data of all records behind each other in files of 64 MB."""

    def __init__(self, directory: str, durability: str, jobs: int) -> None:
        super().__init__(directory, durability, jobs)
        self._packs = self._make_directory("data/packs")
        self._names = (f"{number:06}" for number in itertools.count(1))
        self._start = self._end = _PACK_BYTES
        self._pack = self._root

    def _stage(self, encoded: list[bytes]) -> None:
        content = b"".join(encoded)
        if self._end + len(content) > _PACK_BYTES:
            os.fsync(self._pack)
            self._name, self._end = next(self._names), 0
            self._pack = os.open(f"{self._name}.jsonl", _CREATE, 0o600, dir_fd=self._packs)
            os.fsync(self._packs)
        self._start = self._end
        self._end += os.pwrite(self._pack, content, self._start)

    def _journal(self, keys: list[str], encoded: list[bytes]) -> None:
        execute, save = self._connection.execute, self._queries["save_packed_data"]
        start = self._start
        for key, content in zip(keys, encoded, strict=True):
            execute(save, (key, self._name, start, len(content)))
            start += len(content)
        place = f"data/packs/{self._name}.jsonl:{self._start}+{self._end - self._start}"
        execute(self._queries["journal_data"], (place, b"".join(encoded)))
        execute(self._queries["save_pack"], (self._name, self._end))

    def _publish(self, keys: list[str]) -> None:
        """Nothing: the data is in its place."""

    def _is_due(self, encoded: list[bytes]) -> bool:
        self._since_checkpoint += sum(map(len, encoded))
        return self._since_checkpoint >= _CHECKPOINT_BYTES

    def _sync(self) -> None:
        os.fsync(self._pack)


_STORES = {"files": RawStore, "packed": RawPacks}


def write(
    directory: str, callers: int, records: int, warm_up: int, jobs: int, durability: str, layout: str = "files"
) -> float:
    """Save records in a fresh store, in groups of ``callers``; return the seconds after the first ``warm_up``."""
    store = _STORES[layout](directory, durability, jobs)
    payloads = make_payloads(1000)
    _save_all(store, payloads, 50, warm_up)
    store.checkpoint()  # the library is closed and opened again here, which empties its journal too
    settle()
    begun = time.perf_counter()
    _save_all(store, payloads, callers, records)
    seconds = time.perf_counter() - begun
    found = store.count()
    store.close()
    if found != warm_up + records:
        raise RuntimeError(f"{found} records are stored, not {warm_up + records}")
    return seconds


def _save_all(store: RawStore, payloads: list[dict[str, Any]], group: int, records: int) -> None:
    for start in range(0, records, group):
        store.save_group([payloads[n % len(payloads)] for n in range(start, min(start + group, records))])


def import_lines(directory: str, source: str, group: int) -> float:
    """Store each row of a file of JSON Lines or Parquet in a fresh store, in groups; return the seconds."""
    store = RawStore(directory, "power", 1)
    settle()
    begun = time.perf_counter()
    if source.endswith(".parquet"):
        for batch in pq.ParquetFile(source).iter_batches(group):
            store.save_group(batch.to_pylist())
    else:
        with open(source, "rb") as file:
            while lines := list(itertools.islice(file, group)):
                store.save_group([orjson.loads(line) for line in lines])
    seconds = time.perf_counter() - begun
    store.close()
    return seconds


def _open_database(path: str, durability: str) -> apsw.Connection:
    connection = apsw.Connection(path, statementcachesize=200)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full" if durability == "power" else "normal")
    connection.pragma("foreign_keys", 1)
    connection.pragma("cache_size", -8192)
    connection.pragma("wal_autocheckpoint", 4000)
    connection.pragma("temp_store", "memory")
    connection.execute(files("starfish_storage.metadata").joinpath("sql/sqlite/schema.sql").read_text("utf-8"))
    return connection


def _sync_file_system(descriptor: int) -> None:
    if hasattr(_C, "syncfs"):
        if _C.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed")
    else:
        os.sync()


_C = ctypes.CDLL(None, use_errno=True)

if __name__ == "__main__":
    serve({"write": write, "import_lines": import_lines})
