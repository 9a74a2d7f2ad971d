"""The shapes in which conversations are trained on: what each writes, and which rows it lets pass."""

from __future__ import annotations

from typing import Any, cast

import pytest

from conversations.rows import (
    ANSWER,
    ASK,
    PICTURE,
    RESULT,
    RIGHT,
    SYSTEM,
    TOOLS,
    WORSE,
    Row,
    call,
    calling,
    turn,
)
from conversations.wrong_rows import WRONG
from starfish_storage.conversations.messages import Conversation
from starfish_storage.conversations.pairs import PreferencePair, pair_of
from starfish_storage.conversations.shapes import (
    ConversationShape,
    PairShape,
    conversation_shapes,
    recognise,
    shape_named,
)
from starfish_storage.errors import ConversationError, InvalidInputError

NAMES = [shape.name for shape in conversation_shapes()]


def faults(shape: str, row: Row) -> list[str]:
    """Return what the check of a shape says of a row."""
    return [str(one) for one in shape_named(shape).check(row)]


@pytest.mark.parametrize("name", NAMES)
def test_rows_as_the_guides_have_them_pass(name: str) -> None:
    for row in RIGHT[name]:
        assert faults(name, row) == [], row
        assert recognise([row]) in (name, "trl" if name == "openai" else name)
    assert recognise(RIGHT[name]) == name


@pytest.mark.parametrize(
    ("name", "row", "path", "reason"), WRONG, ids=[f"{one[0]}: {one[2]} {one[3]}" for one in WRONG]
)
def test_a_row_with_a_fault_does_not_pass(name: str, row: Row, path: str, reason: str) -> None:
    [found] = shape_named(name).check(row)  # one fault: what follows from it is not told again
    assert found.path == path
    assert reason in found.reason


def test_content_beside_calls_may_be_null_for_openai_alone() -> None:
    """Its API answers so, and takes it back."""
    spoken = [ASK, calling(call("a")) | {"content": None}, RESULT | {"tool_call_id": "a"}, ANSWER]
    assert not shape_named("openai").check({"messages": spoken})
    (fault,) = shape_named("trl").check({"messages": [ASK, ANSWER | {"content": None}]})
    assert fault.path == "messages[1].content"
    spoken[1]["tool_calls"] = []
    assert shape_named("openai").check({"messages": spoken})


def test_no_json_value_breaks_a_check() -> None:
    odd: list[Any] = [
        None,
        7,
        "x",
        [],
        {},
        [[]],
        [None],
        [{}],
        {"role": 1},
        [{"role": "user", "content": [None]}],
        True,
    ]
    for name in NAMES:
        for row in RIGHT[name]:
            for key in row:
                for value in odd:
                    shape_named(name).check(row | {key: value})
                    recognise([row | {key: value}])


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(shape_named(name), ConversationShape)])
def test_what_is_written_passes_the_check(name: str) -> None:
    shape = cast("ConversationShape", shape_named(name))
    conversations = [
        Conversation([SYSTEM, ASK, ANSWER]),
        Conversation([ASK, ANSWER | {"thinking": "Warm."}, ASK, WORSE]),
        Conversation(
            [
                ASK,
                calling(call("a"), call("b")) | {"content": None},
                RESULT | {"tool_call_id": "a"},
                RESULT | {"tool_call_id": "b", "content": "warm"},
                ANSWER,
            ],
            TOOLS,
        ),
        Conversation([ASK | {"content": [{"type": "text", "text": "Where?"}, PICTURE]}, ANSWER], []),
    ]
    refused = {"sharegpt": [3], "alpaca": [2, 3]}.get(name, [])
    for number, conversation in enumerate(conversations):
        if number in refused:
            with pytest.raises(ConversationError, match=r"messages\["):
                shape.written(conversation)
        else:
            assert shape.check(shape.written(conversation)) == []


def test_each_shape_writes_a_conversation_its_own_way() -> None:
    conversation = Conversation(
        [SYSTEM, ASK, calling() | {"content": None, "thinking": "Look."}, RESULT, ANSWER | {"weight": 1}], TOOLS
    )

    def written(name: str, told: Conversation = conversation) -> Row:
        return cast("ConversationShape", shape_named(name)).written(told)

    assert written("openai") == {"messages": [SYSTEM, ASK, calling(), RESULT, ANSWER | {"weight": 1}], "tools": TOOLS}
    called = {"role": "assistant", "thinking": "Look.", "tool_calls": [call(arguments={"city": "Rome"})]}
    assert written("trl") == {"messages": [SYSTEM, ASK, called, RESULT, ANSWER], "tools": TOOLS}
    assert written("trl-prompt-completion") == {
        "prompt": [SYSTEM, ASK, called, RESULT],
        "completion": [ANSWER],
        "tools": TOOLS,
    }
    assert written("sharegpt") == {
        "conversations": [
            turn("system", SYSTEM["content"]),
            turn("human", ASK["content"]),
            turn("function_call", '<think>\nLook.\n</think>\n\n{"name":"weather","arguments":{"city":"Rome"}}'),
            turn("observation", '{"degrees": 21}'),
            turn("gpt", ANSWER["content"]),
        ],
        "tools": '[{"name":"weather","description":"Tells the weather.","parameters":{"type":"object","properties":'
        '{"city":{"type":"string"}},"required":["city"]}}]',
    }
    assert written("alpaca", Conversation([SYSTEM, ASK, WORSE, ASK, ANSWER | {"thinking": "Warm."}])) == {
        "instruction": ASK["content"],
        "input": "",
        "output": f"<think>\nWarm.\n</think>\n\n{ANSWER['content']}",
        "system": SYSTEM["content"],
        "history": [[ASK["content"], WORSE["content"]]],
    }


def test_several_answers_of_tools_are_one_turn_of_sharegpt() -> None:
    told = Conversation([ASK, calling(call("a"), call("b")), RESULT, RESULT | {"content": "warm"}, ANSWER])
    turns = cast("ConversationShape", shape_named("sharegpt")).written(told)["conversations"]
    assert [one["from"] for one in turns] == ["human", "function_call", "observation", "gpt"]
    assert turns[2]["value"] == '[{"degrees":21},"warm"]'
    no_json = RESULT | {"content": '{"degrees": NaN}'}  # as Python writes it: it would become null
    told = Conversation([ASK, calling(call("a"), call("b")), RESULT, no_json, ANSWER])
    turns = cast("ConversationShape", shape_named("sharegpt")).written(told)["conversations"]
    assert turns[2]["value"] == '[{"degrees":21},"{\\"degrees\\": NaN}"]'


def test_images_stand_beside_the_messages_in_trl() -> None:
    told = Conversation([SYSTEM, ASK | {"content": [PICTURE, {"type": "text", "text": "Where?"}]}, ANSWER])
    row = cast("ConversationShape", shape_named("trl")).written(told)
    assert row["images"] == ["https://example.org/rome.png"]
    assert [message["content"] for message in row["messages"]] == [
        [{"type": "text", "text": SYSTEM["content"]}],
        [{"type": "image"}, {"type": "text", "text": "Where?"}],
        [{"type": "text", "text": ANSWER["content"]}],
    ]


@pytest.mark.parametrize(
    ("name", "messages", "path"),
    [
        ("sharegpt", [ASK, calling() | {"content": "Let me look."}], "messages[1].content"),
        ("sharegpt", [ASK, calling(call(arguments="?"))], "messages[1].tool_calls[0].function.arguments"),
        ("sharegpt", [ASK, calling(call(arguments='{"a": NaN}'))], "messages[1].tool_calls[0].function.arguments"),
        ("alpaca", [ASK, calling()], "messages[1]"),
        ("alpaca", [SYSTEM, ASK, ASK], "messages[2]"),
        ("alpaca", [ASK], "messages"),
        ("trl-prompt-completion", [ASK], "messages[0]"),
    ],
)
def test_a_shape_says_what_it_has_no_place_for(name: str, messages: list[Row], path: str) -> None:
    with pytest.raises(ConversationError) as caught:
        cast("ConversationShape", shape_named(name)).written(Conversation(messages))
    assert caught.value.path == path


@pytest.mark.parametrize("name", ["openai-dpo", "preferences"])
def test_a_pair_is_written_with_its_prompt_once(name: str) -> None:
    shape = cast("PairShape", shape_named(name))
    before = [SYSTEM, ASK, calling(), RESULT]
    pair = pair_of(Conversation([*before, ANSWER], TOOLS), Conversation([*before, WORSE]))
    assert pair == PreferencePair(before, [ANSWER], [WORSE], TOOLS)
    row = shape.written(pair)
    assert shape.check(row) == []
    keys = ("preferred_output", "non_preferred_output") if name == "openai-dpo" else ("chosen", "rejected")
    assert [row[key] for key in keys] == [[ANSWER], [WORSE]]


def test_a_pair_begins_where_the_assistant_speaks_differently() -> None:
    # What the tool says differs too, but it is the assistant who chose to call it.
    other = RESULT | {"content": "22"}
    pair = pair_of(Conversation([ASK, calling(), RESULT, ANSWER]), Conversation([ASK, calling(), other, ANSWER]))
    assert (pair.prompt, pair.chosen, pair.rejected) == ([ASK], [calling(), RESULT, ANSWER], [calling(), other, ANSWER])
    with pytest.raises(ConversationError, match="rejected: is the same"):
        pair_of(Conversation([ASK, ANSWER]), Conversation([ASK, ANSWER]))
    with pytest.raises(ConversationError, match="chosen: does not begin"):
        pair_of(Conversation([ASK, ANSWER]), Conversation([WORSE, ANSWER]))
    for worse in ([ASK, ANSWER, ASK | {"content": "And then?"}, WORSE], [ASK, ANSWER]):
        with pytest.raises(ConversationError, match="what was asked"):
            pair_of(Conversation([ASK, ANSWER, ASK, WORSE]), Conversation(worse))


def test_shapes_are_recognised_by_all_rows() -> None:
    assert recognise([]) is None
    assert recognise([{"question": "?"}]) is None
    assert recognise([*RIGHT["openai"], {"question": "?"}]) is None
    assert recognise([*RIGHT["sharegpt"], *RIGHT["alpaca"]]) is None
    # One row that only TRL has makes the file TRL's; columns hold nulls where a row has nothing.
    assert recognise([RIGHT["openai"][0], RIGHT["trl"][1]]) == "trl"
    assert recognise([RIGHT["openai"][0] | {"tools": None, "chosen": None}]) == "openai"
    assert recognise([{"messages": [ANSWER | {"thinking": None}]}]) == "openai"


def test_an_unknown_shape_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        InvalidInputError, match="openai, openai-dpo, trl, trl-prompt-completion, preferences, sharegpt"
    ):
        shape_named("harmony")
