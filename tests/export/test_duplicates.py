"""What stands twice: the table of digests on disk, and the step that counts rows, inputs and prompts by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage.codec import canonical_hash, decode, encode, value_digest
from starfish_storage.errors import StorageFullError, StorageIOError
from starfish_storage.export.duplicates import Duplicates
from starfish_storage.export.records import ExportedRecord, RecordSource
from starfish_storage.export.report import DuplicateReport
from starfish_storage.export.splitting import SplitOptions
from starfish_storage.metadata.digest_table import DigestTable, Noted
from starfish_storage.testing.suites.suite import refused

BY_RECORD = SplitOptions({"a": 0.5, "b": 0.5}, group_by="@record")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(["\ud800", "\ud800a", 2**70, 2.0**70, -0.0])
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[DigestTable]:
    with DigestTable(str(tmp_path)) as table:
        yield table


def digest(number: int) -> bytes:
    return number.to_bytes(16)


def test_the_first_of_a_digest_is_found_again(table: DigestTable, tmp_path: Path) -> None:
    assert [table.note(digest(n % 1000), f"s{n % 7}", f"r{n}") for n in range(1000)] == [None] * 1000
    assert os.listdir(tmp_path) == []  # whatever kills the process leaves nothing
    table.count(digest(5))
    assert table.note(digest(5), "other", "other") == Noted("s5", "r5", is_counted=True)
    assert table.note(digest(6), "other", "other") == Noted("s6", "r6", is_counted=False)


def test_a_disk_that_takes_no_table_is_named(table: DigestTable, tmp_path: Path) -> None:
    with refused(StorageIOError, "nowhere"):
        DigestTable(str(tmp_path / "nowhere"))
    table._connection.pragma("max_page_count", 8)
    with refused(StorageFullError, str(tmp_path)):
        for number in range(10_000):
            table.note(digest(number), "s", f"record-{number}")


@given(VALUES, VALUES)
def test_digests_are_equal_as_values_are(one: Any, other: Any) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    assert value_digest(one) == value_digest(turned(one))
    assert (value_digest(one) == value_digest(other)) == (canonical_hash(one) == canonical_hash(other))


def row(uid: str, data: dict[str, Any], split: str, asked: object = None) -> ExportedRecord:
    source = None if asked is None else RecordSource(f"job-{uid}", "run-1", canonical_hash({"q": asked}), None)
    return ExportedRecord(uid, encode(data, ""), {"uid": uid}, None, source, split)


def counted(tmp_path: Path, rows: list[ExportedRecord], **how: Any) -> tuple[DuplicateReport, list[str]]:
    found = DuplicateReport(left_out=how.pop("left_out", False))
    step = Duplicates(found, how.pop("options", BY_RECORD))
    step.begin(str(tmp_path))
    kept = [one[0] for start in range(0, len(rows), 3) for one in step.reshape(rows[start : start + 3])]
    step.close()
    return found, kept


def test_each_input_and_each_prompt_is_counted_once(tmp_path: Path) -> None:
    rows = [
        row("r1", {"q": "x", "a": 1}, "a", "x"),
        row("r2", {"q": "x", "a": 2}, "b", "x"),
        row("r3", {"q": "x", "a": 3}, "b", "x"),  # the same input again
        row("r4", {"q": "y", "a": 1}, "a", "y"),
        row("r5", {"q": "y", "a": 2}, "a", "y"),  # in one split
        row("r6", {"a": 1}, "a"),
        row("r7", {"a": 1}, "b"),
        row("r8", {"prompt": "z", "completion": 1}, "a", "z1"),
        row("r9", {"completion": 2, "prompt": "z"}, "b", "z2"),  # of another input, though it asks the same
    ]
    found, kept = counted(tmp_path, rows)
    assert (found.records, found.over_splits, found.inputs_over_splits, found.prompts_over_splits) == (1, 1, 1, 1)
    assert kept == [one.uid for one in rows]
    by_input, _ = counted(tmp_path, rows, options=SplitOptions({"a": 0.5, "b": 0.5}))
    assert (by_input.inputs_over_splits, by_input.prompts_over_splits) == (None, 1)


@given(
    numbers=st.lists(st.integers(0, 6), max_size=30),
    splits=st.lists(st.sampled_from("ab"), min_size=30, max_size=30),
    left_out=st.booleans(),
)
def test_counts_are_those_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], splits: list[str], left_out: bool
) -> None:
    rows = [row(f"r{place}", {"n": number}, splits[place]) for place, number in enumerate(numbers)]
    first: dict[bytes, ExportedRecord] = {}
    again = [(one, first[one.payload]) for one in rows if first.setdefault(one.payload, one) is not one]
    found, kept = counted(tmp_path_factory.getbasetemp(), rows, left_out=left_out)
    assert found.records == len(again)
    assert found.over_splits == sum(one.split != other.split for one, other in again)
    assert [(one.record_uid, one.equal_to) for one in found.named] == [(one.uid, other.uid) for one, other in again]
    assert len(kept) == len(first if left_out else rows)
    assert [decode(one.payload)["n"] for one in rows if one.uid in kept] == (
        list(dict.fromkeys(numbers)) if left_out else numbers
    )
