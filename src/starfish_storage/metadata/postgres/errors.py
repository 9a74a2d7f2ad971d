"""The one place that turns PostgreSQL's errors into ours, and knows which of them pass.

What the server says may quote values, and values may be secrets: of its messages only the code and the names of
tables and constraints are passed on, and the original is not kept as the cause.
"""

from __future__ import annotations

import asyncio

import asyncpg

from starfish_storage.errors import (
    InvalidInputError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StoreDamagedError,
    StoreOpenError,
)

CONSTRAINT_ERRORS: tuple[type[Exception], ...] = (asyncpg.IntegrityConstraintViolationError,)
"""A row breaks a rule of the schema."""

_LOST: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # a server that is a standby now: another one takes over
    ConnectionError,
    TimeoutError,
    asyncio.IncompleteReadError,
    OSError,
)
_REFUSED: tuple[type[BaseException], ...] = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_REPEATABLE: tuple[type[BaseException], ...] = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
_NOT_OURS: tuple[type[BaseException], ...] = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is gone, so that the call is to be made again on another one."""
    if isinstance(error, StorageError):
        return False  # some of ours are errors of the system too
    if isinstance(error, asyncpg.InterfaceError):  # also raised for a mistake in the use of the driver
        return "closed" in str(error) or "in progress" in str(error)
    return isinstance(error, _LOST) and not isinstance(error, _REFUSED)


def is_repeatable(error: BaseException) -> bool:
    """Return whether the server gave a transaction up for the sake of another one: it is to be made again."""
    return isinstance(error, _REPEATABLE)


def unavailable(place: str, waited: float, last: BaseException, more: str = "") -> StorageUnavailableError:
    """Return the error of a call that has waited long enough for a server; ``more`` goes into its reason."""
    return StorageUnavailableError(place, waited, f"PostgreSQL does not answer ({_kind(last)}){more}")


def not_opened(error: BaseException, place: str) -> StorageError:
    """Return the error of a store that cannot be opened."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return StoreOpenError(
            place, "the server refused the user or the password; see PGUSER, PGPASSWORD and PGPASSFILE"
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return StoreOpenError(place, "there is no such database; make it with createdb, or name another")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        reason = "the user may not make or use the schema; grant CREATE on the database, or make the schema for it"
        return StoreOpenError(place, reason)
    if isinstance(error, ValueError | asyncpg.ClientConfigurationError):
        return StoreOpenError(
            place, "the driver cannot read the URI or the PG* variables; write 'postgresql://user@host/database'"
        )
    return translate(error, place)


def translate(error: BaseException, place: str) -> StorageError:  # noqa: PLR0911 (a table)
    """Return the error of our family for one that the driver raised."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFullError(place, None, "the server's disk is full; make room, then call again")
    if isinstance(error, asyncpg.ProgramLimitExceededError):
        return InvalidInputError(
            "a value is too long for PostgreSQL: an id, a hash or a name that is looked up takes 2,700 bytes, any "
            "other one a billion. Nothing was written."
        )
    if isinstance(error, _NOT_OURS):
        return StoreDamagedError(place, f"its tables are not those of a store ({_kind(error)}); restore a backup")
    if isinstance(error, asyncpg.DataCorruptedError | asyncpg.IndexCorruptedError):
        return StoreDamagedError(place, f"PostgreSQL says that it is damaged ({_kind(error)}); restore a backup")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return StorageError(f"{place!r}: the user has not the right to do this; grant it. Nothing was written.")
    return StorageError(f"{place!r}: {_kind(error)}; nothing was written.")


def _kind(error: BaseException) -> str:
    code = getattr(error, "sqlstate", None)
    return type(error).__name__ if code is None else f"{type(error).__name__}, SQLSTATE {code}"
