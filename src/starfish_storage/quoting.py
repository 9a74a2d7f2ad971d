"""How ids, references and URIs are quoted in messages: on one line, not too long, and without secrets."""

from __future__ import annotations

import re


def without_secrets(uri: object) -> object:
    """Return a URI without its user, password and query; ``file:///`` has none of them."""
    if not isinstance(uri, str):
        return uri
    place = re.sub(r"//(?!/).*@", "//...@", uri, flags=re.DOTALL)
    return place if place.startswith("file:///") else re.sub(r"\?.*", "?...", place, flags=re.DOTALL)


def shorten(value: object, limit: int = 120) -> str:
    """Quote a value for a message: escaped, so that it cannot forge lines, and cut to ``limit`` characters."""
    text = ascii(value) if isinstance(value, str) else f"of type {type(value).__name__}"
    return text if len(text) <= limit else f"{text[:limit]}...' ({len(text)} characters)"
