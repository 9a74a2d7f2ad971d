"""Which data is a conversation, and what its messages are."""

from __future__ import annotations

from typing import Any

import pytest

from starfish_storage.conversations.parts import conversation_of

CALL = {"function": {"name": "look", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("message", "role", "parts"),
    [
        ({"role": "user", "content": "hi"}, "user", [("text", "hi", "")]),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
            "user",
            [("text", "a", ""), ("text", "b", "")],
        ),
        ({"from": "human", "value": "hi"}, "user", [("text", "hi", "")]),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, "assistant", [("call", '{"a": 1}', "look")]),
        ({"role": "assistant", "content": None, "tool_calls": "odd"}, "assistant", [("other", "odd", "tool_calls")]),
        ({"role": "assistant", "content": None, "refusal": "no"}, "assistant", [("text", "no", "")]),
        ({"role": "assistant", "content": None, "tool_calls": [7]}, "assistant", [("call", "7", "")]),
        ({"role": "tool", "content": "9", "name": "look"}, "tool", [("result", "9", "look")]),
        (
            {"role": "assistant", "content": "a", "reasoning": "b"},
            "assistant",
            [("thinking", "b", ""), ("text", "a", "")],
        ),
        ({"role": "user", "content": [{"type": "tool_result", "content": "x"}]}, "user", [("result", "x", "")]),
        (
            {
                "role": "user",
                "content": [{"type": "tool_result", "content": [{"type": "text", "text": "x"}, {"type": "image"}]}],
            },
            "user",
            [("result", "x", ""), ("other", '{\n  "type": "image"\n}', "image")],
        ),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "assistant", [("call", "{}", "f")]),
        ({"type": "function_call_output", "output": "y"}, "tool", [("result", "y", "")]),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]},
            "assistant",
            [("thinking", "t", "")],
        ),
        (
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]},
            "assistant",
            [("thinking", "t", "")],
        ),
        ({"type": "reasoning", "summary": []}, "assistant", [("thinking", "", "")]),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"function": "odd"}]},
            "assistant",
            [("call", "odd", "")],
        ),
        ({"role": "user", "content": {"type": ["odd"]}}, "user", [("other", '{\n  "type": [\n    "odd"\n  ]\n}', "")]),
        ({"role": "user", "content": ""}, "user", []),
    ],
)
def test_forms_of_messages(message: dict[str, Any], role: str, parts: list[tuple[str, str, str]]):
    (found,) = conversation_of([message]) or []
    assert found.role == role
    assert [(one.kind, one.text, one.name) for one in found.parts] == parts


def test_an_image_is_named_and_not_loaded():
    url = {"url": "http://elsewhere.example/x.png"}
    (found,) = conversation_of([{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]) or []
    assert (found.parts[0].kind, found.parts[0].name) == ("other", "image_url")
    assert found.parts[0].content["image_url"] == url


def test_the_arguments_of_a_call_stay_what_they_are():
    call = {"type": "tool_use", "name": "look", "input": {"a": 1}}
    (found,) = conversation_of([{"role": "assistant", "content": [call]}]) or []
    assert (found.parts[0].content, found.parts[0].text) == ({"a": 1}, '{\n  "a": 1\n}')


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{}],
        [1],
        "hi",
        {"role": "user"},
        [{"role": 1, "content": "a"}],
        [{"role": "x"}],
        [{"a": 1}],
        [{"type": ["x"]}],
        None,
    ],
)
def test_what_is_none(value: object):
    assert conversation_of(value) is None
