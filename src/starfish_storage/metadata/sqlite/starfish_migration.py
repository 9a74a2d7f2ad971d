"""Making a store of ours out of one of Starfish 0.1.x: its tables into ours, in one transaction, after a backup.

The migration keeps everything that its tables can hold. What does not fit ours (a missing parent, a reference that
leads out of the store, JSON that is not an object) is kept in a form that fits; none of it is an error.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import apsw

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidIdError, InvalidReferenceError, InvalidUriError, StorageError, StoreOpenError
from starfish_storage.identifiers import MAX_ID_BYTES, fold
from starfish_storage.interface import DataHandler
from starfish_storage.keys import check_record_key, check_request_config_name, request_config_key
from starfish_storage.metadata.queries import sqlite_queries, starfish_queries
from starfish_storage.metadata.row import only_values
from starfish_storage.metadata.sqlite.driver import Connection, back_up, connect
from starfish_storage.metadata.values import json_text, timestamp
from starfish_storage.uri import path_of_file_uri

logger = logging.getLogger(__name__)

TABLES = frozenset({"Projects", "GenerationMasterJob", "GenerationJob", "Records"})

BACKUP_SUFFIX = ".starfish-0.1"
"""Of the copy of a Starfish database that is kept beside it when it is migrated."""

_HERE = "."
_UNKNOWN_TIME = "1970-01-01T00:00:00.000000Z"
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_BUSY_TIMEOUT_MS = 60_000


def is_starfish(connection: Connection) -> bool:
    """Return whether a database is one of Starfish 0.1.x."""
    if connection.pragma("application_id") or connection.pragma("user_version"):
        return False
    return set(only_values(connection.execute(sqlite_queries()["list_tables"]))) >= TABLES


def migrate_starfish(
    connection: Connection, path: str, data: DataHandler, create_schema: Callable[[], None], *, backup: bool
) -> None:
    """Turn the tables of Starfish into ours, in one transaction; if that fails, they stay as they are.

    Args:
        connection: the writing connection; its `foreign_keys` are on again afterwards.
        path: the database, for messages.
        data: knows which references are keys.
        create_schema: makes our tables, inside the transaction.
        backup: keep a copy of the database beside it first.

    Raises:
        apsw.Error: SQLite failed.
        StoreOpenError: what came out does not hold together.
    """
    queries, own = sqlite_queries(), starfish_queries()
    _register(connection, data)
    connection.pragma("foreign_keys", "off")  # has no effect inside a transaction
    kept = None
    try:
        connection.execute(queries["begin"])
        if backup:
            # Holding the lock: what is copied is what is migrated.
            kept = _back_up(path)
            logger.warning("%s is a store of Starfish 0.1.x; it is migrated, and kept as %s", path, kept)
        for name in own.names():
            if name == "create_schema":
                create_schema()
            else:
                connection.execute(own[name])
        _check_parents(connection, path)
        connection.execute(queries["commit"])
    except BaseException:
        if connection.in_transaction:
            connection.execute(queries["rollback"])
        if kept is not None:
            os.unlink(kept)  # or every attempt would leave one
        raise
    finally:
        connection.pragma("foreign_keys", "on")


def _check_parents(connection: Connection, path: str) -> None:
    if connection.execute(sqlite_queries()["check_foreign_keys"]).fetchone() is not None:
        raise StoreOpenError(path, "it is a store of Starfish 0.1.x that cannot be migrated: rows lack their parent")


def _back_up(path: str) -> str:
    """Copy the database to the first name that no finished backup has, and return that name.

    SQLite copies it in one transaction, which it syncs: a copy that was killed is empty, and is made again.
    """
    number = 1
    while True:
        target = f"{path}{BACKUP_SUFFIX}" + (f"-{number}" if number > 1 else "")
        os.close(os.open(target, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        copy = connect(target, _FLAGS, None, _BUSY_TIMEOUT_MS)
        try:
            if copy.execute(sqlite_queries()["list_tables"]).fetchone() is None:
                _copy_database(path, copy)
                return target
        finally:
            copy.close()
        number += 1


def _copy_database(path: str, copy: Connection) -> None:
    copy.pragma("synchronous", "extra")  # syncs the directory as well
    copy.pragma("fullfsync", "on")
    source = connect(path, _FLAGS, None, _BUSY_TIMEOUT_MS)
    try:
        back_up(source, copy)
    finally:
        source.close()


def _register(connection: Connection, data: DataHandler) -> None:
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
