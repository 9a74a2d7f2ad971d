"""Access tokens in texts that are published, such as cards: what looks like one, whatever it stands in.

Every text takes time in proportion to its length (docs/adr/0063-patterns-go-over-a-text-once.md).
"""

from __future__ import annotations

import re
from typing import Any, cast

from starfish_storage.redaction import MARKER, names_secret, without_web_tokens

# Behind a prefix that words may begin with, a long part of letters and digits: "sk-proj-...", not "pk-questions-v2".
_PARTED = re.compile(r"\b(?:sk|pk|rk|gsk|xai|pplx|nvapi|r8)[-_](?P<parts>[\w-]{16,}+)")
_SECRET_PART = re.compile(r"(?=\w*\d)\w{16,}")
_TOKENS = re.compile(
    r"\bhf_\w{16,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abeoprs]-[\w-]{10,}"
    r"|\bA(?:KI|SI)A[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}|\bdapi[0-9a-f]{32}|(?<=hooks\.slack\.com/)\S+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=[Bb]earer )[\w.~+/-]{8,}=*|(?<=BEARER )[\w.~+/-]{8,}=*|(?<=[Bb]asic )[\w+/-]{8,}=*"
    r"|(?<=://)[^\s/\"']+(?=@)",
    re.DOTALL,
)
# What says of itself that it is a secret: "?api_key=...", "password: ...", "--token ...", '"X-Api-Key": "..."'. Whether
# a name does is asked once, at its beginning; the name itself is then taken whole.
_SAID = re.compile(
    r"(?P<before>(?<![\w-])(?=[\w-]*?(?:api[-_]?key|access[-_]?key|account[-_]?key|secret|passw(?:or)?d|pwd|credential"
    r"|signature|token))(?P<key>[\w-]++)(?:[\"']?\s*+[=:]|(?<=-)\s)\s*+[\"']?)(?P<secret>[^\s\"'&;,]{3,})",
    re.IGNORECASE,
)
_NO_SECRETS = frozenset({"true", "false", "null", "none"})
_OPTION = re.compile(r"--?[\w-]*(?:key|secret|password|token)", re.IGNORECASE)


def without_tokens(text: str) -> str:
    """Return a text without what looks like an access token of a known kind, whatever it stands in.

    >>> without_tokens("curl -H 'Authorization: Bearer abcdefgh12345678' https://me:pw@example.org")
    "curl -H 'Authorization: Bearer [redacted]' https://[redacted]@example.org"
    """
    known = _PARTED.sub(_without_parts, _TOKENS.sub(MARKER, without_web_tokens(text)))
    return _SAID.sub(_without_secret, known)


def cleaned(value: Any) -> Any:
    """Return a JSON value without what looks like an access token, each text by itself."""
    if isinstance(value, str):
        return without_tokens(value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return {without_tokens(name): cleaned(child) for name, child in members}
    if not isinstance(value, list):
        return value
    items = cast("list[Any]", value)
    follows_option = [isinstance(one, str) and _OPTION.fullmatch(one) is not None for one in items]
    return [
        MARKER if number and follows_option[number - 1] and isinstance(child, str) else cleaned(child)
        for number, child in enumerate(items)
    ]


def _without_parts(found: re.Match[str]) -> str:
    """Return the marker and what stands behind the last part that is a secret; all of it if none is."""
    parts = found["parts"].split("-")
    last = max((number for number, part in enumerate(parts) if _SECRET_PART.match(part)), default=None)
    return found[0] if last is None else "-".join([MARKER, *parts[last + 1 :]])


def _without_secret(said: re.Match[str]) -> str:
    # A number of tokens is none, nor is what a text goes on about, nor whether there is a secret.
    if said["secret"].lower().rstrip("}])") in _NO_SECRETS:
        return said[0]
    is_secret = names_secret(said["key"]) or said["key"].lower().endswith("signature")
    return f"{said['before']}{MARKER}" if is_secret and said["secret"] != MARKER else said[0]
