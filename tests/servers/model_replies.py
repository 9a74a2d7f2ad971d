"""What the APIs of models answer, as their makers publish it: bodies, streams and errors of OpenAI and Anthropic.

Standard library only, as the server is that speaks so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Events = list[tuple[str, Any]]
CREATED = 1_769_860_800
PIECE = 8  # characters of a streamed text that come at a time


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a model.

    Attributes:
        model: the model that was asked.
        text: what it says.
        used: input and output tokens; None if the answer does not say them. Half of the input counts as read from a
            cache, a quarter as written to it, and half of the output as reasoning.
        finish: why it stopped: ``"end"``, ``"length"``, or ``"refusal"``: then the text says that it declines.
        wants_usage: whether the client of a stream asked for the usage.
    """

    model: str
    text: str
    used: tuple[int, int] | None
    finish: str = "end"
    wants_usage: bool = True

    @property
    def pieces(self) -> list[str]:
        return [self.text[at : at + PIECE] for at in range(0, len(self.text), PIECE)]


def chat_completion(answer: Answer) -> Body:
    """Return the body of OpenAI's ``/v1/chat/completions``."""
    refuses = answer.finish == "refusal"
    said = {"content": None if refuses else answer.text, "refusal": answer.text if refuses else None}
    choice = {
        "index": 0, "message": {"role": "assistant", **said, "annotations": []}, "logprobs": None,
        "finish_reason": _chat_finish(answer),
    }  # fmt: skip
    body = _chat(answer, "chat.completion", [choice])
    return body if answer.used is None else {**body, "usage": _chat_usage(*answer.used)}


def chat_events(answer: Answer) -> Events:
    """Return the events of a streamed chat completion; the last but one says the usage, if asked for."""
    said = "refusal" if answer.finish == "refusal" else "content"
    deltas: list[tuple[Body, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({said: piece}, None) for piece in answer.pieces]
    deltas.append(({}, _chat_finish(answer)))
    chunks = [
        _chat(answer, "chat.completion.chunk", [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}])
        for delta, end in deltas
    ]
    if answer.used is not None and answer.wants_usage:
        chunks = [{**chunk, "usage": None} for chunk in chunks]
        chunks.append({**_chat(answer, "chat.completion.chunk", []), "usage": _chat_usage(*answer.used)})
    return [*(("", chunk) for chunk in chunks), ("", "[DONE]")]


def _chat(answer: Answer, kind: str, choices: list[Body]) -> Body:
    return {
        "id": "chatcmpl-1", "object": kind, "created": CREATED, "model": answer.model, "choices": choices,
        "service_tier": "default", "system_fingerprint": "fp_1",
    }  # fmt: skip


def _chat_finish(answer: Answer) -> str:
    return "length" if answer.finish == "length" else "stop"


def _chat_usage(given: int, made: int) -> Body:
    return {
        "prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": given // 2, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": made // 2, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def response(answer: Answer) -> Body:
    """Return the body of OpenAI's ``/v1/responses``."""
    return _response(answer, "incomplete" if answer.finish == "length" else "completed")


def response_events(answer: Answer) -> Events:
    """Return the events of a streamed response."""
    whole = response(answer)
    message = whole["output"][0]
    part = message["content"][0]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    said = "refusal" if answer.finish == "refusal" else "output_text"
    field = "refusal" if answer.finish == "refusal" else "text"
    events: Events = [
        ("response.created", {"response": _response(answer, "in_progress")}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**message, "status": "in_progress", "content": []}},
        ),
        ("response.content_part.added", {**place, "part": {**part, field: ""}}),
        *((f"response.{said}.delta", {**place, "delta": piece, "logprobs": []}) for piece in answer.pieces),
        (f"response.{said}.done", {**place, field: answer.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": message}),
        (f"response.{whole['status']}", {"response": whole}),
    ]
    return [(name, {"type": name, "sequence_number": at, **body}) for at, (name, body) in enumerate(events)]


def _response(answer: Answer, status: str) -> Body:
    part: Body = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    if answer.finish == "refusal":
        part = {"type": "refusal", "refusal": answer.text}
    message = {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": [part]}
    ended = status != "in_progress"
    return {
        "id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None, "max_output_tokens": None, "metadata": {}, "model": answer.model,
        "output": [message] if ended else [], "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": _response_usage(*answer.used) if ended and answer.used else None,
    }  # fmt: skip


def _response_usage(given: int, made: int) -> Body:
    return {
        "input_tokens": given, "input_tokens_details": {"cached_tokens": given // 2}, "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": made // 2}, "total_tokens": given + made,
    }  # fmt: skip


def message(answer: Answer) -> Body:
    """Return the body of Anthropic's ``/v1/messages``."""
    blocks = [{"type": "text", "text": answer.text}] if answer.text else []
    body = _message(answer, blocks, _message_finish(answer))
    return body if answer.used is None else {**body, "usage": _message_usage(*answer.used)}


def message_events(answer: Answer) -> Events:
    """Return the events of a streamed message. It always has a usage, without which it would not be one."""
    given, made = answer.used or (0, 0)
    events: Events = [
        ("message_start", {"message": {**_message(answer, [], None), "usage": _message_usage(given, 1)}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("ping", {}),
        *(
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in answer.pieces
        ),
        ("content_block_stop", {"index": 0}),
        (
            "message_delta",
            {
                "delta": {"stop_reason": _message_finish(answer), "stop_sequence": None},
                "usage": {"output_tokens": made},
            },
        ),
        ("message_stop", {}),
    ]
    return [(name, {"type": name, **body}) for name, body in events]


def _message(answer: Answer, blocks: list[Body], finish: str | None) -> Body:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": answer.model, "content": blocks,
        "stop_reason": finish, "stop_sequence": None,
    }  # fmt: skip


def _message_finish(answer: Answer) -> str:
    return {"length": "max_tokens", "refusal": "refusal"}.get(answer.finish, "end_turn")


def _message_usage(given: int, made: int) -> Body:
    read, written = given // 2, given // 4
    return {
        "input_tokens": given - read - written, "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": made, "service_tier": "standard",
    }  # fmt: skip


def plain(answer: Answer) -> Body:
    """Return the body of ``/ask``, the server's own words."""
    used = None if answer.used is None else {"input_tokens": answer.used[0], "output_tokens": answer.used[1]}
    return {"text": answer.text, "usage": used}


def openai_error(kind: str, code: str | None, text: str) -> Body:
    """Return the body of an error of OpenAI."""
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


def anthropic_error(kind: str, _code: str | None, text: str) -> Body:
    """Return the body of an error of Anthropic."""
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}


@dataclass(frozen=True, slots=True)
class Speech:
    """How a path of the API speaks: its bodies, its streams if it has any, and its errors."""

    body: Callable[[Answer], Body]
    events: Callable[[Answer], Events] | None
    error: Callable[[str, str | None, str], Body]


SPEECH = {
    "/ask": Speech(plain, None, openai_error),
    "/v1/chat/completions": Speech(chat_completion, chat_events, openai_error),
    "/v1/responses": Speech(response, response_events, openai_error),
    "/v1/messages": Speech(message, message_events, anthropic_error),
}
