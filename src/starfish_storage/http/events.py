"""Reads streams of server-sent events, as models send them: whether one is whole, and the answer that it adds up to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from starfish_storage.codec import decode

# A line of its own: within an event's data, which is JSON, a line break is escaped.
_LAST_EVENT = re.compile(
    rb"(?m)^(?:data: ?\[DONE\]|event: ?(?:message_stop|error|response\.(?:completed|incomplete|failed)))[ \r]*$"
)
_BETWEEN = re.compile(rb"\r?\n\r?\n")
_LONGEST_LAST, _LONGEST_BETWEEN = 100, 3  # bytes: of the line that begins the last event; of what ends it, but one
_LINES = re.compile(r"\r\n|\r|\n")
_ENDS_RESPONSE = ("response.completed", "response.incomplete", "response.failed")


class LastEvent:
    """Finds the end of the event by which a model says that its stream is whole.

    SDKs stop reading there and not at the end of the connection, so whoever stores the stream must do it before.

    Attributes:
        has_come: whether it has.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._begun = self.has_come = False

    def add(self, piece: bytes) -> bool:
        """Take the next piece of the stream; return whether the last event is in it, or before."""
        self._pending += piece
        if not self._begun and (found := _LAST_EVENT.search(self._pending)) is not None:
            self._begun = True
            self._pending = self._pending[found.start() :]
        if self._begun:
            self.has_come = self.has_come or _BETWEEN.search(self._pending) is not None
            self._pending = self._pending[-_LONGEST_BETWEEN:]
            return self.has_come
        line = self._pending[self._pending.rfind(b"\n") + 1 :]
        # Of a long line, its beginning is not looked at again and again: it is another one than the last.
        self._pending = line if len(line) < _LONGEST_LAST else b"."
        return False


def answer_of(body: bytes) -> tuple[dict[str, Any], str | None]:
    """Return what a stream says of itself as one answer (model and usage), and why it is not whole; None if it is.

    A stream of a kind that is not known is whole if its connection was.
    """
    answer: dict[str, Any] = {}
    needs, has = "", False
    for name, data in _events(body):
        if data == "[DONE]":
            has = True
            continue
        fields = _object(data)
        kind = str(fields.get("type") or name)
        if kind in {"error", "response.failed"} or (fields.get("error") and "choices" not in fields):
            return answer, f"the stream says that it failed: {kind}"
        if kind == "message_start":
            needs = "message_stop"
        elif kind.startswith("response.") and not has:
            needs = "response.completed"
        elif fields.get("object") == "chat.completion.chunk":
            needs = "[DONE]"
            has = has or any(_mapping(choice).get("finish_reason") for choice in _list(fields.get("choices")))
        has = has or kind in _ENDS_RESPONSE or kind == "message_stop"
        _take_over(answer, fields)
    return answer, f"the stream ended before {needs}" if needs and not has else None


def _take_over(answer: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Take over the model and the usage: the last that is said of each, number by number."""
    for part in (fields, _mapping(fields.get("message")), _mapping(fields.get("response"))):
        for name in ("model", "modelVersion", "service_tier"):
            if isinstance(part.get(name), str):
                answer[name] = part[name]
        for name in ("usage", "usageMetadata"):
            if isinstance(part.get(name), dict):
                answer[name] = {**_mapping(answer.get(name)), **part[name]}


def _events(body: bytes) -> Iterator[tuple[str, str]]:
    name, data = "", list[str]()
    for line in [*_LINES.split(body.decode("utf-8", "replace")), ""]:
        field, _, value = line.partition(":")
        if not line and data:
            yield name, "\n".join(data)
            name, data = "", []
        elif field == "event":
            name = value.strip()
        elif field == "data":
            data.append(value.removeprefix(" "))


def _object(data: str) -> dict[str, Any]:
    try:
        found = decode(data.encode())
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
