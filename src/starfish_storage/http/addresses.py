"""What a request is called and how it is stored: its address without secrets, and its body."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidDataError
from starfish_storage.generation.requests import Asked
from starfish_storage.redaction import MARKER, names_secret, redact_secrets, redact_text
from starfish_storage.runs.exchanges import LARGEST_BODY, CallRequest

_SECRET_PARAMETERS = frozenset({"key", "sig", "signature", "token", "code", "pw", "pwd", "password"})
_IS_SIGNED = re.compile(r"x-(?:amz|goog)-(?:signature|credential|security-token)", re.IGNORECASE)
_LONGEST_NAME = 500
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
    name = f"{method} {parts.netloc}{parts.path}"
    request = CallRequest(method, address, _value_of(body))
    try:
        key, packed = request.keyed()
    except InvalidDataError:
        request = CallRequest(method, address, _text_of(body))  # NaN, or nested too deep
        key, packed = request.keyed()
    if not keep_request or len(body) > _LARGEST_KEPT:
        return Asked(name[:_LONGEST_NAME], key, None)
    clean, found = redact_secrets(request.body)
    return Asked(name[:_LONGEST_NAME], key, CallRequest(method, address, clean).packed() if found else packed)


def address_of(url: str) -> str:
    """Return a URL without a user, a password, and the values of parameters that are secrets.

    >>> address_of("https://me:pw@host:8080/v1?api-version=2&key=abc")
    'https://host:8080/v1?api-version=2&key=%5Bredacted%5D'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = parse_qsl(parts.query, keep_blank_values=True)
    clean = [(name, MARKER if _is_secret(name, value) else value) for name, value in query]
    # Only what begins as keys of known providers do: the name of a model is long and has digits too, and requests to
    # two models must not become one.
    path = redact_text(parts.path).replace(MARKER, quote(MARKER))
    return urlunsplit((parts.scheme, host, path, urlencode(clean), ""))


def _is_secret(name: str, value: str) -> bool:
    is_named = name.lower() in _SECRET_PARAMETERS or names_secret(name) or _IS_SIGNED.fullmatch(name) is not None
    return bool(value) and (is_named or redact_text(value) != value)


def _value_of(body: bytes) -> Any:
    """Return the JSON value of a body, or its text."""
    if not body:
        return None
    try:
        return decode(body)
    except (ValueError, RecursionError):
        return _text_of(body)


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(body).decode()}"
