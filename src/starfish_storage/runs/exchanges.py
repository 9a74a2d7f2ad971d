"""Recorded HTTP calls as steps keep them: the request and the response, packed as text. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from starfish_storage.codec import canonical_json, decode
from starfish_storage.errors import StoreDamagedError
from starfish_storage.runs.paid import Step

LARGEST_BODY = 64 * 2**20
"""Bytes of the largest body that is kept. What unpacks to more was not written by this library."""

_LEVEL = 3  # zlib's own 6 takes twice the time for 5% less
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A request as it is stored.

    Attributes:
        method: such as ``POST``.
        url: without secrets.
        body: the JSON value that was sent, or text if it is not JSON; None without a body.
    """

    method: str
    url: str
    body: Any

    @property
    def key(self) -> str:
        """The identity of the request: SHA-256, in hex, of its canonical JSON.

        >>> CallRequest("POST", "/v1", {"a": 1, "b": 2}).key == CallRequest("POST", "/v1", {"b": 2, "a": 1}).key
        True
        """
        return hashlib.sha256(self._canonical()).hexdigest()

    def packed(self) -> str:
        """Return the text that `Step.request` holds.

        Raises:
            InvalidDataError: the body is not JSON.
        """
        return _packed(self._canonical())

    def keyed(self) -> tuple[str, str]:
        """Return `key` and `packed` at once: the canonical JSON of a long conversation takes a while to make."""
        canonical = self._canonical()
        return hashlib.sha256(canonical).hexdigest(), _packed(canonical)

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """Return the request of a text.

        Raises:
            ValueError: `packed` did not make it. The error does not quote it.
        """
        held = _json_of(_unpacked(text))
        if not isinstance(held, dict):
            raise ValueError("it is not a packed request")  # noqa: TRY004 (what a store holds is data, not a type)
        fields = cast("dict[str, Any]", held)
        return cls(str(fields.get("method", "")), str(fields.get("url", "")), fields.get("body"))

    def _canonical(self) -> bytes:
        return canonical_json({"method": self.method, "url": self.url, "body": self.body}, "a request")


@dataclass(frozen=True, slots=True)
class CallResponse:
    """A response as it is stored.

    Attributes:
        status: such as 200.
        media_type: what its ``Content-Type`` says, such as ``application/json``.
        body: its bytes, decoded from what they were compressed with.
    """

    status: int
    media_type: str
    body: bytes

    def to_result(self) -> dict[str, Any]:
        """Return what `Step.result` holds."""
        return {"result": {"status": self.status, "media_type": self.media_type, "body": _packed(self.body)}}

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> Self:
        """Return the response of the result of a step.

        Raises:
            ValueError: `to_result` did not make it. The error does not quote it.
        """
        held = result.get("result")
        fields = cast("dict[str, Any]", held) if isinstance(held, dict) else {}
        status, media_type, body = (fields.get(name) for name in ("status", "media_type", "body"))
        if not isinstance(status, int) or not isinstance(media_type, str) or not isinstance(body, str):
            raise ValueError("it is not a stored response")  # noqa: TRY004 (what a store holds is data, not a type)
        return cls(status, media_type, _unpacked(body))

    @property
    def content(self) -> Any:
        """The JSON value of the body, if that is what it is; else its text.

        >>> CallResponse(200, "application/json; charset=utf-8", b'{"a": 1}').content
        {'a': 1}
        >>> CallResponse(200, "text/event-stream", b"data: [DONE]").content
        'data: [DONE]'
        """
        if _JSON.match(self.media_type) is not None:
            try:
                return decode(self.body)
            except (ValueError, RecursionError):
                pass  # whoever sent it called it JSON
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """What was asked and answered in a step: a recorded request and its response, or a reply to ``once``.

    Attributes:
        step: the stored reply, with the time, the usage and the status.
        method: such as ``POST``; empty for ``once``, as are ``url`` and ``media_type``.
        url: without secrets.
        request: the JSON value that was sent, or text; None if it was not kept.
        http_status: such as 200; None for ``once``.
        media_type: of the response, such as ``application/json``.
        response: the JSON value that came back, or text, as of a stream; for ``once``, the reply.
    """

    step: Step
    method: str = ""
    url: str = ""
    request: Any = None
    http_status: int | None = None
    media_type: str = ""
    response: Any = None

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return what a step holds, as `AttemptLedger.list_calls` returns it.

        Raises:
            StoreDamagedError: it is not what this library writes.
        """
        if not step.request_key:
            return cls(step, response=step.result.get("result"))
        try:
            asked = None if step.request is None else CallRequest.unpacked(step.request)
            answer = CallResponse.of_result(step.result)
        except ValueError as error:
            where = f"step {step.name!r} of input {step.job_id!r}"
            raise StoreDamagedError(where, f"{error}; look for damage with 'starfish-storage verify'") from error
        if asked is None:
            asked = CallRequest(step.name.partition(" ")[0], "", None)
        return cls(step, asked.method, asked.url, asked.body, answer.status, answer.media_type, answer.content)

    @property
    def seconds(self) -> float | None:
        """How long the answer took; None if that is not known, or it was not asked for here."""
        asked = self.step.asked_when
        if asked is None or self.step.reused_from is not None:
            return None
        return max(0.0, (self.step.saved_when - asked).total_seconds())


def _packed(payload: bytes) -> str:
    return base64.b64encode(zlib.compress(payload, _LEVEL)).decode("ascii")


def _unpacked(text: str) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        payload = unpacking.decompress(base64.b64decode(text, validate=True), LARGEST_BODY)
    except (binascii.Error, ValueError, zlib.error):
        payload = b""
    if not unpacking.eof:
        raise ValueError("it is not a packed text, or too large")
    return payload


def _json_of(payload: bytes) -> object:
    try:
        return decode(payload)
    except (ValueError, RecursionError):
        pass  # its message, or its attributes, may hold the bytes
    raise ValueError("it is not JSON")
