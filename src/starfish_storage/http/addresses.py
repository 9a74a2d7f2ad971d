"""What a request is called and how it is stored: its address without secrets, and its body."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any, cast
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidDataError
from starfish_storage.generation.requests import Asked
from starfish_storage.redaction import MARKER, looks_like_key, names_secret, redact_secrets, redact_text
from starfish_storage.runs.exchanges import LARGEST_BODY, CallRequest

_SECRET_PARAMETERS = frozenset({"key", "sig", "signature", "token", "code", "pw", "pwd", "password"})
_IS_SIGNED = re.compile(r"x-(?:amz|goog)-(?:signature|credential|security-token)", re.IGNORECASE)
_LONGEST_NAME = 500
_MOST_ADDRESSES = 256  # that are kept: a program asks the same few again and again
_LARGEST_KEPT = LARGEST_BODY // 8  # bytes: in ASCII, a character may take six


def asked_of(method: str, url: str, body: bytes, *, keep_request: bool) -> Asked:
    """Return a request as its step knows it.

    Args:
        method: such as ``POST``.
        url: with its secrets.
        body: what was sent.
        keep_request: whether the request is stored, unless it is large; otherwise only its key is.
    """
    address = address_of(url)
    parts = urlsplit(address)
    name = f"{method} {parts.netloc}{parts.path}"[:_LONGEST_NAME]
    request = CallRequest(method, _identity_of(url), _value_of(body))
    try:
        key, packed = request.keyed()
    except InvalidDataError:
        request = CallRequest(method, request.url, _text_of(body))  # NaN, or nested too deep
        key, packed = request.keyed()
    model = _model_of(request.body)
    if not keep_request or len(body) > _LARGEST_KEPT:
        return Asked(name, key, None, model)
    clean = _without_secrets(request.body)
    is_clean = clean is request.body and address == request.url
    return Asked(name, key, packed if is_clean else CallRequest(method, address, clean).packed(), model)


@lru_cache(maxsize=_MOST_ADDRESSES)
def address_of(url: str) -> str:
    """Return a URL without a user, a password, and the values of parameters that are secrets.

    >>> address_of("https://me:pw@host:8080/v1?api-version=2&key=abc")
    'https://host:8080/v1?api-version=2&key=%5Bredacted%5D'
    """
    parts = urlsplit(url)
    query = [(name, MARKER if _is_secret(name, value) else value) for name, value in _query(parts)]
    return _joined(parts, redact_text(parts.path).replace(MARKER, quote(MARKER)), query)


@lru_cache(maxsize=_MOST_ADDRESSES)
def _identity_of(url: str) -> str:
    """Return what of a URL is part of a request's key; it is not stored.

    Only keys are left out, which change without changing the answer. What `address_of` hides besides may be anything:
    ``?code=java``, or a model that is called ``sk-learn-2``. Requests that differ in it must not become one.
    """
    parts = urlsplit(url)
    query = [(name, MARKER if _is_named(name) and looks_like_key(value) else value) for name, value in _query(parts)]
    return _joined(parts, parts.path, query)


def _query(parts: SplitResult) -> list[tuple[str, str]]:
    return parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")


def _joined(parts: SplitResult, path: str, query: list[tuple[str, str]]) -> str:
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, path, urlencode(query, errors="surrogateescape"), ""))


def _is_secret(name: str, value: str) -> bool:
    return bool(value) and (_is_named(name) or redact_text(value) != value)


def _is_named(name: str) -> bool:
    return name.lower() in _SECRET_PARAMETERS or names_secret(name) or _IS_SIGNED.fullmatch(name) is not None


def _value_of(body: bytes) -> Any:
    """Return the JSON value of a body, or its text; None without a body.

    A JSON text or null stays as it was sent: otherwise it would be the same request as the bare text, or as none.
    """
    if not body:
        return None
    try:
        value = decode(body)
    except (ValueError, RecursionError):
        return _text_of(body)
    return _text_of(body) if value is None or isinstance(value, str) else value


def _model_of(body: Any) -> str | None:
    model = cast("dict[str, Any]", body).get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None


def _without_secrets(body: Any) -> Any:
    """Return a body without its secrets; itself if it has none."""
    if isinstance(body, str):
        clean = redact_text(body)
        return body if clean == body else clean
    return redact_secrets(body)[0] if isinstance(body, dict | list) else body


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(body).decode()}"
