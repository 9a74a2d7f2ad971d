"""Halves of characters become U+FFFD in every form, are counted, and no reader stumbles over what models write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from click import unstyle

from cli.calling import call
from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.codec import line_without_halves, without_halves
from starfish_storage.export import Csv, HuggingFace, JsonLines, export, form_named, to_arrow
from starfish_storage.testing.samples import MASTER_JOB

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}

HALF = {"text": "a\ud83d", "\ude00": {chr(0xD800): 1, chr(0xD801): 2}, "list": ["\udc00\ud800", "ok"]}
WHOLE = {"text": "a\ufffd", "\ufffd": {"\ufffd": 1, "\ufffd (2)": 2}, "list": ["\ufffd\ufffd", "ok"]}
PLAIN = {"text": "😀", "\ufffd": {"\ufffd": 3}, "list": []}

HOSTILE = [
    "plain", "", " ", "é", "e\u0301", "\U0001f600", "\ud83d", "\ude00\ud83d", "cut \ud83d", "\\ud83d", "\\\\ud83d", '"',
    "\\", "/", "\0", "\x01\x1f\x7f\x85", "\r\n", "\n", "\t", "\u2028\u2029", "\ufeffmark", "\ufffe\uffff", "\U0010ffff",
    "한국어", "\u202eright", "null", "true", "NaN", "-Infinity", "1e999", "0012", "{}", "[", '{"a": 1}', "</script>",
    "=1+1", "' OR 1", "%s%n", "$x", "a,b;c|d", "x" * 70_000,
]  # fmt: skip
"""Texts that models write, and that have broken files."""


def seen_by_all(path: Path) -> dict[str, list[str]]:
    """Return the column ``text`` as each reader of JSON Lines has it."""
    import datasets  # which takes a second, of each worker if it stood above

    named = str(path)
    return {
        "datasets": datasets.load_dataset("json", data_files=named, split="train", cache_dir=f"{named}.cache")["text"][
            :
        ],
        "pandas": pd.read_json(named, lines=True, dtype=False)["text"].tolist(),
        "polars": pl.read_ndjson(named)["text"].to_list(),
        "duckdb": duckdb.read_json(named, format="newline_delimited").df()["text"].tolist(),
    }


async def test_json_lines_of_hostile_texts_open_everywhere(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": number, "text": text} for number, text in enumerate(HOSTILE)])
    report = await export(storage, tmp_path / "out.jsonl", JsonLines(metadata_key="about"), **ONE)
    assert report.replaced_halves == 4
    wanted = [without_halves(text)[0] for text in HOSTILE]
    for reader, found in seen_by_all(tmp_path / "out.jsonl").items():
        assert found == wanted, reader


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.arrow", "set"])
async def test_every_form_replaces_and_counts_them(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    await save(storage, [HALF, PLAIN])
    form = HuggingFace() if name == "set" else Csv(byte_order_mark=False) if name == "a.csv" else None
    path = tmp_path / name
    report = await export(storage, path, form, **ONE)
    assert (report.records, report.replaced_halves) == (2, 6)
    assert all(conflict.path != "$.text" for conflict in report.conflicts)
    read: dict[str, Callable[[Path], str]] = {
        "a.jsonl": lambda path: json.loads(path.read_bytes().split(b"\n")[0])["text"],
        "a.csv": lambda path: pd.read_csv(path)["text"][0],
        "a.parquet": lambda path: pq.read_table(path)["text"][0].as_py(),
        "a.arrow": lambda path: pyarrow.feather.read_table(path)["text"][0].as_py(),
        "set": lambda path: pq.read_table(path / "data")["text"][0].as_py(),
    }
    assert read[name](path) == WHOLE["text"]


async def test_a_column_with_a_half_stays_text(storage: LocalStorage) -> None:
    await save(storage, [HALF, PLAIN])
    table = await to_arrow(storage, **ONE)
    assert table["text"].to_pylist() == ["a\ufffd", "😀"]
    assert table["list"].to_pylist() == [["\ufffd\ufffd", "ok"], []]
    assert table.schema.metadata[b"starfish_storage.replaced_halves"] == b"6"
    without = await to_arrow(storage, master_job_ids=[MASTER_JOB], where=["text=😀"])
    assert b"starfish_storage.replaced_halves" not in without.schema.metadata


async def test_arguments_of_calls_hold_none(storage: LocalStorage, tmp_path: Path) -> None:
    """They are JSON within a text, where an escape would be found by nobody but the trainer."""
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"city": "Rome \ud83d"}}}
    said = [
        {"role": "user", "content": "Where? \ud83d"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "\ud83d"},
        {"role": "assistant", "content": "there"},
    ]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    await save(storage, [{"messages": said, "tools": tools}])
    form = form_named("openai", "a.jsonl", messages_from="messages", system="be \ude00", tools_from="tools")
    report = await export(storage, tmp_path / "a.jsonl", form, **ONE)
    (line,) = (tmp_path / "a.jsonl").read_bytes().splitlines()
    assert report.replaced_halves == 4
    assert b"\\ud" not in line
    arguments = json.loads(line)["messages"][2]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"city": "Rome \ufffd"}


async def test_the_store_keeps_them_and_the_command_says_so(storage: LocalStorage, tmp_path: Path) -> None:
    (uid,) = await save(storage, [HALF])
    record = await storage.get_record_metadata(uid)
    assert record is not None
    assert record.output_ref is not None
    assert await storage.get_record_data(record.output_ref) == HALF
    done = await asyncio.to_thread(
        call, "--store", str(storage.storage_uri), "export", MASTER_JOB, str(tmp_path / "a.jsonl")
    )
    assert "6 broken characters (half of a surrogate pair) became U+FFFD" in unstyle(done.err)
    assert json.loads((tmp_path / "a.jsonl").read_bytes()) == WHOLE


@pytest.mark.parametrize(
    ("payload", "line", "count"),
    [
        (b'{"a":"\\ud83d\\ude00"}\n', None, 0),
        (b'{"a":"\\\\ud83d"}\n', None, 0),
        (b'{"a":"\\\\\\ud83d"}\n', '{"a":"\\\\\ufffd"}\n', 1),
        (b'{"a":"\\uD83D\\uD83D\\uDE00"}\n', '{"a":"\ufffd\U0001f600"}\n', 1),
        (b'{"a":"\\ud83d\\ud83d"}\n', '{"a":"\ufffd\ufffd"}\n', 2),
        (b'{"a":"\xed\xa0\xbd"}\n', '{"a":"\ufffd"}\n', 1),
        (b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}\n', '{"a":"\U0001f600"}\n', 0),
        ('{"a":"한"}\n'.encode(), None, 0),
        (b'{"a":"\\ud83d","n":%d}\n' % 2**70, f'{{"a":"\\ufffd","n":{2**70}}}\n', 1),
    ],
)  # fmt: skip
def test_only_lone_halves_are_replaced(payload: bytes, line: str | None, count: int) -> None:
    assert line_without_halves(payload) == (payload if line is None else line.encode(), count)
