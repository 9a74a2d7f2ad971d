"""Secrets: which values of a configuration, words of a command line, and parts of an error's text are one."""

from starfish_storage.redaction.errors import clean_error, redact_error, redacted_beginning, redacted_end
from starfish_storage.redaction.secrets import (
    MARKER,
    SecretRedactedWarning,
    looks_like_key,
    names_secret,
    paths_of_keys,
    redact_keys,
    redact_secrets,
    redact_text,
    redact_words,
    without_keys,
    without_web_tokens,
)

__all__ = [
    "MARKER",
    "SecretRedactedWarning",
    "clean_error",
    "looks_like_key",
    "names_secret",
    "paths_of_keys",
    "redact_error",
    "redact_keys",
    "redact_secrets",
    "redact_text",
    "redact_words",
    "redacted_beginning",
    "redacted_end",
    "without_keys",
    "without_web_tokens",
]
