"""Sessions of PostgreSQL, also behind a pooler: set up as they have to be, whoever answers for the server.

A pooler such as PgBouncer stands between. It refuses settings at the start of a connection that it does not know, or
passes over them in silence if it was told to; and it gives each client a process number of its own making. So what a
session must have is looked at and set once it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import asyncpg

from starfish_storage.errors import StoreOpenError
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.errors import POOLED_TRANSACTIONS
from starfish_storage.metadata.queries import postgres_queries

# PostgreSQL's text has no NUL. It is stored as two characters, of which the first marks what is escaped.
_MARK, _NUL = "\ue000", "\ue0000"

_POOLERS_OWN = "application_name"
"""The one of our settings that a pooler knows."""
_NOT_SET_LATER = frozenset({_POOLERS_OWN, "options"})
_LOOKS = 4


class _Listening(asyncio.Protocol):
    """Passes everything on to the driver, and counts what arrives: the driver tells only when an answer is complete."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.arrived = 0
        for name in ("connection_lost", "eof_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(driver, name))

    def data_received(self, data: bytes) -> None:
        """Count what the server sent, and pass it on."""
        self.arrived += len(data)
        self._driver.data_received(data)


class ServerSession(asyncpg.Connection):
    """A connection that knows which process of the server it talks to, through a pooler too."""

    __slots__ = ("_listening", "_process", "may_lose_commits")

    _listening: _Listening
    _process: int
    may_lose_commits: bool
    """Whether the server acknowledges a commit before it is on disk."""

    def listen(self) -> None:
        """Begin to count what arrives."""
        transport: Any = self._transport
        self._listening = _Listening(transport.get_protocol())
        transport.set_protocol(self._listening)

    def traffic(self) -> tuple[int, int]:
        """Return how many bytes have arrived, and how many still wait to be sent: what changes, goes on."""
        transport: Any = self._transport
        return self._listening.arrived, int(transport.get_write_buffer_size())

    def set_process(self, pid: int) -> None:
        """Note the number of the server's process."""
        self._process = pid

    def get_server_pid(self) -> int:
        """Return the number of the server's process."""
        return self._process

    @property
    def is_pooled(self) -> bool:
        """Whether somebody else answers for the server."""
        return super().get_server_pid() != self._process


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


async def open_session(address: PostgresAddress, seconds: float, settings: Mapping[str, str], **driver: Any) -> Any:
    """Connect, and see to it that the session has its settings.

    Args:
        address: where the store lies.
        seconds: the longest that connecting takes, unless the address says otherwise.
        settings: of the session, by name.
        driver: other arguments of the driver's `connect`.

    Raises:
        Exception: the driver's.
    """
    parameters = address.parameters
    wanted = {**parameters.settings, **settings}
    driver = {
        **driver,
        **parameters.driver_arguments(),
        "timeout": parameters.seconds_to_connect(seconds),
        "connection_class": ServerSession,
    }
    connect = cast("Any", asyncpg.connect)
    try:
        session = await connect(address.dsn, server_settings=wanted, **driver)
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
        named = {name: value for name, value in wanted.items() if name == _POOLERS_OWN}
        session = await connect(address.dsn, server_settings=named, **driver)
    try:
        session.listen()
        parameters.set_up(session._transport)  # noqa: SLF001 (the driver shows it nowhere else)
        # Before the first statement: it makes the driver give up all that it has prepared.
        await session.set_type_codec("text", schema="pg_catalog", encoder=escape, decoder=unescape, format="text")
        await asyncio.wait_for(_settle(session, wanted), seconds)  # the server may fall silent at any moment
    except BaseException:
        session.terminate()
        raise
    return session


async def _settle(session: Any, wanted: Mapping[str, str]) -> None:
    """Set what the session lacks, and note whom it talks to."""
    queries = postgres_queries()
    pid, search_path, synchronous_commit = await session.fetchrow(queries["look_at_session"])
    session.set_process(pid)
    if search_path != wanted["search_path"]:
        names = [name for name in wanted if name not in _NOT_SET_LATER]
        await session.fetch(queries["set_settings"], names, [wanted[name] for name in names])
        *_, synchronous_commit = await session.fetchrow(queries["look_at_session"])
    session.may_lose_commits = synchronous_commit == "off"


async def refuse_pooled_transactions(
    session: Any, address: PostgresAddress, connect_again: Callable[[], Awaitable[Any]]
) -> None:
    """Refuse a pooler that gives a connection to others between two transactions of ours.

    While another connection is within a transaction, it has the process of the server that this one had last: poolers
    give the one that was used last. Where sessions are pooled, each keeps its own.

    Raises:
        StoreOpenError: it pools transactions, or statements.
    """
    if not session.is_pooled:
        return
    pid = postgres_queries()["look_at_session"]
    try:
        other = await connect_again()
        try:
            for _ in range(_LOOKS):
                mine = await session.fetchval(pid)
                await other.execute(postgres_queries()["begin"])
                its = await other.fetchval(pid)
                await other.execute(postgres_queries()["rollback"])
                if mine == its:
                    raise StoreOpenError(address.uri, POOLED_TRANSACTIONS)
        finally:
            other.terminate()
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        raise StoreOpenError(address.uri, POOLED_TRANSACTIONS) from None
