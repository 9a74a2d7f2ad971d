"""What batches hand out, in the forms that providers publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COUNTRIES = ("France", "Japan", "Peru", "Chad")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(question: str, model: str = "gpt-4o-mini-2024-07-18") -> dict[str, Any]:
    message = {"role": "assistant", "content": f"answer to: {question}", "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_769_860_800,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "system_fingerprint": "fp_1",
    }


def answered(custom_id: str, body: dict[str, Any], *, status: int = 200, id: str = "batch_req_1") -> dict[str, Any]:
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": id, "custom_id": custom_id, "response": response, "error": None}


def request(custom_id: str, question: str) -> dict[str, Any]:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


REQUESTS = [request(f"q-{country}", f"capital of {country}?") for country in COUNTRIES]
LIMIT = {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
TOO_LONG = {"message": "Too long", "type": "invalid_request_error", "param": "messages", "code": None}
EXPIRED = {"code": "batch_expired", "message": "This request could not be executed before the completion window."}
OUTPUTS = [answered("q-Japan", chat("capital of Japan?")), answered("q-France", chat("capital of France?"))]
ERRORS = [
    answered("q-Peru", {"error": TOO_LONG}, status=400),
    {"id": "batch_req_2", "custom_id": "q-Chad", "response": None, "error": EXPIRED},
]

ANTHROPIC = [
    {
        "custom_id": "q-France",
        "result": {
            "type": "succeeded",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5-20250929",
                "content": [{"type": "text", "text": "Paris"}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 1000,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 100,
                    "service_tier": "batch",
                },
            },
        },
    },
    {
        "custom_id": "q-Japan",
        "result": {
            "type": "errored",
            "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens is missing"}},
        },
    },
    {"custom_id": "q-Peru", "result": {"type": "canceled"}},
    {"custom_id": "q-Chad", "result": {"type": "expired"}},
]
