"""Connections to PostgreSQL: how they are made, and for how long they are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import asyncpg

from starfish_storage.errors import StoreOpenError
from starfish_storage.metadata.migrations import migrated_meanwhile
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.sessions import escape, open_session
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")

CONNECT_SECONDS = 10.0
"""The longest that one try to connect takes."""

_SHORTEST_TRY = 1.0

_OLDEST_SERVER = 13  # pg_current_xact_id() and pg_xact_status(xid8)

SETTINGS = {
    "application_name": "starfish-storage",
    # A machine that vanishes must not keep its locks for as long as others wait for them; the network alone gives up
    # after hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Plans do not depend on values here, and planning anew costs more than the statement.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "default_transaction_isolation": "read committed",
}


_SILENCE_SECONDS = 10.0
SHORTEST_IDLE, LONGEST_IDLE = 1.0, 20.0
"""For how long a transaction may rest before the server ends its session, in seconds: at first, and at most."""
LOOK_AFTER, _LOOK_SECONDS = 1.25, 0.5
"""When a session that waits for a lock begins to look whose it is, by when others have mostly been ended; how often."""


def resting(seconds: float) -> dict[str, str]:
    """Return the setting that bounds for how long a process that is stopped within a transaction keeps its locks."""
    return {"idle_in_transaction_session_timeout": str(round(seconds * 1000))}


def silence(patience: float) -> float:
    """Return for how long a server may say nothing before it is asked whether it works on a statement, in seconds."""
    return min(_SILENCE_SECONDS, patience / 3)


def seconds_to_connect(patience: float) -> float:
    """Return how long one try to connect may take, so that there is time for another one, in seconds."""
    return min(CONNECT_SECONDS, max(_SHORTEST_TRY, patience / 3))


async def connect(address: PostgresAddress, seconds: float = CONNECT_SECONDS, **settings: str) -> Any:
    """Open a connection whose text may hold NUL, and that looks at the store's schema alone.

    Args:
        address: where the store lies.
        seconds: the longest that it takes.
        settings: of the session, beside the usual ones.

    Raises:
        StoreOpenError: the server is older than what is needed.
        Exception: the driver's, to be translated by the caller.
    """
    settings = {**SETTINGS, **settings, "search_path": address.search_path}
    connection = await open_session(address, seconds, settings)
    try:
        await asyncio.wait_for(prepare(connection, address), seconds)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def prepare(connection: Any, address: PostgresAddress, *, known_version: int | None = None) -> None:
    """See to it that a new connection is what `connect` promises.

    Args:
        connection: just made.
        address: where the store lies.
        known_version: the version of the schema that must be there; None: there may be none yet.

    Raises:
        StoreOpenError: the server is older than what is needed.
        StoreVersionError: another release has migrated the store since it was opened.
    """
    version = connection.get_server_version()
    if version.major < _OLDEST_SERVER:
        raise StoreOpenError(address.uri, f"PostgreSQL {version.major} is too old; use {_OLDEST_SERVER} or later")
    queries = postgres_queries()
    if known_version is not None:
        version = await connection.fetchval(queries["get_schema_version"])
        if version != str(known_version):
            raise migrated_meanwhile(address.uri, version, known_version)
    # What was acknowledged is on disk. A stronger setting of the server's, which waits for a standby too, stays.
    if connection.may_lose_commits:
        await connection.execute(queries["commit_to_disk"])


def escaped(parameter: Any) -> Any:
    """Return a parameter as the driver takes it; of arrays it does not apply the codec of text itself."""
    if isinstance(parameter, list):
        values = cast("list[Any]", parameter)
        return [escape(value) if isinstance(value, str) else value for value in values]
    return parameter


async def answer_of(
    connection: Any, call: Awaitable[Result], seconds: float, connect_again: Callable[[], Awaitable[Any]]
) -> Result:
    """Return what a statement answers, however long that takes, as long as the server works on it.

    A limit instead would either give up a deletion of millions of rows, or wait long for a server that is gone without
    a word. So a server that is silent for a while is asked on another connection. While an answer arrives, however
    slowly, it is not silent; that it waits for this end to take the answer it says of a broken connection too.

    Args:
        connection: where the statement was sent.
        call: the statement.
        seconds: for how long a silent server is waited for before it is asked.
        connect_again: opens another connection.

    Raises:
        TimeoutError: the server does not work on it, or does not answer that either.
        Exception: the driver's.
    """
    task = asyncio.ensure_future(call)
    traffic = connection.traffic()
    try:
        while not (await asyncio.wait((task,), timeout=seconds))[0]:
            before, traffic = traffic, connection.traffic()
            if traffic != before or await _is_working(connection.get_server_pid(), seconds, connect_again):
                continue
            if not task.done() and connection.traffic() == traffic:
                raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            connection.terminate()
            task.cancel()


async def _is_working(pid: int, seconds: float, connect_again: Callable[[], Awaitable[Any]]) -> bool:
    try:
        other = await asyncio.wait_for(connect_again(), seconds)
    except asyncpg.TooManyConnectionsError:
        return True  # it answers; asked again, it has a connection left sooner or later
    except Exception:  # noqa: BLE001 (whatever it is, the server cannot be asked)
        return False
    try:
        query = postgres_queries()["is_working"]
        return await other.fetchval(query, pid, timeout=seconds) is not None
    except Exception:  # noqa: BLE001 (as above)
        return False
    finally:
        other.terminate()


async def end_stopped_neighbours(pid: int, connect_again: Callable[[], Awaitable[Any]]) -> None:
    """End sessions that a session waits for and that wait for their clients, until this is cancelled.

    The server ends those that rest between two statements. Within one it does not: a client may be stopped after it has
    had a statement prepared, between the parts of a long one, or while it takes the answer.

    Args:
        pid: of the session that waits.
        connect_again: opens another connection.
    """
    connecting = asyncio.ensure_future(connect_again())
    try:
        other = await asyncio.shield(connecting)  # the driver reports a connection that is cancelled half way
    except asyncio.CancelledError:
        connecting.add_done_callback(lambda done: done.cancelled() or done.exception() or done.result().terminate())
        raise
    except Exception as error:  # noqa: BLE001 (then it waits)
        logger.debug("what a session waits for could not be looked at (%s)", type(error).__name__)
        return
    try:
        while True:
            await other.fetch(postgres_queries()["end_stopped_neighbours"], pid, SHORTEST_IDLE)
            await asyncio.sleep(_LOOK_SECONDS)  # the server does not tell it
    except Exception as error:  # noqa: BLE001 (as above)
        logger.debug("what a session waits for could not be ended (%s)", type(error).__name__)
    finally:
        other.terminate()
