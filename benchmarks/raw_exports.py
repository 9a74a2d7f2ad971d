"""The same files without this library: every data file is read, and written into one, by the shortest loop there is.

It knows nothing of statuses, order, digests or damage, and syncs nothing. The same is true of `datasets`.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.callers import settle
from benchmarks.turns import serve

_BATCH = 5000


def export(directory: str, target: str, way: str) -> dict[str, float]:
    """Write all data files of a store into one; return the seconds.

    Args:
        directory: the store.
        target: the file.
        way: ``"bytes"`` copies them, ``"json"`` reads and writes each with `json`, ``"parquet"`` reads each with `json`
            and writes batches with `pyarrow`; ``"messages"`` and ``"messages-parquet"`` make a conversation of each.
            ``"datasets"`` gives `datasets` what `json` reads, and ``"datasets-messages"`` a conversation of each.
    """
    if way.startswith("datasets"):
        _datasets()
    settle()
    begun = time.perf_counter()
    records = _WAYS[way](directory, target)
    seconds = time.perf_counter() - begun
    os.unlink(target)
    return {"seconds": seconds, "records": records}


def load(source: str, form: str, cache: str) -> dict[str, float]:
    """Read a file with `datasets`, which keeps it as Arrow data; return the seconds."""
    datasets = _datasets()
    settle()
    begun = time.perf_counter()
    rows = datasets.load_dataset(form, data_files=source, split="train", cache_dir=cache).num_rows
    return {"seconds": time.perf_counter() - begun, "records": rows}


def _datasets() -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets


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


def _parsed(directory: str) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, _payloads(directory))


def _conversations(directory: str) -> Iterator[dict[str, Any]]:
    for data in _parsed(directory):
        yield {
            "messages": [
                {"role": "user", "content": data["question"]},
                {"role": "assistant", "content": data["answer"]},
            ]
        }


def _messages(directory: str, target: str) -> int:
    records = 0
    with open(target, "w", encoding="utf-8") as lines:
        for conversation in _conversations(directory):
            lines.write(json.dumps(conversation, ensure_ascii=False) + "\n")
            records += 1
    return records


def _by_datasets(rows: Callable[[str], Iterator[dict[str, Any]]]) -> Callable[[str, str], int]:
    def write(directory: str, target: str) -> int:
        cache = tempfile.mkdtemp(dir=os.path.dirname(target))  # else it would find what it has kept
        made = _datasets().Dataset.from_generator(rows, gen_kwargs={"directory": directory}, cache_dir=cache)
        if target.endswith(".parquet"):
            made.to_parquet(target)
        else:
            made.to_json(target, force_ascii=False)
        return made.num_rows

    return write


def _parquet(directory: str, target: str) -> int:
    return _to_parquet(_parsed(directory), target)


def _messages_parquet(directory: str, target: str) -> int:
    return _to_parquet(_conversations(directory), target)


def _to_parquet(rows: Iterator[dict[str, Any]], target: str) -> int:
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

    for row in rows:
        batch.append(row)
        records += 1
        if len(batch) == _BATCH:
            write()
    if batch:
        write()
    assert writer is not None
    writer.close()
    return records


_WAYS: dict[str, Callable[[str, str], int]] = {
    "bytes": _bytes,
    "json": _json,
    "parquet": _parquet,
    "messages": _messages,
    "messages-parquet": _messages_parquet,
    "datasets": _by_datasets(_parsed),
    "datasets-messages": _by_datasets(_conversations),
}

if __name__ == "__main__":
    serve({"export": export, "load": load})
