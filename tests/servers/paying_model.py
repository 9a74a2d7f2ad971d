"""A model behind HTTP that is paid for: it counts each answer by its prompt, and fails when it was told to.

Usage: ``python -m servers.paying_model PORT``. It speaks as published to clients of OpenAI (``/v1/chat/completions``,
``/v1/responses``) and of Anthropic (``/v1/messages``), streaming included, and plainly to ``POST /ask`` (``{"prompt":
...}``, answered with ``{"text": ..., "usage": {...}}``). Below ``/moved``, it redirects to each of these. The tests
speak to it below ``/control``; `servers.paying` has the words, and `servers.model_replies` what it says.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from servers.model_replies import SPEECH, Answer, Events, Speech

FREE = {
    "unauthorized": (401, "authentication_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "permission_error", "forbidden", "Your key may not use this model."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "credit": (400, "invalid_request_error", None, "Your credit balance is too low to access the Anthropic API."),
    "limited": (429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests."),
    "unavailable": (503, "server_error", "unavailable", "The server is overloaded."),
    "overloaded": (529, "overloaded_error", "overloaded", "Overloaded"),
    "broken": (500, "server_error", "broken", "The server had an error."),
}
"""Kinds of answer that nobody pays for: their status, and the type, code and text of the error."""
PAID = {"answer", "truncated", "cut", "json", "refusal", "no_usage", "held", "empty"}
"""``truncated``: the text ends early. ``cut``: the connection ends in the middle of the body. ``json``: the body ends
in its middle, as if that were all. ``held``: it answers when it is released."""
MOVED = "/moved"
REFUSAL = "I can't help with that."


@dataclass
class Model:
    """What was asked and paid, and how the next requests are answered."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: Counter[str] = field(default_factory=Counter[str])
    payments: Counter[str] = field(default_factory=Counter[str])
    rules: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    held: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def take(self, prompt: str) -> tuple[dict[str, Any], int]:
        """Return the rule of a request, and how often its prompt has been paid for with it."""
        with self.lock:
            self.requests[prompt] += 1
            rule: dict[str, Any] = {"kind": "answer"}
            for one in self.rules:
                if one["match"] in prompt:
                    rule = one
                    if one["times"] is not None:
                        one["times"] -= 1
                        self.rules = [left for left in self.rules if left["times"] != 0]
                    break
            if rule["kind"] in PAID:
                self.payments[prompt] += 1
            return rule, self.payments[prompt]

    def control(self, words: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if words.get("reset"):
                self.requests.clear()
                self.payments.clear()
                self.rules.clear()
            if "rule" in words:
                self.rules.append(words["rule"])
                self.released.clear()
            if words.get("release") or words.get("reset"):
                self.released.set()
            return {"requests": self.requests, "payments": self.payments, "held": self.held}

    def hold(self) -> None:
        with self.lock:
            self.held += 1
        self.released.wait()
        with self.lock:
            self.held -= 1


MODEL = Model()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it writes twice an answer: the second would wait for the client

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(HTTPStatus.OK, {"ready": True})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/control":
            self.answer(HTTPStatus.OK, MODEL.control(asked))
            return
        if self.path.startswith(MOVED):
            self.redirect(self.path.removeprefix(MOVED))
            return
        speech, prompt = SPEECH[self.path.partition("?")[0]], prompt_of(asked)
        rule, number = MODEL.take(prompt)
        kind = rule["kind"]
        if kind == "hang_up":
            self.close_connection = True
            return
        if kind in FREE:
            self.refuse(speech, rule)
            return
        if kind == "held":
            MODEL.hold()
        text = rule.get("text")
        if text is None:
            text = json.dumps({"answer": prompt, "reply": number})
        text = {"truncated": text[: len(text) // 2], "refusal": REFUSAL, "empty": ""}.get(kind, text)
        answer = Answer(
            asked.get("model", "m"),
            text,
            None if kind == "no_usage" else (len(prompt), len(text)),
            {"truncated": "length", "refusal": "refusal"}.get(kind, "end"),
            wants_usage=bool((asked.get("stream_options") or {}).get("include_usage")),
        )
        if asked.get("stream") and speech.events:
            self.stream(speech.events(answer), kind)
        else:
            self.answer(HTTPStatus.OK, speech.body(answer), kind)

    def refuse(self, speech: Speech, rule: dict[str, Any]) -> None:
        status, type_of_error, code, text = FREE[rule["kind"]]
        self.answer(status, speech.error(type_of_error, code, text), retry_after=rule.get("retry_after"))

    def redirect(self, path: str) -> None:
        with MODEL.lock:
            MODEL.requests[MOVED] += 1
        self.send_response(HTTPStatus.TEMPORARY_REDIRECT)
        self.send_header("Location", path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(
        self, status: int, body: dict[str, Any], kind: str = "answer", *, retry_after: float | None = None
    ) -> None:
        content = json.dumps(body).encode()
        if kind == "json":
            content = content[: len(content) // 2]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after is not None:
            self.send_header("Retry-After", f"{retry_after:g}")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if kind == "cut" else content)
        if kind == "cut":
            self.close_connection = True

    def stream(self, events: Events, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, event in events[: len(events) // 2] if kind in ("cut", "json") else events:
            head = f"event: {name}\n" if name else ""
            data = event if isinstance(event, str) else json.dumps(event)
            piece = f"{head}data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if kind == "cut":
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


def prompt_of(asked: dict[str, Any]) -> str:
    """Return the text of the last message."""
    content = asked.get("prompt") or asked.get("input") or asked["messages"]
    if isinstance(content, list):
        content = content[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 1000
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
