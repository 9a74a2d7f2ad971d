"""Conversations in each shape, in each container; and names of files that say something else than what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from export.saving import save
from export.test_messages import ONE, lines
from imports.reading import rows_of
from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidInputError, NotExportableError
from starfish_storage.export import Csv, Form, HuggingFace, JsonLines, Parquet, export, form_named, form_of
from starfish_storage.imports import import_path
from starfish_storage.imports.checking import check_file
from starfish_storage.testing.suites.suite import refused

SHAPES = ("openai", "trl", "trl-prompt-completion", "sharegpt", "alpaca")
SAID = {"role": "user", "content": "Well?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
SDK = {"refusal": None, "audio": None, "function_call": None, "annotations": []}


def loaded(dataset: Path, cache: Path) -> dict[str, Any]:
    """Return the splits that `datasets` finds; imported here, since it takes a second of every worker's."""
    import datasets

    return {str(name): split for name, split in datasets.load_dataset(str(dataset), cache_dir=str(cache)).items()}


def a_chat(number: int) -> dict[str, Any]:
    """Return data as it comes of clients: a question, the messages of an agent, and what it could call."""
    asked = {"role": "user", "content": f"What is {number}?"}
    given = f'{{"k":[{number},{{}}]}}' if number % 4 == 3 else f'{{"q":{number}}}'
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": given}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm", **SDK}
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


def without_nulls(value: Any) -> Any:
    """Return a value as trainers read it: a null of a table stands for a key that is not there."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_shape_is_the_same_in_each_container(storage: LocalStorage, tmp_path: Path, shape: str) -> None:
    numbers = range(0, 6, 2) if shape == "alpaca" else range(6)  # which has no calls
    await save(storage, map(a_chat, numbers))
    keep = {} if shape == "openai" else {"thinking": "keep"}
    wanted: list[Any] = []
    for name in ("out.jsonl", "out.parquet", "out.arrow", "dataset"):
        tools = {} if shape == "alpaca" else {"tools_from": "tools"}
        form = form_named(shape, name, messages_from="chat", **keep, **tools)
        report = await export(storage, tmp_path / name, form, **ONE)
        assert (report.form, report.records) == (shape, len(numbers))
        (again,) = (await import_path(storage, tmp_path / name)).master_job_ids
        rows = await rows_of(storage, again)
        wanted = wanted or rows
        assert rows == wanted == lines(tmp_path / "out.jsonl")
        if name in ("out.jsonl", "out.parquet"):
            checked = check_file(tmp_path / name)
            assert (checked.form, checked.rows, checked.first_faults) == (shape, len(numbers), [])
    assert f"a conversation in the shape `{shape}`" in (tmp_path / "dataset" / "README.md").read_text("utf-8")
    metadata = pyarrow.parquet.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"starfish_storage.shape"].decode() == f'"{shape}"'
    (split,) = loaded(tmp_path / "dataset", tmp_path / "cache").values()
    assert [without_nulls(row) for row in split] == wanted


async def test_arguments_are_never_filled_up(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, map(a_chat, range(6)))
    form = form_named("trl", "dataset", messages_from="chat", tools_from="tools")
    report = await export(storage, tmp_path / "dataset", form, **ONE)
    texts = {conflict.path for conflict in report.conflicts}
    assert texts == {"$.messages[].tool_calls[].function.arguments", "$.tools"}
    (split,) = loaded(tmp_path / "dataset", tmp_path / "cache").values()
    called = [messages[1]["tool_calls"] for messages in split["messages"]]
    assert [calls and calls[0]["function"]["arguments"] for calls in called] == [
        None,
        {"q": 1},
        None,
        {"k": [3, {}]},
        None,
        {"q": 5},
    ]


@pytest.mark.parametrize("container", ["jsonl", "parquet", "huggingface"])
async def test_conversations_are_divided_as_their_container_is(
    storage: LocalStorage, tmp_path: Path, container: str
) -> None:
    await save(storage, map(a_chat, range(40)))
    divided: dict[str, Any] = {"splits": {"train": 0.75, "test": 0.25}, "group_by": "question", "container": container}
    form = form_named("openai", "out", messages=(("user", "question"), ("assistant", "question")), **divided)
    report = await export(storage, tmp_path / "out", form, **ONE)
    found = loaded(tmp_path / "out", tmp_path / "cache")
    assert set(found) == {"train", "test"}
    assert {name: split.num_rows for name, split in found.items()} == report.splits.records  # type: ignore[union-attr]
    assert 40 == sum(split.num_rows for split in found.values()) > found["test"].num_rows > 0
    assert found["train"].column_names == ["messages"]


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
    assert report.skipped[0].reason.startswith(place)
    assert "skip_damaged" not in report.skipped[0].reason


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
