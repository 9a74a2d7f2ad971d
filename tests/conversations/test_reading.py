"""Conversations are read from what people have, or refused with the place where the fault stands."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starfish_storage.conversations.messages import ROLES, Conversation
from starfish_storage.conversations.reading import read_conversation, read_tools
from starfish_storage.conversations.shapes import ConversationShape, conversation_shapes, shape_named
from starfish_storage.errors import ConversationError, InvalidInputError
from starfish_storage.export.conversation_source import ConversationSource

USER, REPLY = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {"role": "tool", "content": "found", "tool_call_id": "c1"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}


def invented(message: dict[str, Any], named: str = "call_1") -> dict[str, Any]:
    """Return a message with the id that a call without one is given."""
    text = json.dumps(message).replace('"c1"', f'"{named}"')
    return json.loads(text)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        pytest.param([USER, REPLY], [USER, REPLY], id="plain"),
        pytest.param({"messages": [USER, REPLY]}, [USER, REPLY], id="an object"),
        pytest.param(json.dumps([USER, REPLY]), [USER, REPLY], id="JSON text"),
        pytest.param(REPLY, [REPLY], id="one message"),
        pytest.param({"choices": [{"index": 0, "message": REPLY}], "usage": {}}, [REPLY], id="an answer of OpenAI"),
        pytest.param(
            [
                {"role": "assistant", "content": "ho", "refusal": None, "audio": None, "function_call": None},
                {"role": "assistant", "content": None, "tool_calls": [CALL], "annotations": []},
                {"role": "tool", "content": [{"type": "text", "text": "found"}], "tool_call_id": "c1"},
            ],
            [REPLY, CALLING, ANSWER],
            id="what clients add is left out",
        ),
        pytest.param(
            [CALLING | {"tool_calls": [CALL | {"id": 7}]}, ANSWER | {"tool_call_id": 7}],
            [invented(CALLING, "7"), invented(ANSWER, "7")],
            id="ids that are numbers",
        ),
        pytest.param(
            [{"role": "user", "content": "hi", "name": "Ann"}, {"role": "assistant", "content": "ho", "weight": 0}],
            [{"role": "user", "content": "hi", "name": "Ann"}, {"role": "assistant", "content": "ho", "weight": 0}],
            id="names and weights",
        ),
        pytest.param(
            [
                {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {"q": 1}}}]},
                {"role": "tool", "name": "look", "content": "found"},
            ],
            [invented(CALLING), {"role": "tool", "content": "found", "name": "look", "tool_call_id": "call_1"}],
            id="TRL: no ids, arguments as an object",
        ),
        pytest.param(
            [
                {"id": "m1", "role": "user", "content": "hi", "source": "input"},
                {
                    "role": "assistant",
                    "content": [{"type": "reasoning", "reasoning": "hm"}],
                    "tool_calls": [{"id": "c1", "type": "function", "function": "look", "arguments": {"q": 1}}],
                    "source": "generate",
                    "model": "m",
                },
                {"role": "tool", "content": "found", "tool_call_id": "c1", "function": "look"},
            ],
            [USER, CALLING | {"thinking": "hm"}, ANSWER],
            id="Inspect: the name of a call stands beside its arguments",
        ),
        pytest.param(
            [
                {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"q":1}'}},
                {"role": "function", "name": "look", "content": "found"},
            ],
            [invented(CALLING), {"role": "tool", "content": "found", "name": "look", "tool_call_id": "call_1"}],
            id="OpenAI before tools",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, IMAGE]}],
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, IMAGE]}],
            id="parts",
        ),
        pytest.param(
            [
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "x"},
                        {"type": "redacted_thinking", "data": "x"},
                        {"type": "text", "text": "I look"},
                        {"type": "text", "text": " now."},
                        {"type": "tool_use", "id": "c1", "name": "look", "input": {"q": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "c1",
                            "content": [
                                {"type": "text", "text": "found"},
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="},
                                },
                            ],
                        },
                        {"type": "text", "text": "go on"},
                    ],
                },
            ],
            [
                USER,
                {"role": "assistant", "content": "I look now.", "thinking": "hm", "tool_calls": [CALL]},
                {"role": "tool", "content": [{"type": "text", "text": "found"}, IMAGE], "tool_call_id": "c1"},
                {"role": "user", "content": "go on"},
            ],
            id="Anthropic",
        ),
        pytest.param(
            {
                "output": [
                    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                    {"type": "function_call", "id": "fc", "call_id": "c1", "name": "look", "arguments": '{"q":1}'},
                    {"type": "function_call_output", "call_id": "c1", "output": "found"},
                    {"type": "reasoning", "summary": []},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ho"}]},
                ]
            },
            [CALLING | {"thinking": "hm"}, ANSWER, REPLY],
            id="Responses",
        ),
        pytest.param(
            {
                "system": "Be brief.",
                "conversations": [
                    {"from": "human", "value": "hi"},
                    {"from": "function_call", "value": '{"name": "look", "arguments": {"q": 1}}'},
                    {"from": "observation", "value": "found"},
                    {"from": "gpt", "value": "ho"},
                ],
            },
            [{"role": "system", "content": "Be brief."}, USER, invented(CALLING), invented(ANSWER), REPLY],
            id="ShareGPT",
        ),
    ],
)
def test_what_people_have_becomes_canonical(given: Any, canonical: list[dict[str, Any]]):
    before = json.dumps(given)
    assert read_conversation(given).messages == canonical
    assert json.dumps(given) == before, "what was given is not changed"
    assert read_conversation(canonical).messages == canonical


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ([], "$"),
        ("just text", "$"),
        ('[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": NaN}}}]}]', "$"),
        (7, "$"),
        ({"answer": "x"}, "$"),
        ({"messages": []}, "messages"),
        ([USER, 7], "$[1]"),
        ([{"content": "hi"}], "$[0]"),
        ([{"role": "model", "parts": [{"text": "hi"}]}], "$[0]"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "$[0]"),
        ([{"role": "boss", "content": "hi"}], "$[0].role"),
        ([{"role": ["user"], "content": "hi"}], "$[0].role"),
        ([{"from": "boss", "value": "hi"}], "$[0].from"),
        ([{"role": "user", "content": 7}], "$[0].content"),
        ([{"role": "user", "content": {"text": "hi"}}], "$[0].content"),
        ([{"role": "user", "content": ["a", 7]}], "$[0].content[1]"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "$[0].content[0]"),
        ([{"role": "user", "content": [{"type": "image"}]}], "$[0].content[0]"),
        ([USER, CALLING | {"tool_calls": "odd"}], "$[1].tool_calls"),
        ([USER, CALLING | {"tool_calls": [CALL, {"function": {"arguments": "{}"}}]}], "$[1].tool_calls[1]"),
        ([CALLING | {"tool_calls": [{"function": {"name": "look", "arguments": 7}}]}], "$[0].tool_calls[0]"),
        ({"messages": [{"from": "human", "value": ["a", None]}]}, "messages[0].value[1]"),
    ],
    ids=repr,
)
def test_what_is_no_conversation_is_refused_with_its_place(given: Any, place: str):
    with pytest.raises(ConversationError) as caught:
        read_conversation(given)
    assert caught.value.path == place


TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "given",
    [
        [TOOL],
        json.dumps([TOOL]),
        [{"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
        [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
    ],
    ids=repr,
)
def test_tools_are_those_of_openai(given: Any):
    assert read_tools(given, "tools") == [TOOL]


def test_a_tool_without_a_name_is_refused():
    with pytest.raises(ConversationError, match=r"tools\[1\]: the tool has no name"):
        read_tools([TOOL, {"type": "function", "function": {}}], "tools")


def test_fields_are_said_before_and_behind_a_list():
    data = {
        "question": "hi",
        "asked": [{"role": "user", "content": "a"}],
        "response": {"choices": [{"message": {"role": "assistant", "content": "ho", "reasoning_content": "hm"}}]},
        "a.b": {"n": 1},
        "tools": [TOOL],
    }
    source = ConversationSource("response.choices.0.message", (("user", "question"),), system="Be brief.")
    system = {"role": "system", "content": "Be brief."}
    assert source.of(data).messages == [system, USER, REPLY]
    kept = ConversationSource("response", (("user", "question"),), tools_from="tools", thinking="keep").of(data)
    assert (kept.messages, kept.tools) == ([USER, REPLY | {"thinking": "hm"}], [TOOL])
    behind = ConversationSource("asked", (("user", "question"), ("assistant", "a.b"))).of(data)
    assert [one["content"] for one in behind.messages] == ["hi", "a", '{"n":1}']


def test_tools_and_the_system_beside_messages_are_read_with_them():
    spoken = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]
    row = {"conversations": spoken, "system": "Be nice.", "tools": [TOOL]}
    nice = {"role": "system", "content": "Be nice."}
    for data, path in ((row, "conversations"), ({"body": row}, "body.conversations"), ({"body": row}, "body")):
        read = ConversationSource(path).of(data)
        assert (read.messages, read.tools) == ([nice, USER, REPLY], [TOOL])
    brief = {"role": "system", "content": "Be brief."}
    assert ConversationSource("conversations", system="Be brief.").of(row).messages == [brief, USER, REPLY]
    assert ConversationSource("conversations", (("system", "system"),)).of(row).messages == [nice, USER, REPLY]
    said = {"messages": [brief, USER, REPLY], "system": "Be nice.", "tools": ["look"]}
    assert ConversationSource("messages", system="Be nice.").of(said).messages == [nice, USER, REPLY]
    assert ConversationSource("messages").of(said) == Conversation([brief, USER, REPLY], None)
    assert ConversationSource("chat").of({"chat": [USER, REPLY], "tools": [TOOL]}).tools is None
    assert ConversationSource("messages").of({"messages": [USER, REPLY], "system": {"os": 1}}).messages == [USER, REPLY]


@pytest.mark.parametrize("path", ["b", "a.c", "a.1", "a.0.x", "n", "a.-1"])
def test_a_field_that_is_not_there_is_named(path: str):
    with pytest.raises(ConversationError) as caught:
        ConversationSource(path).of({"a": [1], "n": None})
    assert caught.value.path == path


def test_a_source_that_says_nothing_is_refused():
    odd: list[dict[str, Any]] = [
        {},
        {"parts": (("boss", "x"),)},
        {"parts": (("user", ""),)},
        {"thinking": "x", "messages_from": "m"},
    ]
    for wrong in odd:
        with pytest.raises(InvalidInputError):
            ConversationSource(**wrong)


CONVERSATIONS = [
    [USER, REPLY],
    [{"role": "system", "content": "Be brief."}, USER, REPLY | {"thinking": "hm"}],
    [USER, CALLING, ANSWER, REPLY],
    [USER, CALLING | {"tool_calls": [CALL, CALL | {"id": "c2"}]}, ANSWER, ANSWER | {"tool_call_id": "c2"}, REPLY],
    [{"role": "user", "content": [{"type": "text", "text": "hi"}, IMAGE]}, REPLY],
]


@pytest.mark.parametrize("messages", CONVERSATIONS, ids=range(len(CONVERSATIONS)))
@pytest.mark.parametrize("name", ["openai", "trl", "sharegpt"])
def test_what_a_shape_writes_is_read_and_written_again_as_it_was(name: str, messages: list[dict[str, Any]]):
    shape = shape_named(name)
    assert isinstance(shape, ConversationShape)
    has_images = isinstance(messages[0]["content"], list)
    if has_images and name != "openai":
        return  # the others hold them elsewhere, or not at all
    row = shape.written(Conversation(messages, [TOOL]))
    assert shape.check(row) == []
    assert shape.written(read_conversation(row)) == row


WORDS = [
    "user",
    "assistant",
    "tool",
    "text",
    "image_url",
    "tool_use",
    "tool_result",
    "reasoning",
    "look",
    "c1",
    "{}",
    "",
]
KEYS = [
    "role",
    "content",
    "from",
    "value",
    "type",
    "text",
    "tool_calls",
    "function",
    "function_call",
    "name",
    "arguments",
]
KEYS += ["id", "tool_call_id", "tool_use_id", "input", "output", "thinking", "source", "url", "image_url", "messages"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)
SAID = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(ROLES)}, optional=dict.fromkeys(KEYS[1:14], ANYTHING)), max_size=4
)


@settings(max_examples=50)
@given(value=SAID | ANYTHING)
def test_whatever_is_read_is_a_conversation_or_refused(value: Any):
    before = json.dumps(value)
    try:
        found = read_conversation(value)
    except ConversationError:
        pass  # with its place: see above
    else:
        assert found.messages
        for message in found.messages:
            assert set(message) <= {"role", "content", "name", "tool_calls", "tool_call_id", "thinking", "weight"}
            assert message["role"] in ROLES
            assert message["content"] is not None or message["tool_calls"]
        for shape in conversation_shapes():
            if isinstance(shape, ConversationShape):
                with suppress(ConversationError):
                    shape.check(shape.written(found))
    assert json.dumps(value) == before
