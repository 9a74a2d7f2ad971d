"""What was said in a recorded call, in the forms that clients of models send and get."""

from __future__ import annotations

import json
from typing import Any

import pytest

from starfish_storage.cli.conversation import settings_of_request, turns_of_request, turns_of_response

LOOK = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        (
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
            [("system", "Be brief."), ("user", "Hi")],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url"}]}]},
            [("user", "See\n[image_url]")],
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": "1", "function": {"name": "look_up", "arguments": '{"x":1}'}}],
                    },
                    {"role": "tool", "tool_call_id": "1", "content": "42"},
                ]
            },
            [("assistant", 'calls look_up({"x":1})'), ("tool", "42")],
        ),
        (
            {
                "system": [{"type": "text", "text": "Be brief."}],
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "name": "look_up", "input": {"x": 1}}]},
                    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}]},
                ],
            },
            [("system", "Be brief."), ("assistant", 'calls look_up({"x": 1})'), ("user", "result: 42")],
        ),
        ({"instructions": "Be brief.", "input": "Hi"}, [("system", "Be brief."), ("user", "Hi")]),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                    {"type": "function_call", "name": "look_up", "arguments": "{}"},
                    {"type": "function_call_output", "output": "42"},
                ]
            },
            [("user", "Hi"), ("assistant", "calls look_up({})"), ("tool", "42")],
        ),
        ({"input": ["a", "b"], "model": "embed"}, None),
        ({"prompt": "Once"}, None),
        ({"messages": 5}, None),
        ("text", None),
        (None, None),
    ],
    ids=str,
)
def test_what_a_request_says(body: Any, turns: Any) -> None:
    assert turns_of_request(body) == turns


def stream(*events: dict[str, Any]) -> str:
    return "".join(f"event: x\ndata: {json.dumps(one)}\n\n" for one in events) + "data: [DONE]\n\n"


CHAT_STREAM = stream(
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"index": 0, "delta": {"content": "Par"}}, {"index": 1, "delta": {"content": "Lyon"}}]},
    {"choices": [{"index": 0, "delta": {"content": "is"}}]},
    {
        "choices": [
            {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "look_up", "arguments": ""}}]}}
        ]
    },
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]},
    {"choices": [], "usage": {"total_tokens": 5}},
)
ANTHROPIC_STREAM = stream(
    {"type": "message_start", "message": {"role": "assistant"}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Par"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "is"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "look_up", "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"x":'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    {"type": "message_stop"},
)
RESPONSES_STREAM = stream(
    {"type": "response.output_text.delta", "delta": "Par"},
    {"type": "response.completed", "response": {"output": [{"type": "message", "content": "Paris"}]}},
)


@pytest.mark.parametrize(
    ("content", "turns"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": "Paris"}}]}, [("assistant", "Paris")]),
        (
            {"choices": [{"message": {"role": "assistant", "content": "b", "reasoning_content": "a"}}]},
            [("assistant", "(thinks) a\nb")],
        ),
        (
            {
                "role": "assistant",
                "type": "message",
                "content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}],
            },
            [("assistant", "(thinks) a\nb")],
        ),
        (
            {
                "output": [
                    {"type": "reasoning", "summary": []},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Paris"}]},
                    {"type": "function_call", "name": "look_up", "arguments": "{}"},
                ]
            },
            [("assistant", ""), ("assistant", "Paris"), ("assistant", "calls look_up({})")],
        ),
        (CHAT_STREAM, [("assistant", "Paris\ncalls look_up({})"), ("assistant", "Lyon")]),
        (ANTHROPIC_STREAM, [("assistant", 'Paris\ncalls look_up({"x":1})')]),
        (RESPONSES_STREAM, [("assistant", "Paris")]),
        ({"data": [{"embedding": [0.1]}]}, None),
        ({"choices": [{"text": "Once"}]}, None),
        ("plain text", None),
        ("data: {\n\ndata: [1]\n\n", None),
        (None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_response_says(content: Any, turns: Any) -> None:
    assert turns_of_response(content) == turns


@pytest.mark.parametrize("broken", [[None], [5], ["x"], [{}], [{"delta": 5}], {"a": 1}, [[]], None, 7])
@pytest.mark.parametrize("name", ["choices", "output", "content", "messages", "input", "tool_calls", "system"])
def test_no_form_is_taken_for_granted(name: str, broken: Any) -> None:
    for said in ({name: broken}, {"role": "a", "messages": [{"role": 5, name: broken}], name: broken}):
        for shown in (turns_of_request(said), turns_of_response(said), turns_of_response(stream(said))):
            assert shown is None or all(isinstance(part, str) for turn in shown for part in turn)
    event = {"type": "content_block_delta", "index": broken, "delta": broken, "content_block": broken}
    turns_of_response(
        stream(event, event | {"type": "content_block_start"}, {"type": "response.completed", "response": broken})
    )


def test_the_settings_are_on_a_line_each() -> None:
    body = {"model": "m", "temperature": 0.3, "tools": [LOOK], "messages": [], "system": "x", "stop": ["a"], "n": None}
    assert settings_of_request(body) == {
        "model": "m",
        "temperature": "0.3",
        "tools": "look_up",
        "stop": '["a"]',
        "n": "null",
    }
