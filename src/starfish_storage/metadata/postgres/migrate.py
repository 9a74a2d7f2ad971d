"""Bringing a store in PostgreSQL to the schema of this release: numbered ``.sql`` files, all in one transaction."""

from __future__ import annotations

import asyncpg

from starfish_storage.errors import ForeignStoreError, StoreOpenError
from starfish_storage.interface import AskedLayout, Layout
from starfish_storage.metadata import values
from starfish_storage.metadata.action_rows import action_row
from starfish_storage.metadata.layout import LAYOUT, layout_of_existing, layout_of_new
from starfish_storage.metadata.migrations import migrated_meanwhile, migrations, newer_release, older_release
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import Answer, PostgresConnection
from starfish_storage.metadata.postgres.errors import is_lost
from starfish_storage.metadata.postgres.retrying import insist
from starfish_storage.metadata.queries import Queries, postgres_queries
from starfish_storage.metadata.row import only_value, only_values
from starfish_storage.times import utc_now

VERSION = "schema_version"
"""The setting that says which version the schema has."""

KNOWN_VERSION = len(migrations("postgres"))
"""The version of the schema that this release knows."""


def migrate(
    connection: PostgresConnection,
    queries: Queries,
    address: PostgresAddress,
    layout: AskedLayout | None = None,
    *,
    upgrade: bool = False,
) -> None:
    """Make the store's schema if it is not there; and bring it to the latest version, if that is asked for.

    Two processes that do this at the same time do it one after the other. Nobody writes meanwhile.

    Args:
        connection: open.
        queries: the named queries.
        address: where the store lies.
        layout: where a new store puts record data; None: into files.
        upgrade: migrate a store of an earlier release. Who merely opens one does not: others may be at work in it.

    Raises:
        StoreOpenError: the schema holds something else, or was written by another release; it is as it was.
    """
    steps = migrations("postgres")
    if (version := _allowed_version(connection, queries, address, upgrade=upgrade)) == KNOWN_VERSION:
        return  # as nearly always: without waiting for those who write
    connection.execute(queries["begin"])
    try:
        if version is not None:
            connection.execute(queries["lock_commits"])  # first, as every group does: else one waits for the other
        # Nobody writes, and nobody else migrates.
        connection.execute(queries["lock_store"], (address.lock("store"),))
        version = _allowed_version(connection, queries, address, upgrade=upgrade)
        if _may_use(connection, queries, address) is None:
            connection.execute_script(f"{queries['create_schema']} {address.search_path}")
        for number, script in enumerate(steps, start=1):
            if number > (version or 0):
                connection.execute_script(script)
        connection.execute(queries["save_setting"], (VERSION, str(KNOWN_VERSION)))
        if version not in {None, KNOWN_VERSION}:  # the latter: another process has just made it
            now = values.timestamp("now", utc_now())
            noted = action_row(now, "migrate", "store", None, f"version {version} to {KNOWN_VERSION}")
            connection.execute(queries["save_action"], noted)
        if version is None:
            connection.execute(queries["save_setting"], (LAYOUT, layout_of_new(layout)))
        connection.execute(queries["commit"])
    except BaseException as error:
        if connection.is_open:
            connection.execute(queries["rollback"])
        _refuse_others(error, version, address)
        raise


def _refuse_others(error: BaseException, version: int | None, address: PostgresAddress) -> None:
    """Say who may migrate a store, where that is what is wrong."""
    if version is not None and isinstance(error, asyncpg.InsufficientPrivilegeError):
        reason = "the user may not change the store's tables; migrate it as the role that owns them"
        raise StoreOpenError(address.uri, reason) from None


def _allowed_version(
    connection: PostgresConnection, queries: Queries, address: PostgresAddress, *, upgrade: bool
) -> int | None:
    """Return the version of the schema, unless that is an earlier one and nobody has asked to migrate it."""
    version = schema_version(connection, queries, address)
    if version is not None and version != KNOWN_VERSION and not upgrade:
        raise older_release(address.uri, version, KNOWN_VERSION)
    return version


def settled_layout(
    connection: PostgresConnection, queries: Queries, address: PostgresAddress, asked: AskedLayout | None
) -> Layout:
    """Return where the store puts new record data.

    Raises:
        StoreOpenError: that is not what is asked for.
    """
    found = only_value(connection.execute(queries["get_setting"], (LAYOUT,)).fetchone())
    return layout_of_existing(address.uri, found, asked, "copy it into a store that is made so")


def is_there(address: PostgresAddress, patience: float) -> bool:
    """Return whether a store lies at an address. Makes nothing. Blocks.

    Args:
        address: where.
        patience: for how long a server that does not answer is waited for, in seconds.

    Raises:
        StorageUnavailableError: it did not answer.
        StoreOpenError: something else lies there, or it cannot be looked at.
    """
    connection = PostgresConnection(address, patience)

    def look() -> bool:
        connection.open()
        return schema_version(connection, postgres_queries(), address) is not None

    try:
        return insist(look, address.uri, patience, opening=True)
    finally:
        connection.close()


def schema_version(connection: PostgresConnection, queries: Queries, address: PostgresAddress) -> int | None:
    """Return the version of the store's schema; None if there is nothing in it.

    Raises:
        StoreOpenError: the schema holds something else, may not be used, or was written by a newer release.
    """
    if _may_use(connection, queries, address) is False:
        raise StoreOpenError(address.uri, f"the user may not use the schema {address.schema!a}; grant USAGE on it")
    tables = set(only_values(connection.execute(queries["find_tables"], (address.schema,))))
    if not tables:
        return None
    if not tables >= {"settings", "records", "execution_jobs"}:
        raise ForeignStoreError(address.uri, _foreign(address))
    try:
        version = int(only_value(connection.execute(queries["get_setting"], (VERSION,)).fetchone()))
    except (asyncpg.UndefinedColumnError, TypeError, ValueError) as error:
        raise ForeignStoreError(address.uri, _foreign(address)) from error
    if version > KNOWN_VERSION:
        raise newer_release(address.uri, version, KNOWN_VERSION)
    return version


def refuse_other_version(found: Answer, address: PostgresAddress) -> None:
    """Raise if what the store answers is not the version that this release knows."""
    version = only_value(found.fetchone())
    if version != str(KNOWN_VERSION):
        raise migrated_meanwhile(address.uri, version, KNOWN_VERSION)


def refuse_migrated(
    error: Exception, connection: PostgresConnection, queries: Queries, address: PostgresAddress
) -> None:
    """Raise if what the driver has raised comes of a newer release's schema, in which something is not there any more.

    Raises:
        StoreVersionError: it does.
    """
    if not isinstance(error, asyncpg.PostgresError) or is_lost(error):
        return
    try:
        connection.execute(queries["rollback"])
        version = only_value(connection.execute(queries["get_setting"], (VERSION,)).fetchone())
    except Exception:  # noqa: BLE001 (then the first error says more)
        return
    if version is not None and version != str(KNOWN_VERSION):
        raise migrated_meanwhile(address.uri, version, KNOWN_VERSION) from None


def _may_use(connection: PostgresConnection, queries: Queries, address: PostgresAddress) -> bool | None:
    """Return whether the user may use the schema; None if there is none."""
    found = connection.execute(queries["find_schema"], (address.schema,)).fetchone()
    return None if found is None else bool(only_value(found))


def _foreign(address: PostgresAddress) -> str:
    return f"the schema {address.schema!a} holds tables of something else; name another one with '?schema=my_store'"
