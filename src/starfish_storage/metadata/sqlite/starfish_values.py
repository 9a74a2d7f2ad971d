"""What the columns of Starfish 0.1.x hold, as functions that SQL calls: converted into ours, and judged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidIdError, InvalidReferenceError, InvalidUriError, StorageError
from starfish_storage.identifiers import MAX_ID_BYTES, fold
from starfish_storage.interface import DataHandler
from starfish_storage.keys import check_record_key, check_request_config_name, request_config_key
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.values import json_text, timestamp
from starfish_storage.uri import path_of_file_uri

_HERE = "."
_UNKNOWN_TIME = "1970-01-01T00:00:00.000000Z"
_MOST_COUNTED = 1 << 53
_STRICT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_CONFIGURED = 64  # request configurations that are kept parsed, of which a value is asked for


def register_conversions(connection: Connection, data: DataHandler) -> None:
    """Make the conversions callable from SQL."""
    functions: dict[str, Callable[..., Any]] = {
        "starfish_id": _id,
        "starfish_text": _text,
        "starfish_count": _count,
        "starfish_json": _json,
        "starfish_time": _time,
        "starfish_needed_time": lambda *values: _time(*values) or _UNKNOWN_TIME,
        "starfish_fold": fold,
        "starfish_stand_in": _stand_in,
        "starfish_place": _place,
        "starfish_config_key": partial(_config_key, data),
        "starfish_record_key": partial(_record_key, data),
        "starfish_error": partial(_error, data),
        "starfish_configured": partial(_configured, lru_cache(_CONFIGURED)(partial(_configuration, data))),
        "starfish_is_object": _is_object,
        "starfish_unreadable_times": _unreadable_times,
        "starfish_loose_times": _loose_times,
        "starfish_was_elsewhere": partial(_was_elsewhere, data),
    }
    for name, function in functions.items():
        connection.create_scalar_function(name, function, -1, deterministic=True)


def _id(value: object, number: int) -> str:
    return _text(value) or f"(no id {number})"


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _count(value: object) -> int:
    try:
        return int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return 0


def _json(value: object) -> str | None:
    """Return a JSON object as we write it; anything else, JSON or not, as the ``value`` of one."""
    if value is None:
        return None
    text = _text(value) or ""
    try:
        found: object = decode(text.encode())
    except (ValueError, RecursionError):
        found = text
    try:
        return json_text(
            "a column of Starfish's", cast("object", found) if isinstance(found, dict) else {"value": found}
        )
    except StorageError:
        return json_text("a column of Starfish's", {"value": text})  # JSON as Python reads it: NaN, too deep


def _time(*values: object) -> str | None:
    """Return the first of several values that is a time, as we write it; one without an offset is in UTC."""
    for value in values:
        try:
            if isinstance(value, str):
                return timestamp("time", datetime.fromisoformat(value.strip()))
            if isinstance(value, int | float):  # a TIMESTAMP column turns digits into a number
                return timestamp("time", datetime.fromtimestamp(value, UTC))
        except (ValueError, OverflowError, OSError, StorageError):
            pass
    return None


def _stand_in(job_id: str, master_job_id: str) -> str:
    name = f"{job_id} of {master_job_id}"
    if len(name.encode()) <= MAX_ID_BYTES:
        return name
    return f"{job_id[:30]} of {hashlib.sha256(name.encode()).hexdigest()}"


def _place(uri: object, reference: object, data_uri: object) -> str | None:
    """Return the mark for a store's own place if a master job's reference shows that it was that, else the URI.

    A job with its data elsewhere shows it by that other place.
    """
    text, below = _text(uri), _text(reference) or ""
    for candidate in (text, _text(data_uri)):
        try:
            if candidate is not None and below.startswith(path_of_file_uri(candidate) + "/"):
                return _HERE
        except InvalidUriError:
            pass  # some other scheme: it is kept as it is
    return text


def _config_key(data: DataHandler, reference: object, master_job_id: str) -> str:
    """Return the key of a request configuration; in place of a useless one, the one it would have here."""
    try:
        text = _text(reference) or ""
        return check_request_config_name(data.to_key(text), text)
    except InvalidReferenceError:
        pass
    try:
        return request_config_key(master_job_id)
    except InvalidIdError:
        return request_config_key(hashlib.sha256(master_job_id.encode()).hexdigest())


def _record_key(data: DataHandler, reference: object) -> str | None:
    try:
        return None if reference is None else check_record_key(data.to_key(_text(reference) or ""))
    except InvalidReferenceError:
        return None


def _error(data: DataHandler, message: object, reference: object) -> str | None:
    text = _text(message)
    if reference is None or _record_key(data, reference) is not None:
        return text
    note = f"Starfish's output_ref leads to no data of this store: {_text(reference)}"
    return note if text is None else f"{text} ({note})"


def _configuration(data: DataHandler, key: str) -> dict[str, Any]:
    """Return how Starfish was to run a master job, from its request configuration; nothing if that cannot be read."""
    try:
        found: Any = decode(data.read(key))
        settings = found["config"]
    except (StorageError, ValueError, RecursionError, KeyError, TypeError):
        return {}
    return cast("dict[str, Any]", settings) if isinstance(settings, dict) else {}


def _configured(
    configuration: Callable[[str], dict[str, Any]], key: str, master_job_id: str, name: str
) -> str | int | None:
    """Return a value of a master job's request configuration, of a kind that a column can hold."""
    settings = configuration(key)
    value: object = settings.get(name) if settings.get("master_job_id") == master_job_id else None
    if isinstance(value, str) or (isinstance(value, int) and 0 < value < _MOST_COUNTED):
        return value
    return None


def _is_object(value: object) -> bool:
    """Return whether a column holds a JSON object, or nothing."""
    try:
        return value is None or isinstance(decode((_text(value) or "").encode()), dict)
    except (ValueError, RecursionError):
        return False


def _unreadable_times(*values: object) -> int:
    return sum(value is not None and _time(value) is None for value in values)


def _loose_times(*values: object) -> int:
    """Return how many values are times in another form than ISO 8601 with an offset."""
    readable = [value for value in values if _time(value) is not None]
    return sum(not isinstance(value, str) or _STRICT_TIME.fullmatch(value) is None for value in readable)


def _was_elsewhere(data: DataHandler, reference: object) -> bool:
    """Return whether a reference leads to where the store lay before."""
    text = _text(reference)
    try:
        return text is not None and text.startswith("/") and data.to_reference(data.to_key(text)) != text
    except InvalidReferenceError:
        return False
