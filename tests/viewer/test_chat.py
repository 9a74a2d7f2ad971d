"""Which data is a conversation, and what its messages are."""

from __future__ import annotations

from typing import Any

import pytest

from starfish_storage.viewer.chat import conversation_of
from starfish_storage.viewer.safe_markdown import rendered

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
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "assistant", [("call", "{}", "f")]),
        ({"type": "function_call_output", "output": "y"}, "tool", [("result", "y", "")]),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]},
            "assistant",
            [("thinking", "t", "")],
        ),
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


@pytest.mark.parametrize(
    "value", [[], [{}], [1], "hi", {"role": "user"}, [{"role": 1, "content": "a"}], [{"role": "x"}], [{"a": 1}], None]
)
def test_what_is_none(value: object):
    assert conversation_of(value) is None


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("[a](javascript:b)", "<p>[a](javascript:b)</p>\n"),
        ("[a](JaVaScRiPt&colon;b)", "<p>[a](JaVaScRiPt:b)</p>\n"),
        ("[a](data:text/html,b)", "<p>[a](data:text/html,b)</p>\n"),
        ("[a](/run)", "<p>[a](/run)</p>\n"),
        ("<javascript:b>", "<p>&lt;javascript:b&gt;</p>\n"),
        ('```x" onclick="y\n<i>\n```', '<pre><code class="language-x&quot;">&lt;i&gt;\n</code></pre>\n'),
    ],
)
def test_markdown_can_do_nothing(text: str, html: str):
    assert rendered(text) == html


def test_markdown_reads_well():
    html = str(
        rendered("# T\n\n|a|b|\n|:-:|-|\n|1|2|\n\n[w](https://example.org) ~~no~~ ![i](https://example.org/i.png)")
    )
    assert "<h1>T</h1>" in html
    assert "<td>1</td>" in html
    assert "style=" not in html
    assert '<a href="https://example.org" rel="noopener noreferrer nofollow" target="_blank">w</a>' in html
    assert "<img" not in html
    assert rendered("x" * 60_000) is None
