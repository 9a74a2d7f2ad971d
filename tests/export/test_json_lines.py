"""JSON Lines: what is stored, a record a line, also compressed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidInputError
from starfish_storage.export import ExportedRecord, JsonLines, export
from starfish_storage.export.forms import splice
from starfish_storage.testing import strategies
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.suite import assert_same, refused

AWKWARD: list[dict[str, Any]] = [
    {"text": "line\r\nline\u2028\u2029\x85\0", "face": "\U0001f600", "huge": 2**70, "zero": -0.0},
    {},
    {"": {"": []}},
]


def read_zstd(path: Path) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found]  (Python 3.14)
    except ImportError:
        from backports import zstd
    return zstd.decompress(path.read_bytes())


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "jsonl.gz", "jsonl.zst"])
async def test_a_line_is_what_is_stored(storage: LocalStorage, tmp_path: Path, ending: str) -> None:
    await save(storage, AWKWARD)
    path = tmp_path / f"out.{ending}"
    await export(storage, path, master_job_ids=[MASTER_JOB])
    content = {"gz": lambda: gzip.decompress(path.read_bytes()), "zst": lambda: read_zstd(path)}.get(
        ending.rsplit(".", maxsplit=1)[-1], path.read_bytes
    )()
    assert content == b"".join(encode(data, "data") for data in AWKWARD)
    assert_same([json.loads(line) for line in content.decode().split("\n")[:-1]], AWKWARD)


async def test_an_unknown_compression_is_refused(storage: LocalStorage, tmp_path: Path) -> None:
    form = JsonLines("brotli")  # type: ignore[arg-type]
    with refused(InvalidInputError, "brotli"):
        await export(storage, tmp_path / "out.jsonl", form, master_job_ids=[MASTER_JOB])


@given(data=strategies.json_objects(), metadata=strategies.json_objects())
def test_metadata_is_added_and_nothing_else_changes(data: dict[str, Any], metadata: dict[str, Any]) -> None:
    data.pop("m", None)
    line = splice(ExportedRecord("r1", encode(data, "data"), metadata), "m", "jsonl")
    assert_same(decode(line), decode(encode({**data, "m": metadata}, "data")))
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
