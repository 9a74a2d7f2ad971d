"""A model behind HTTP that is paid for: it counts each answer by its prompt, and fails when it was told to.

Usage: ``python paying_model.py PORT``. It speaks as published to clients of OpenAI (``/v1/chat/completions``) and of
Anthropic (``/v1/messages``), streaming included, and plainly to ``POST /ask`` (``{"prompt": ...}``, answered with
``{"text": ..., "usage": {...}}``). The tests speak to it below ``/control``; `servers.paying` has the words.
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

FREE = {"unauthorized": 401, "forbidden": 403, "quota": 429, "limited": 429, "unavailable": 503, "broken": 500}
"""Kinds of answer that nobody pays for, with their status."""
PAID = {"answer", "truncated", "cut", "refusal", "no_usage", "held", "empty"}
"""``truncated``: the text ends early. ``cut``: the connection ends in the middle of the body. ``held``: it answers
when it is released."""


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

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(HTTPStatus.OK, {"ready": True})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/control":
            self.answer(HTTPStatus.OK, MODEL.control(asked))
            return
        prompt = prompt_of(asked)
        rule, number = MODEL.take(prompt)
        kind = rule["kind"]
        if kind == "hang_up":
            self.close_connection = True
            return
        if kind in FREE:
            self.refuse(kind, rule)
            return
        if kind == "held":
            MODEL.hold()
        text = rule.get("text")
        if text is None:
            text = json.dumps({"answer": prompt, "reply": number})
        text = {"truncated": text[: len(text) // 2], "refusal": "", "empty": ""}.get(kind, text)
        used = None if kind == "no_usage" else (len(prompt), len(text))
        body, events = self.bodies(asked, text, used, kind)
        if asked.get("stream") and events:
            self.stream(events, is_cut=kind == "cut")
        else:
            self.answer(HTTPStatus.OK, body, is_cut=kind == "cut")

    def refuse(self, kind: str, rule: dict[str, Any]) -> None:
        code = "insufficient_quota" if kind == "quota" else kind
        error = {"type": code, "code": code, "message": f"the model is told to answer {kind}"}
        self.answer(HTTPStatus(FREE[kind]), {"type": "error", "error": error}, retry_after=rule.get("retry_after"))

    def bodies(
        self, asked: dict[str, Any], text: str, used: tuple[int, int] | None, kind: str
    ) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
        """Return an answer as one body and as a stream of events, in the form of the path."""
        if self.path.endswith("/chat/completions"):
            return openai_answer(asked, text, used, kind)
        if self.path.endswith("/messages"):
            return anthropic_answer(asked, text, used, kind)
        usage = None if used is None else {"input_tokens": used[0], "output_tokens": used[1]}
        return {"text": text, "usage": usage}, []

    def answer(
        self, status: HTTPStatus, body: dict[str, Any], *, is_cut: bool = False, retry_after: float | None = None
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after is not None:
            self.send_header("Retry-After", f"{retry_after:g}")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True

    def stream(self, events: list[tuple[str, Any]], *, is_cut: bool) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, event in events[: len(events) // 2] if is_cut else events:
            head = f"event: {name}\n" if name else ""
            data = event if isinstance(event, str) else json.dumps(event)
            piece = f"{head}data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if is_cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


def prompt_of(asked: dict[str, Any]) -> str:
    """Return the text of the last message."""
    if "prompt" in asked:
        return str(asked["prompt"])
    content = asked["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def openai_answer(
    asked: dict[str, Any], text: str, used: tuple[int, int] | None, kind: str
) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    head = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": asked.get("model", "m")}
    reason = "length" if kind == "truncated" else "stop"
    usage = None
    if used is not None:
        usage = {
            "prompt_tokens": used[0],
            "completion_tokens": used[1],
            "total_tokens": sum(used),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }
    refusal = "I can't help with that." if kind == "refusal" else None
    message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    body = {**head, "object": "chat.completion", "choices": [choice], **({"usage": usage} if usage else {})}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[at : at + 8]} for at in range(0, len(text), 8)]
    chunks = [(delta, None) for delta in deltas] + [({}, reason)]
    events: list[tuple[str, Any]] = [
        (
            "",
            {
                **head,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}],
            },
        )
        for delta, end in chunks
    ]
    if usage and (asked.get("stream_options") or {}).get("include_usage"):
        events.append(("", {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    return body, [*events, ("", "[DONE]")]


def anthropic_answer(
    asked: dict[str, Any], text: str, used: tuple[int, int] | None, kind: str
) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    counted = used or (0, 0)
    usage = {"input_tokens": counted[0], "output_tokens": counted[1]}
    reason = {"truncated": "max_tokens", "refusal": "refusal"}.get(kind, "end_turn")
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.get("model", "m")}
    blocks = [{"type": "text", "text": text}] if text else []
    body = {**head, "content": blocks, "stop_reason": reason, "stop_sequence": None, "usage": usage}
    begun = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    pieces = [text[at : at + 8] for at in range(0, len(text), 8)]
    events: list[tuple[str, Any]] = [
        ("message_start", {"message": begun}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": one}}) for one in pieces),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}),
        ("message_stop", {}),
    ]
    return body, [(name, {"type": name, **event}) for name, event in events]


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 1000
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
