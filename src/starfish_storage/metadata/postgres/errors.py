"""The one place that turns PostgreSQL's errors into ours, and knows which of them pass.

What the server says may quote values, and values may be secrets: of its messages only the code and the names of
tables and constraints are passed on, and the original is kept neither as the cause nor as the context.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import TypeVar

import asyncpg

from starfish_storage.errors import (
    InvalidInputError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StoreDamagedError,
    StoreOpenError,
)
from starfish_storage.metadata.postgres.address import PostgresAddress

Known = TypeVar("Known", bound=BaseException)

CONSTRAINT_ERRORS: tuple[type[Exception], ...] = (asyncpg.IntegrityConstraintViolationError,)
"""A row breaks a rule of the schema."""

_READ_ONLY = "25006"  # a server that is a standby now: another one takes over
_NO_CONNECTION_LEFT = "53300"
# By their codes: which classes there are for them differs between releases of the driver.
_LOST_CODES = frozenset(
    {
        _READ_ONLY,
        _NO_CONNECTION_LEFT,
        *("25P03", "25P04"),  # a transaction was idle, or took, for too long: the session was ended
        *("57P01", "57P02", "57P03", "57P05"),  # the server ends, has crashed, begins; a session was idle for too long
    }
)
_LOST_CLASS = "08"  # of codes
_LOST: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    # None of several hosts takes writes now; or, as the driver has it, what the server said when it ended the session
    # is still being read.
    asyncpg.InternalClientError,
)
_REFUSED: tuple[type[BaseException], ...] = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_REPEATABLE_CODES = frozenset({"40001", "40P01", "55P03", "57014"})
_NOT_OURS: tuple[type[BaseException], ...] = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)
_POOLED: tuple[type[BaseException], ...] = (
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidSQLStatementNameError,
)
"""A pooler that was changed to transactions while the store was open: another client has prepared the statement."""
POOLED_TRANSACTIONS = (
    "a pooler in between gives connections to others after each transaction, so that prepared statements are lost, and "
    "the schema that is looked at; let it pool sessions (PgBouncer: pool_mode = session), or connect to the server "
    "itself"
)
_BAD_SETTING: tuple[type[BaseException], ...] = (
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is gone, so that the call is to be made again on another one."""
    if isinstance(error, StorageError):
        return False  # some of ours are errors of the system too
    if isinstance(error, asyncpg.InterfaceError):  # also raised for a mistake in the use of the driver
        return "closed" in str(error) or "in progress" in str(error)
    code = _code(error)
    if code is not None:
        return code in _LOST_CODES or code.startswith(_LOST_CLASS)
    return isinstance(error, _LOST)


def is_repeatable(error: BaseException) -> bool:
    """Return whether the server gave a transaction up for the sake of something else: it is to be made again."""
    return _code(error) in _REPEATABLE_CODES


def is_hopeless(error: BaseException) -> bool:
    """Return whether a connection that was never made before will not be made by waiting either."""
    if isinstance(error, socket.gaierror):
        return error.errno in _NO_SUCH_NAME  # the others say that nobody answers who would know the name
    return isinstance(error, ssl.SSLError) or _needs_tls(error)


def unavailable(place: str, waited: float, last: BaseException, more: str = "") -> StorageUnavailableError:
    """Return the error of a call that has waited long enough for a server; ``more`` goes into its reason."""
    reasons = {
        _READ_ONLY: "PostgreSQL takes no writes, as a standby does",
        _NO_CONNECTION_LEFT: "PostgreSQL has no connection left; see its max_connections",
    }
    reason = reasons.get(_code(last) or "", "PostgreSQL does not answer")
    return StorageUnavailableError(place, waited, f"{reason} ({kind_of(last)}){more}")


def not_opened(error: BaseException, place: str) -> StorageError:
    """Return the error of a store that cannot be opened."""
    if isinstance(error, StorageError):
        return error
    reason = _reason_not_opened(error, place)
    return translate(error, place) if reason is None else StoreOpenError(place, reason)


def _reason_not_opened(error: BaseException, place: str) -> str | None:  # noqa: PLR0911 (a table)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return "the server refused the user or the password; see PGUSER, PGPASSWORD and PGPASSFILE"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return "there is no such database; make it with createdb, or name another"
    if isinstance(error, _BAD_SETTING):
        named = [repr(name) for name in PostgresAddress.of_uri(place).parameters.settings]
        from_uri = f"the URI ({', '.join(named)})" if named else "the URI"
        return f"the server refused a setting that {from_uri} or PGOPTIONS gives ({kind_of(error)})"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return (
            "the user may not make or use the schema; grant CREATE on the database, make the schema for it, or let the "
            "schema's owner open the store first"
        )
    if isinstance(error, socket.gaierror):
        return "there is no host of that name; see the URI and PGHOST"
    if _needs_tls(error):
        return "the server has no TLS, which sslmode or PGSSLMODE asks for"
    if isinstance(error, ssl.SSLError):
        return f"the server's certificate or TLS was not accepted ({kind_of(error)}); see PGSSLROOTCERT and sslmode"
    if isinstance(error, ValueError | asyncpg.ClientConfigurationError):
        return "the driver cannot read the URI or the PG* variables; write 'postgresql://user@host/database'"
    return None


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
    if is_repeatable(error):
        return StorageBusyError(
            f"{place!r}: others held the locks of this call for too long, or it took too long ({kind_of(error)}); "
            "nothing was written. See who holds it in pg_stat_activity, then call again."
        )
    if isinstance(error, _POOLED):
        return StoreOpenError(place, POOLED_TRANSACTIONS)
    if isinstance(error, _NOT_OURS):
        return StoreDamagedError(place, f"its tables are not those of a store ({kind_of(error)}); restore a backup")
    if isinstance(error, asyncpg.DataCorruptedError | asyncpg.IndexCorruptedError):
        return StoreDamagedError(place, f"PostgreSQL says that it is damaged ({kind_of(error)}); restore a backup")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        lacking = f"the user lacks a privilege for this call{_denied(error)}"
        return StorageError(f"{place!r}: {lacking}; grant it. Nothing was written.")
    if isinstance(error, _REFUSED):
        return not_opened(error, place)  # on a new connection, after an earlier one was lost
    return StorageError(f"{place!r}: {kind_of(error)}; nothing was written.")


def detached(error: Known) -> Known:
    """Return an error without those it came from: what the driver says may quote what was being written."""
    error.__cause__ = error.__context__ = None
    return error


def kind_of(error: BaseException) -> str:
    """Return what may be said of an error of the driver: its name and its code."""
    code = _code(error)
    return type(error).__name__ if code is None else f"{type(error).__name__}, SQLSTATE {code}"


def _code(error: BaseException) -> str | None:
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else None


def _denied(error: asyncpg.InsufficientPrivilegeError) -> str:
    """Return what the server says was denied, if it says so in English: it names a table and quotes nothing."""
    found = re.match(r"permission denied for \w+ \w+", str(error))
    return "" if found is None else f" ({found[0]})"


def _needs_tls(error: BaseException) -> bool:
    return isinstance(error, ConnectionError) and "rejected SSL" in str(error)  # the driver has no class for it
