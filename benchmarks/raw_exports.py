"""The same files without a library: every data file is read, and written into one, by the shortest loop there is.

It knows nothing of statuses, order, digests or damage, and syncs nothing.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Callable, Iterator

from benchmarks.callers import settle
from benchmarks.turns import serve

_BATCH = 5000


def export(directory: str, target: str, way: str) -> dict[str, float]:
    """Write all data files of a store into one; return the seconds.

    Args:
        directory: the store.
        target: the file.
        way: ``"bytes"`` copies them, ``"json"`` reads and writes each with `json`, ``"parquet"`` reads each with `json`
            and writes batches with `pyarrow`.
    """
    settle()
    begun = time.perf_counter()
    records = _WAYS[way](directory, target)
    seconds = time.perf_counter() - begun
    os.unlink(target)
    return {"seconds": seconds, "records": records}


def _payloads(directory: str) -> Iterator[bytes]:
    for path in glob.iglob(f"{directory}/data/*/*.json"):
        with open(path, "rb") as file:
            yield file.read()


def _bytes(directory: str, target: str) -> int:
    records = 0
    with open(target, "wb") as lines:
        for payload in _payloads(directory):
            lines.write(payload)
            records += 1
    return records


def _json(directory: str, target: str) -> int:
    records = 0
    with open(target, "w", encoding="utf-8") as lines:
        for payload in _payloads(directory):
            lines.write(json.dumps(json.loads(payload), ensure_ascii=False) + "\n")
            records += 1
    return records


def _parquet(directory: str, target: str) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records, batch = 0, []
    writer: pq.ParquetWriter | None = None

    def write() -> None:
        nonlocal writer
        table = pa.Table.from_pylist(batch, schema=None if writer is None else writer.schema)
        writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd")
        writer.write_table(table)
        batch.clear()

    for payload in _payloads(directory):
        batch.append(json.loads(payload))
        records += 1
        if len(batch) == _BATCH:
            write()
    if batch:
        write()
    assert writer is not None
    writer.close()
    return records


_WAYS: dict[str, Callable[[str, str], int]] = {"bytes": _bytes, "json": _json, "parquet": _parquet}

if __name__ == "__main__":
    serve({"export": export})
