"""Connections to PostgreSQL: how they are made, and the text that PostgreSQL cannot hold."""

from __future__ import annotations

from typing import Any, cast

import asyncpg

from starfish_storage.errors import StoreOpenError
from starfish_storage.metadata.postgres.address import PostgresAddress

CONNECT_SECONDS = 10.0
"""The longest that one try to connect takes."""

_OLDEST_SERVER = 13  # pg_current_xact_id() and pg_xact_status(xid8)

# PostgreSQL's text has no NUL. It is stored as two characters, of which the first marks what is escaped.
_MARK, _NUL = "\ue000", "\ue0000"

SETTINGS = {
    "application_name": "starfish-storage",
    # A machine that vanishes must not keep its locks until the network gives up, which takes hours by default.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "120s",
    # Plans do not depend on values here, and planning anew costs more than the statement.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "default_transaction_isolation": "read committed",
}


def escape(text: str) -> str:
    """Return text without NUL characters, from which `unescape` makes the original."""
    if "\0" not in text and _MARK not in text:
        return text
    return text.replace(_MARK, _MARK * 2).replace("\0", _NUL)


def unescape(text: str) -> str:
    """Return the text that was escaped."""
    if _MARK not in text:
        return text
    return _MARK.join(part.replace(_NUL, "\0") for part in text.split(_MARK * 2))


async def connect(address: PostgresAddress, seconds: float = CONNECT_SECONDS) -> Any:
    """Open a connection whose text may hold NUL, and that looks at the store's schema alone.

    Raises:
        StoreOpenError: the server is older than what is needed.
        Exception: the driver's, to be translated by the caller.
    """
    settings = {**SETTINGS, "search_path": address.search_path}
    connection = cast("Any", await asyncpg.connect(address.dsn, timeout=seconds, server_settings=settings))
    try:
        await prepare(connection, address)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def prepare(connection: Any, address: PostgresAddress) -> None:
    """See to it that a new connection is what `connect` promises."""
    version = connection.get_server_version()
    if version.major < _OLDEST_SERVER:
        raise StoreOpenError(address.uri, f"PostgreSQL {version.major} is too old; use {_OLDEST_SERVER} or later")
    await connection.set_type_codec("text", schema="pg_catalog", encoder=escape, decoder=unescape, format="text")
    # What was acknowledged is on disk. A stronger setting of the server's, which waits for a standby too, stays.
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        await connection.execute("SET synchronous_commit TO on")


def escaped(parameter: Any) -> Any:
    """Return a parameter as the driver takes it; of arrays it does not apply the codec of text itself."""
    if isinstance(parameter, list):
        values = cast("list[Any]", parameter)
        return [escape(value) if isinstance(value, str) else value for value in values]
    return parameter
