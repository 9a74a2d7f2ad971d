"""What differs between two requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage.runs.exchanges import CallRequest
from starfish_storage.runs.request_differences import request_differences

URL = "https://api.openai.com/v1/chat/completions"
SECRET = "Tell nobody that the garden is open."

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


def between(old: Any, new: Any) -> list[str]:
    return request_differences(CallRequest("POST", URL, old), CallRequest("POST", URL, new))


def say(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"max_tokens": 256}, {"max_tokens": 512}, ["max_tokens 256 -> 512"]),
        ({"model": "gpt-4"}, {"model": "gpt-5"}, ['model "gpt-4" -> "gpt-5"']),
        ({}, {"temperature": 0.3}, ["temperature added 0.3"]),
        ({}, {"user": SECRET}, ["user added"]),
        ({"top_p": 1}, {}, ["top_p removed"]),
        ({"n": 1}, {"n": 1.0}, ["n 1 -> 1.0"]),
        ({"stream": 1}, {"stream": True}, ["stream 1 -> true"]),
        ({"n": None}, {"n": 2}, ["n null -> 2"]),
        (say("a"), say(SECRET), ["messages[0].content changed"]),
        (say("a", "b"), say(SECRET, "a", "b"), ["messages[0] added"]),
        (say("a", "b"), say("a", SECRET, "c", "b"), ["messages[1..2] added"]),
        (say("a", "b"), say("a", "b", SECRET), ["messages[2] added"]),
        (say("a", "b", "c"), say("a"), ["messages[1..2] removed"]),
        (say("a", "b", "c"), say("a", SECRET), ["messages[1..2] changed, now 1 item"]),
        (say("a", "a"), say("a", "a", "a"), ["messages[2] added"]),
        ({"a": {"type": "x"}}, {"a": {"type": "y"}}, ['a.type "x" -> "y"']),
        ({"a": {"b": SECRET}}, {"a": [SECRET]}, ["a changed"]),
        (None, {"a": 1}, ["body changed"]),
        ({"model": "m" * 90}, {"model": "n"}, ["model changed"]),
        ({}, {str(n): n for n in range(23)}, [*(f"{n} added {n}" for n in range(20)), "3 more"]),
    ],
    ids=str,
)
def test_lines(old: Any, new: Any, lines: list[str]) -> None:
    assert between(old, new) == lines


@given(_JSON, _JSON)
def test_there_are_lines_exactly_if_the_keys_differ(old: Any, new: Any) -> None:
    before, after = CallRequest("POST", URL, old), CallRequest("POST", URL, new)
    assert bool(request_differences(before, after)) == (before.key != after.key)
    assert request_differences(before, CallRequest("POST", URL, old)) == []


def test_method_and_url() -> None:
    old, new = CallRequest("POST", "https://a/v1", 1), CallRequest("PUT", "https://b/v1", 1)
    assert request_differences(old, new) == ["method POST -> PUT", "url https://a/v1 -> https://b/v1"]
    assert request_differences(old, CallRequest("POST", "https://a/" + "x" * 200, 1)) == ["url changed"]
