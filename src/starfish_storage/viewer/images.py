"""Images in what models read and wrote: those that are in the data itself, and that are what a browser can only draw.

An image is shown from bytes that begin as PNG, JPEG, GIF or WebP do, under that type, whatever it was called. So SVG
and HTML, which can hold scripts, are none, and a page asks nobody else for anything.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

LARGEST = 8 << 20
"""Bytes of an image in the form in which data holds it (base64)."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", 0, "png"),
    (b"\xff\xd8\xff", 0, "jpeg"),
    (b"GIF87a", 0, "gif"),
    (b"GIF89a", 0, "gif"),
    (b"WEBP", 8, "webp"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be shown.

    Attributes:
        address: of the form ``data:``, of bytes that were looked at.
        form: what it is, such as ``png``.
        size: in bytes.
    """

    address: str
    form: str
    size: int


def image_of(value: object) -> Image | None:
    """Return the image that a text or a part of a message is; None if it is none, or none that is shown.

    >>> image_of({"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,R0lGODlhAQABAAAAACw="}})
    Image(address='data:image/gif;base64,R0lGODlhAQABAAAAACw=', form='gif', size=14)
    >>> image_of("data:image/png;base64,PHN2Zz4="), image_of("https://elsewhere.example/x.png")
    (None, None)
    """
    text = _base64_of(value)
    if not text or len(text) > LARGEST:
        return None
    try:
        content = binascii.a2b_base64(text.encode("ascii"), strict_mode=False)
    except ValueError:  # what is not ASCII, too
        return None
    for signature, place, form in _SIGNATURES:
        if content.startswith(signature, place):
            clean = binascii.b2a_base64(content, newline=False).decode("ascii")
            return Image(f"data:image/{form};base64,{clean}", form, len(content))
    return None


def _base64_of(value: object) -> str | None:
    if isinstance(value, str):
        head, comma, content = value.partition(",") if value[:5].lower() == "data:" else ("", "", "")
        return content if comma and head.lower().endswith(";base64") else None
    if not isinstance(value, Mapping):
        return None
    part = cast("Mapping[str, Any]", value)
    address = part.get("image_url")  # of OpenAI: chat has an object, Responses a text
    if address is not None:
        return _base64_of(address if isinstance(address, str) else _member(address, "url"))
    source = part.get("source") if part.get("type") == "image" else part.get("inline_data", part.get("inlineData"))
    content = _member(source, "data")  # of Anthropic and of Gemini
    return content if isinstance(content, str) else None


def _member(value: object, name: str) -> object:
    return cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
