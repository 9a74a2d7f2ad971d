"""The same durable work without a library: what is left when everything but the work is taken away.

One thread, no event loop. For each group of as many records as there would be callers: every payload into a new file
under a temporary name, its SHA-256, one transaction with the rows and the journaled payloads, the rows appended to a
log, the files renamed into place. Every 4,000 records the file system is synced and the journal emptied, here and now.
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
        names: list[str] = []
        moves: list[tuple[int, str]] = []
        for payload in payloads:
            uid, name = str(uuid.uuid4()), str(next(self._numbers))
            shard = hashlib.sha256(uid.encode()).hexdigest()[:2]
            content = orjson.dumps(payload, option=orjson.OPT_APPEND_NEWLINE)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=self._staging)
            os.write(descriptor, content)
            os.close(descriptor)
            moment = datetime.now(UTC).isoformat(timespec="microseconds")[:26] + "Z"
            job_id = self._job_ids[int(name) % len(self._job_ids)]
            key = f"data/{shard}/{uid}.json"
            digest = hashlib.sha256(content).hexdigest()
            status = status_of(payload)
            rows.append((uid, job_id, self.master_job_id, status, key, moment, moment, moment, None, digest))
            encoded.append(content)
            names.append(name)
            moves.append((self._shards[shard], f"{uid}.json"))
        execute, save, journal = self._connection.execute, self._queries["save_record"], self._queries["journal_data"]
        execute("BEGIN IMMEDIATE")
        for row, content in zip(rows, encoded, strict=True):
            execute(save, row)
            execute(journal, (row[4], content))
        os.write(self._row_log, b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
        execute("COMMIT")
        for name, (shard_directory, final_name) in zip(names, moves, strict=True):
            os.rename(name, final_name, src_dir_fd=self._staging, dst_dir_fd=shard_directory)
        self._since_checkpoint += len(payloads)
        if self._since_checkpoint >= _CHECKPOINT_RECORDS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Make the files themselves power-safe and empty the journal."""
        _sync_file_system(self._root)
        until = self._first("last_journal_number")[0]
        self._connection.execute(self._queries["empty_journal"], (until,))
        self._since_checkpoint = 0

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


def write(directory: str, callers: int, records: int, warm_up: int, jobs: int, durability: str) -> float:
    """Save records in a fresh store, in groups of ``callers``; return the seconds after the first ``warm_up``."""
    store = RawStore(directory, durability, jobs)
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
