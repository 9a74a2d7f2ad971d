"""Conversations in each shape, in each container; and names of files that say something else than what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from export.saving import save
from export.test_messages import ONE, lines
from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidInputError, NotExportableError
from starfish_storage.export import Csv, Form, HuggingFace, JsonLines, Parquet, export, form_named, form_of
from starfish_storage.testing.suites.suite import refused

SHAPES = ("openai", "trl", "trl-prompt-completion", "sharegpt", "alpaca")
SAID = {"role": "user", "content": "Well?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
SDK = {"refusal": None, "audio": None, "function_call": None, "annotations": []}


def a_chat(number: int) -> dict[str, Any]:
    """Return data as it comes of clients: a question, the messages of an agent, and what it could call."""
    asked = {"role": "user", "content": f"What is {number}?"}
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm", **SDK}
    found = {"role": "tool", "content": "7", "tool_call_id": "c1"}
    said = {"role": "assistant", "content": f"It is {number}.", "tool_calls": None, **SDK}
    messages = [asked, calling, found, said] if number % 2 else [asked, said]
    return {"question": asked["content"], "answer": {"choices": [{"message": said}]}, "chat": messages, "tools": [TOOL]}


async def test_messages_are_written_without_what_clients_add(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, map(a_chat, range(2)))
    form = form_named("openai", "out.jsonl.gz", messages_from="chat", tools_from="tools", system="Be brief.")
    report = await export(storage, tmp_path / "out.jsonl.gz", form, **ONE)
    assert (report.form, report.records) == ("openai", 2)
    await export(storage, tmp_path / "out.jsonl", form_named("openai", "out.jsonl", messages_from="chat"), **ONE)
    system = {"role": "system", "content": "Be brief."}
    one = [
        {"role": "user", "content": "What is 1?"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "7", "tool_call_id": "c1"},
        {"role": "assistant", "content": "It is 1."},
    ]
    assert lines(tmp_path / "out.jsonl")[1] == {"messages": one}
    form = form_named("openai", "chat.jsonl", messages_from="chat", tools_from="tools", system="Be brief.")
    await export(storage, tmp_path / "chat.jsonl", form, **ONE)
    assert lines(tmp_path / "chat.jsonl")[1] == {"messages": [system, *one], "tools": [TOOL]}


async def test_a_question_and_a_message_within_an_answer_are_one_conversation(
    storage: LocalStorage, tmp_path: Path
) -> None:
    await save(storage, [a_chat(2)])
    fields: dict[str, Any] = {"messages": (("user", "question"),), "messages_from": "answer.choices.0.message"}
    await export(storage, tmp_path / "out.jsonl", form_named("openai", "out.jsonl", **fields), **ONE)
    spoken = [{"role": "user", "content": "What is 2?"}, {"role": "assistant", "content": "It is 2."}]
    assert lines(tmp_path / "out.jsonl") == [{"messages": spoken}]


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_shape_is_the_same_in_each_container(storage: LocalStorage, tmp_path: Path, shape: str) -> None:
    await save(storage, map(a_chat, range(0, 6, 2)))
    wanted: list[Any] = []
    for name in ("out.jsonl", "out.parquet", "out.arrow", "dataset"):
        form = form_named(shape, name, messages_from="chat")
        report = await export(storage, tmp_path / name, form, **ONE)
        assert (report.form, report.records, report.conflicts) == (shape, 3, [])
        if name == "out.jsonl":
            wanted = lines(tmp_path / name)
        elif name == "out.parquet":
            assert pyarrow.parquet.read_table(tmp_path / name).to_pylist() == wanted
        elif name == "out.arrow":
            assert pyarrow.ipc.open_file(tmp_path / name).read_all().to_pylist() == wanted
        else:
            (file,) = (tmp_path / name / "data").iterdir()
            assert pyarrow.parquet.read_table(file).to_pylist() == wanted
    assert len(wanted) == 3


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"chat": [{"role": "assistant", "content": "hi"}]}, "messages[0]: "),
        ({"chat": "hi"}, "chat: this is text"),
        ({"chat": [{"role": "user", "content": "hi"}, {"role": "boss", "content": "ho"}]}, "chat[1].role: "),
        ({"chat": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": " "}]}, "messages[1].content: "),
        (
            {"chat": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [CALL]}, SAID, SAID]},
            "messages[1].tool_calls[0]: ",
        ),
        ({"other": 1}, "chat: the record has no such field"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_a_wrong_conversation_is_refused_with_record_and_path(
    storage: LocalStorage, tmp_path: Path, wrong: dict[str, Any], place: str
) -> None:
    await save(storage, [a_chat(2), wrong, a_chat(4)])
    form = form_named("openai", "out.jsonl", messages_from="chat")
    with refused(NotExportableError, "r0001"):
        await export(storage, tmp_path / "out.jsonl", form, **ONE)
    assert not (tmp_path / "out.jsonl").exists()
    report = await export(storage, tmp_path / "out.jsonl", form, skip_damaged=True, **ONE)
    assert (report.records, report.skipped_records, len(lines(tmp_path / "out.jsonl"))) == (2, 1, 2)
    assert report.skipped[0].record_uid == "r0001"
    assert place in report.skipped[0].reason


async def test_annotations_and_metadata_stand_beside_a_conversation(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [a_chat(2)])
    form = form_named("sharegpt", "out.jsonl", messages_from="chat", metadata_key="about")
    await export(storage, tmp_path / "out.jsonl", form, with_annotations="said", **ONE)
    (line,) = lines(tmp_path / "out.jsonl")
    assert list(line)[-2:] == ["said", "about"]
    with refused(NotExportableError, "conversations"):
        await export(storage, tmp_path / "no.jsonl", form, with_annotations="conversations", **ONE)


NAMES: list[tuple[str, Form | str, str]] = [
    ("out.parquet", JsonLines(), ".jsonl"),
    ("out.csv", JsonLines(), "means csv"),
    ("out.jsonl", Csv(), ".csv"),
    ("out.jsonl.gz", Csv("gzip"), "means jsonl"),
    ("out.parquet.gz", Parquet(), ".gz"),
    ("out.jsonl.gz", JsonLines(), ".gz"),
    ("out.jsonl", JsonLines("gzip"), "end it in .gz"),
    ("out.gz", JsonLines("zstd"), ".gz"),
    ("out.zip", JsonLines(), ".zip"),
    ("out.xlsx", Csv(), ".xlsx"),
    ("out.parquet", HuggingFace(), "makes a directory"),
    ("out/", Parquet(), "remove the last"),
    ("out.csv", "openai", "not as csv"),
    ("out.txt", "openai", "end the name in .jsonl"),
    ("out.parquet", "messages", "means parquet"),
]


@pytest.mark.parametrize(("name", "form", "said"), NAMES, ids=lambda given: given if isinstance(given, str) else "")
async def test_a_name_that_says_something_else_is_refused(
    storage: LocalStorage, tmp_path: Path, name: str, form: Form | str, said: str
) -> None:
    await save(storage, [a_chat(2)])
    with refused(InvalidInputError, said):
        made = form_named(form, name, messages=(("user", "question"),)) if isinstance(form, str) else form
        await export(storage, f"{tmp_path}/{name}", made, **ONE)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


async def test_a_name_that_says_nothing_is_taken(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [a_chat(2)])
    for name, form in {"out": Parquet(), "out.txt": JsonLines(), "v1.2": HuggingFace(), "data/": HuggingFace()}.items():
        assert (await export(storage, f"{tmp_path}/{name}", form, **ONE)).records == 1


def test_options_that_a_container_has_not_are_refused() -> None:
    with refused(InvalidInputError, "openai, written as jsonl, has no option card"):
        form_named("openai", "out.jsonl", messages_from="chat", card="x")
    with refused(InvalidInputError, "has no place for what was thought"):
        form_named("openai", "out.jsonl", messages_from="chat", thinking="keep")
    with refused(InvalidInputError, "csv cannot hold conversations"):
        form_named("openai", "out.jsonl", messages_from="chat", container=form_of("a.csv"))
    form = form_named("openai", "some/where", messages_from="chat", container="parquet")
    assert form.written_as == Parquet()
    assert json.dumps(form_named("openai", "a/", messages_from="chat").written_as.name) == '"huggingface"'
