"""A line of a batch: of what OpenAI, those that speak like it, and Anthropic hand out, and of the requests they got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from starfish_storage.codec import readable_text
from starfish_storage.imports.answers import LONGEST_ERROR
from starfish_storage.imports.fields import object_in, text_in
from starfish_storage.imports.json_rows import read_object
from starfish_storage.row_files.rows import BadRow

_ADDRESSES = {
    "chat.completion": "/v1/chat/completions",
    "text_completion": "/v1/completions",
    "response": "/v1/responses",
    "list": "/v1/embeddings",
    "message": "/v1/messages",
}
"""By what an answer says that it is."""

_OK = range(200, 300)
_RESULTS = frozenset({"succeeded", "errored", "canceled", "expired"})
_MESSAGES = {
    "canceled": "the batch was cancelled before this request was sent",
    "expired": "the batch expired before this request was sent",
}
_OWN_SERVER = "vllm-"  # how its run-batch begins its ids


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line of the outputs of a batch.

    Attributes:
        custom_id: what its request was called.
        row: the line as it is.
        body: what the model answered; None if it did not.
        when: when it was answered (UTC); None if it does not say.
        error: why there is no answer; None if there is one.
        error_type: the kind of that.
    """

    custom_id: str
    row: dict[str, Any]
    body: dict[str, Any] | None = None
    when: datetime | None = None
    error: str | None = None
    error_type: str | None = None

    @property
    def address(self) -> str:
        """Where the request would have gone outside of a batch, as far as the answer tells."""
        return _ADDRESSES.get(text_in(self.body or {}, "object", "type") or "", "")

    @property
    def is_of_own_server(self) -> bool:
        """Whether nobody is paid for the answer by the token."""
        return (text_in(self.row, "id") or "").startswith(_OWN_SERVER)


def is_batch_line(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a line of the outputs of a batch.

    >>> is_batch_line({"custom_id": "a", "response": {"status_code": 200, "body": {}}, "error": None})
    True
    >>> is_batch_line({"custom_id": "a", "result": {"type": "expired"}}), is_batch_line({"custom_id": "a"})
    (True, False)
    """
    if not isinstance(row.get("custom_id"), str):
        return False
    result, response, error = row.get("result"), row.get("response"), row.get("error")
    if isinstance(result, dict):
        return text_in(object_in(cast("object", result)), "type") in _RESULTS
    return "body" in object_in(response) or (
        not response and bool(object_in(error) or text_in({"error": error}, "error"))
    )


def read_batch_line(place: str, line: bytes) -> BatchLine | BadRow:
    """Read a line of outputs; a bad one says where it stands, and why."""
    row, _ = read_object(place, line)
    if isinstance(row, BadRow):
        return row
    if not is_batch_line(row):
        return BadRow(
            f'{place} is no output of a batch: it needs "custom_id", and "response" with a "body", "error" or "result"'
        )
    return _of_anthropic(row) if isinstance(row.get("result"), dict) else _of_openai(row)


def _of_openai(row: dict[str, Any]) -> BatchLine:
    response = object_in(row.get("response"))
    body: object = response.get("body")
    fields = object_in(body)
    status = response.get("status_code", 200)
    has_failed = fields.get("status") == "failed"  # as Responses end, with status 200
    if row.get("error"):
        kind, error = _failure(row["error"], "error")
    elif not fields or has_failed or status not in _OK:
        kind, error = _failure(fields.get("error") or body, "failed" if status in _OK else f"HTTP {status}")
    else:
        return BatchLine(row["custom_id"], row, fields, _moment(fields.get("created") or fields.get("created_at")))
    return BatchLine(row["custom_id"], row, fields if has_failed else None, None, error, kind)


def _of_anthropic(row: dict[str, Any]) -> BatchLine:
    result: dict[str, Any] = row["result"]
    kind: str = result["type"]
    if kind == "succeeded" and (message := object_in(result.get("message"))):
        return BatchLine(row["custom_id"], row, message)
    if kind in _MESSAGES:
        return BatchLine(row["custom_id"], row, error=_MESSAGES[kind], error_type=kind)
    said: object = result.get("error")
    kind, error = _failure(object_in(said).get("error") or said, "errored")
    return BatchLine(row["custom_id"], row, error=error, error_type=kind)


def _failure(said: object, otherwise: str) -> tuple[str, str]:
    """Return the kind of a failure and its message, from what a provider says of it."""
    if not isinstance(said, dict):
        return otherwise, (said if isinstance(said, str) and said else otherwise)[:LONGEST_ERROR]
    fields = object_in(cast("object", said))
    message = text_in(fields, "message") or readable_text(fields)
    return text_in(fields, "code", "type") or otherwise, message[:LONGEST_ERROR]


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
