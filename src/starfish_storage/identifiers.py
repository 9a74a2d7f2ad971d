"""Ids of projects, jobs and records: which may be used, and which of them a file system would confuse.

Record uids and master job ids become file names. A store can be moved to any file system, so an id is
refused if any common file system cannot use it, even if the present one can.
"""

from __future__ import annotations

import re
import unicodedata

from starfish_storage.errors import InvalidIdError

MAX_ID_BYTES = 200
"""Longest id, in bytes of UTF-8: file names end at 255, and an id gets a suffix."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,199}", re.ASCII)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED_ON_WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"]
)


def check_id(kind: str, value: object) -> str:
    """Return ``value`` if it can be used as an id.

    Args:
        kind: what the id names; used in the message only.
        value: the id.

    Raises:
        InvalidIdError: not a string, empty, over `MAX_ID_BYTES`, with a character that some file system
            refuses, a name that Windows reserves, or text that is not in Unicode's composed form (NFC).
    """
    # One match settles the common case (a UUID, "job-1"); the rest looks for the reason.
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _RESERVED_ON_WINDOWS:
        return value
    if not isinstance(value, str):
        raise InvalidIdError(kind, value, "it must be a string")
    reason = _reason_against(value)
    if reason is not None:
        raise InvalidIdError(kind, value, reason)
    return value


def fold(name: str) -> str:
    """Return the form in which a case-insensitive file system compares names: equal forms are one file there."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _reason_against(value: str) -> str | None:  # noqa: PLR0911 (a list of reasons)
    if not value:
        return "it is empty"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "it contains a lone surrogate, which is not a character"
    if size > MAX_ID_BYTES:
        return f"it is {size} bytes long, the limit is {MAX_ID_BYTES}"
    forbidden = _FORBIDDEN.search(value)
    if forbidden:
        return f"it contains {forbidden.group()!a}, which file names cannot hold on every system"
    if value[0] in ". " or value[-1] in ". ":
        return "it begins or ends with a dot or a blank"
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in value):
        return "it contains a control character"
    if value.partition(".")[0].rstrip(" ").lower() in _RESERVED_ON_WINDOWS:
        return "Windows reserves this name for a device"
    if not unicodedata.is_normalized("NFC", value):
        return "it is not in Unicode's composed form; normalise it to NFC"
    return None
