"""Conversations for fine-tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidInputError, NotExportableError
from starfish_storage.export import ChatMessages, export
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.suite import refused

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def test_fields_become_messages(storage: LocalStorage, tmp_path: Path) -> None:
    data = {"question": "1+1?\n\u2028", "reply": {"text": "é", "score": 2**70}, "a.b": [1, None], "unused": 1}
    await save(storage, [data])
    form = ChatMessages.parsed("user=question, assistant=reply.text,user=a.b,assistant=reply", system="Be brief.")
    await export(storage, tmp_path / "out.jsonl", form, **ONE)
    assert lines(tmp_path / "out.jsonl") == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "1+1?\n\u2028"},
                {"role": "assistant", "content": "é"},
                {"role": "user", "content": "[1,null]"},
                {"role": "assistant", "content": '{"text":"\\u00e9","score":1180591620717411303424}'},
            ]
        }
    ]


async def test_metadata_stands_beside_the_messages(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"q": "1"}])
    form = ChatMessages.parsed("user=q,assistant=q", metadata_key="metadata")
    await export(storage, tmp_path / "out.jsonl", form, **ONE)
    (line,) = lines(tmp_path / "out.jsonl")
    assert list(line) == ["messages", "metadata"]
    assert line["metadata"]["uid"] == "r0000"


@pytest.mark.parametrize("missing", [{}, {"a": None}, {"a": {"b": 1}}, {"a": "text"}], ids=repr)
async def test_a_record_without_the_field_is_refused_or_left_out(
    storage: LocalStorage, tmp_path: Path, missing: dict[str, Any]
) -> None:
    await save(storage, [{"a": {"c": "1"}}, missing, {"a": {"c": "3"}}])
    form = ChatMessages.parsed("user=a.c,assistant=a.c")
    with refused(NotExportableError, "r0001"):
        await export(storage, tmp_path / "out.jsonl", form, **ONE)
    report = await export(storage, tmp_path / "out.jsonl", form, skip_damaged=True, **ONE)
    assert [line["messages"][0]["content"] for line in lines(tmp_path / "out.jsonl")] == ["1", "3"]
    assert (report.records, report.skipped_records) == (2, 1)
    assert "a.c" in report.skipped[0].reason


def test_metadata_cannot_stand_in_place_of_the_messages() -> None:
    with refused(InvalidInputError, "messages"):
        ChatMessages.parsed("user=q", metadata_key="messages")


@pytest.mark.parametrize("mapping", ["", " ", "question", "user=", "boss=question", "=question"])
def test_mappings_that_say_nothing_are_refused(mapping: str) -> None:
    with refused(InvalidInputError):
        ChatMessages.parsed(mapping)
