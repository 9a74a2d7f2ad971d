"""The model counts what is paid for, and fails as told."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from typing import Any

import pytest

from servers.paying import ModelError, PayingServer


def test_answers_are_counted_by_prompt(paying_server: PayingServer) -> None:
    assert json.loads(paying_server.ask("a")["text"]) == {"answer": "a", "reply": 1}
    assert paying_server.ask("a")["usage"] == {"input_tokens": 1, "output_tokens": 27}
    paying_server.ask("b")
    assert paying_server.payments == paying_server.requests == {"a": 2, "b": 1}
    paying_server.reset()
    assert not paying_server.payments


def test_it_fails_as_told_and_takes_money_only_for_answers(paying_server: PayingServer) -> None:
    for kind, status in {"unauthorized": 401, "quota": 429, "broken": 500, "unavailable": 503}.items():
        paying_server.tell(kind, match="a")
        with pytest.raises(ModelError) as caught:
            paying_server.ask("a")
        assert caught.value.status_code == status
    paying_server.tell("limited", retry_after=0.25)
    with pytest.raises(ModelError) as caught:
        paying_server.ask("b")
    assert caught.value.response.headers["Retry-After"] == "0.25"
    paying_server.tell("hang_up")
    with pytest.raises(ConnectionError):
        paying_server.ask("b")
    assert not paying_server.payments
    paying_server.tell("truncated", text="{}")
    assert paying_server.ask("b")["text"] == "{"
    paying_server.tell("cut", times=2)
    for _ in range(2):
        with pytest.raises(http.client.IncompleteRead):
            paying_server.ask("b")
    assert paying_server.ask("b")["text"] == '{"answer": "b", "reply": 4}'
    assert (paying_server.payments, paying_server.requests) == ({"b": 4}, {"a": 4, "b": 6})


def test_an_answer_is_held_until_it_is_released(paying_server: PayingServer) -> None:
    paying_server.tell("held", match="slow")
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(paying_server.ask("slow")))
    asking.start()
    paying_server.wait_held()
    assert paying_server.ask("quick")
    assert not found
    paying_server.release()
    asking.join(30)
    assert found


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_it_speaks_as_published(paying_server: PayingServer, path: str) -> None:
    messages = [{"role": "user", "content": "a"}]

    def asked(**more: Any) -> str:
        body = json.dumps({"model": "m", "messages": messages, **more}).encode()
        with urllib.request.urlopen(urllib.request.Request(paying_server.url + path, body)) as answer:
            return answer.read().decode()

    paying_server.tell(text="the text", times=None)
    whole = json.loads(asked())
    found = whole["choices"][0]["message"]["content"] if "choices" in whole else whole["content"][0]["text"]
    assert found == "the text"
    events = [line.removeprefix("data: ") for line in asked(stream=True).splitlines() if line.startswith("data: ")]
    deltas = [json.loads(one) for one in events if one != "[DONE]"]
    if "choices" in whole:
        text = "".join(one["choices"][0]["delta"].get("content", "") for one in deltas)
    else:
        text = "".join(one["delta"].get("text", "") for one in deltas if one["type"] == "content_block_delta")
    assert text == "the text"
    assert paying_server.payments == {"a": 2}
