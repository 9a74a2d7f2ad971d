"""Bringing a store in PostgreSQL to the schema of this release, when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

import asyncpg

from starfish_storage.errors import StoreOpenError
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.errors import is_lost
from starfish_storage.metadata.postgres.migrate import KNOWN_VERSION, migrate, schema_version
from starfish_storage.metadata.postgres.retrying import insist
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import only_value

Result = TypeVar("Result")


class StoreStanding(NamedTuple):
    """What is to be known before a store is migrated.

    Attributes:
        version: of its schema.
        working: of workers that are alive, the ids of those with an input, with its run.
        known: the version that this release knows.
    """

    version: int
    working: list[tuple[str, str]]
    known: int = KNOWN_VERSION


def standing(address: PostgresAddress, patience: float) -> StoreStanding:
    """Return how a store stands, of any earlier version. Changes nothing. Blocks.

    Raises:
        StoreOpenError: there is no store, or a newer release's.
        StorageUnavailableError: the server does not answer.
    """
    return _on_connection(address, patience, lambda connection: _standing(connection, address))


def upgrade(address: PostgresAddress, patience: float) -> None:
    """Bring a store to the version of this release, in one transaction in which nobody writes, and end its drain.

    Idempotent. Durable. Blocks.

    Raises:
        StoreOpenError: there is no store, or a newer release's; or the user may not change it. It is as it was.
        StorageUnavailableError: the server does not answer.
    """

    def work(connection: PostgresConnection) -> None:
        queries = postgres_queries()
        _standing(connection, address)
        migrate(connection, queries, address, upgrade=True)
        _end_drains(connection, address)

    _on_connection(address, patience, work)


def _end_drains(connection: PostgresConnection, address: PostgresAddress) -> None:
    """End what drains there are: nothing is written where there are none, so that who may only read is not refused."""
    queries = postgres_queries()
    if connection.execute(queries["list_drains"]).fetchone() is None:
        return
    try:
        connection.execute(queries["end_drains"])
    except asyncpg.InsufficientPrivilegeError:
        reason = f"it has format {KNOWN_VERSION}, which is this release's, but the user may not end its drain; migrate"
        raise StoreOpenError(address.uri, f"{reason} it as a role that may write") from None


def _standing(connection: PostgresConnection, address: PostgresAddress) -> StoreStanding:
    queries = postgres_queries()
    version = schema_version(connection, queries, address)
    if version is None:
        raise StoreOpenError(address.uri, "it does not exist; opening a store that is not there makes one")
    now: datetime = only_value(connection.execute(queries["get_now"]).fetchone())
    found = connection.execute(queries["list_workers_at_work"]).fetchall()
    working = [(worker, run) for worker, run, expires in found if datetime.fromisoformat(expires) > now]
    return StoreStanding(version, working)


def _on_connection(address: PostgresAddress, patience: float, work: Callable[[PostgresConnection], Result]) -> Result:
    connection = PostgresConnection(address, patience)

    def attempt() -> Result:
        try:
            if not connection.is_open:
                connection.open()
            return work(connection)
        except Exception as error:
            if is_lost(error):
                connection.give_up()
            raise

    try:
        return insist(attempt, address.uri, patience, opening=True)
    finally:
        connection.close()
