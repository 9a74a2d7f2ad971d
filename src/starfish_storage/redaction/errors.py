"""Secrets in the texts of errors: clients quote the key that was refused, the URI they asked, the body that came."""

from __future__ import annotations

import re

from starfish_storage.redaction.secrets import KEY_BEGINNING, MARKER, looks_like_key, names_secret, redact_text

_LONGEST_SECRET = 4096
"""So much more of a text is looked at than is kept: no cut leaves the end of a secret without its beginning."""

# A user stays: who reads the error wants to know which one was refused.
_PASSWORD_OF_URI = re.compile(r"(?<=://)(?P<user>[^\s/?#\"'@:]{0,200}):(?P<password>[^\s/?#\"']{1,1000})(?=@)")
_USER_OF_URI = re.compile(r"(?<=://)(?P<user>[^\s/?#\"'@:]{20,1000})(?=@)")
# Of a `repr`, of JSON in JSON, of a coloured line, or of a URI: its last letter or digit hides that a key begins there.
_KEY_AFTER_ESCAPE = re.compile(
    r"(?P<escape>\\{1,7}(?:[abfnrtv0]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})|\x1b\[[0-9;]{0,20}m|%[0-9A-Fa-f]{2})"
    rf"(?:{KEY_BEGINNING}[A-Za-z0-9_-]{{8,4096}}|(?:AKIA|ASIA|AIza)[A-Za-z0-9_-]{{12,4096}}"
    r"|eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_.-]{1,4096})"
)
# What JSON in a `repr`, or JSON in JSON, has before its quotes.
_ESCAPED_VALUE = re.compile(
    r"""(?<![\w-])([\w-]{1,128}+)((?:\\{1,7}["'])?\s{0,9}[=:,]\s{0,9}\\{1,7}["'])([^"'\\\n]{1,4096})"""
)
_NAME_BEFORE_VALUE = re.compile(r"(?<![\w-])(?P<name>[\w-]{1,128}+)(?P<between>['\"]?\s{0,3}(?:=|:(?!//))\s{0,3})")
_UNQUOTED_VALUE = re.compile(r"[^\s&;,'\"<>(){}\[\]\\]{1,4096}")
_SAID = re.compile(
    r"(?P<before>\b(?:keys?|tokens?|secrets?|passwords?|credentials?|signatures?)\b"
    r"(?:[ \t]\w{1,20}){0,3}[:=]?[ \t]{1,3}['\"`]?)"
    r"(?P<value>[\w.~+/=-]{16,4096})",
    re.IGNORECASE,
)
_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature"})
_SCHEMES = frozenset({"basic", "bearer", "token", "digest"})  # what stands between "Authorization:" and the secret
_AUTHORIZATION = re.compile(
    r"(?P<before>\b(?i:authorization)\b['\"]?\s{0,3}[:=,]\s{0,3}(?:b(?=['\"]))?['\"]?)"
    r"(?P<value>(?:[A-Za-z0-9-]{1,20} )?[^\s,;'\"]{1,4096})"
)
_ALONE = frozenset({"auth", "bearer", "cookie", "cookies", "credential", "credentials", "secrets", "token"})
"""Names that stand in plain English before a colon: what follows is a secret only if it looks like a key."""


def redact_error(text: str) -> str:
    """Return the text of an error, or of a traceback, without the secrets in it.

    Secrets are keys as providers make them, JSON Web Tokens, passwords in URIs, bearer tokens, signatures, and the
    values that a name such as ``api_key`` stands before, quoted or not.

    >>> redact_error("401 of postgresql://me:hunter2@db/runs?api_key=abc&n=1: Incorrect API key provided: sk-012345678")
    '401 of postgresql://me:[redacted]@db/runs?api_key=[redacted]&n=1: Incorrect API key provided: [redacted]'
    >>> redact_error("no parser for 4")
    'no parser for 4'
    """
    text = _PASSWORD_OF_URI.sub(rf"\g<user>:{MARKER}", text)
    text = _USER_OF_URI.sub(lambda found: MARKER if looks_like_key(found["user"]) else found[0], text)
    text = _KEY_AFTER_ESCAPE.sub(rf"\g<escape>{MARKER}", text)
    text = _AUTHORIZATION.sub(rf"\g<before>{MARKER}", text)
    text = redact_text(_ESCAPED_VALUE.sub(_without_escaped, text))
    text = _without_unquoted(text)
    return _SAID.sub(_without_said, text)


def clean_error(text: str | None) -> str | None:
    """Return the text of an error without the secrets in it; None, if there is none."""
    return None if text is None else redact_error(text)


def redacted_end(text: str, most: int) -> str:
    """Return the end of an error's text, of so many characters, without secrets; of a shorter one, all of it."""
    if len(text) <= most:
        return redact_error(text)
    # Redacting may have made the text so short that its end reaches to where it was cut: in the midst of a secret.
    _, _, whole = text[-most - _LONGEST_SECRET :].partition(" ")
    return f"... {redact_error(whole or text[-most:])[-most:]}"


def redacted_beginning(text: str, most: int) -> str:
    """Return the beginning of an error's text, of so many characters, without secrets."""
    return redact_error(text[: most + _LONGEST_SECRET])[:most]


def _without_escaped(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    return f"{name}{between}{MARKER}" if names_secret(name) and value != MARKER else found[0]


def _without_said(found: re.Match[str]) -> str:
    return f"{found['before']}{MARKER}" if looks_like_key(found["value"]) else found[0]


def _without_unquoted(text: str) -> str:
    """Return a text without the values of secrets. Another value may hold one in turn: a class of errors is a name."""
    kept: list[str] = []
    end = 0
    for found in _NAME_BEFORE_VALUE.finditer(text):
        name = found["name"].lower()
        if found.start() < end or not (names_secret(found["name"]) or name in _SIGNATURES):
            continue
        value = _UNQUOTED_VALUE.match(text, found.end())
        if value is None or value[0].lower() in _SCHEMES:
            continue
        if "=" in found["between"] or name not in _ALONE or looks_like_key(value[0]):
            kept += [text[end : found.end()], MARKER]
            end = value.end()
    return "".join([*kept, text[end:]])
