"""Retries failed attempts: which errors are worth it, how long to wait, and when to stop."""

from __future__ import annotations

import errno
import math
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from starfish_storage.errors import InvalidInputError, RequestNotStoredError, StorageError, shorten
from starfish_storage.generation.provider_errors import is_out_of_quota, retry_after, status_of
from starfish_storage.times import utc_now

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

# What a user's function raises for a mistake, or for a part that nobody has written (NotImplementedError).
_NEVER = (
    *(TypeError, AttributeError, NameError, ImportError, NotImplementedError, SyntaxError, RecursionError),
    *(MemoryError, AssertionError, StorageError, ssl.SSLCertVerificationError),
)
_NETWORK_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        *("EAGAIN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "EINTR", "EMFILE"),
        *("ENETDOWN", "ENETRESET", "ENETUNREACH", "ENFILE", "ENOBUFS", "ENOTCONN", "EPIPE", "EPROTO", "ESHUTDOWN"),
        *("EADDRNOTAVAIL", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
)
_TOO_EARLY, _TOO_MANY, _NOT_IMPLEMENTED = 425, 429, 501
_WORTH_STATUSES = frozenset({408, 409, _TOO_EARLY, _TOO_MANY})

_HOPELESS_NAME = re.compile(
    r"Authentication|Unauthorized|PermissionDenied|Forbidden|BadRequest|InvalidRequest|NotFound|Unprocessable"
    r"|InsufficientQuota|BudgetExceeded|ContextWindowExceeded|ContentPolicyViolation"
    r"|^(InvalidURL|InvalidSchema|MissingSchema|UnsupportedProtocol|LocalProtocolError|InvalidHeader)$"
)
_PASSING_NAME = re.compile(
    r"RateLimit|TooManyRequests|ResourceExhausted|Throttl|Overloaded|ServiceUnavailable|InternalServer|BadGateway"
    r"|APIConnection|Timeout|TimedOut|DeadlineExceeded|ServerDisconnected"
    r"|^(ConnectError|ReadError|WriteError|CloseError|NetworkError|TransportError|ProtocolError|RemoteProtocolError"
    r"|ProxyError|ConnectionError|ClientConnectionError|ClientPayloadError|ChunkedEncodingError|SSLError)$"
)


class OutputMisfitError(Exception):
    """An attempt returned an output that does not fit the schema, and is to be made again for that."""


def is_worth_retrying(error: BaseException) -> bool:  # noqa: PLR0911 (a table)
    """Return whether an attempt that failed with this error may well succeed if retried.

    This imports no client library: the HTTP status of an error decides, else the names of its classes. Mistakes in the
    program and requests that the provider refuses are not worth a retry. Unknown errors are: models answer differently
    each time, so it is best to ask again for an answer that could not be parsed.

    >>> is_worth_retrying(TimeoutError()), is_worth_retrying(ValueError("no answer")), is_worth_retrying(KeyError("x"))
    (True, True, False)
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_worth_retrying(one) for one in cast("BaseExceptionGroup[BaseException]", error).exceptions)
    if not isinstance(error, Exception) or isinstance(error, _NEVER) or is_out_of_quota(error):
        return False
    if type(error) is KeyError:  # classes derived from it say more
        return _is_raised_by_client(error)
    if isinstance(error, TimeoutError | ConnectionError | socket.gaierror):
        return True
    status = status_of(error)
    if status is not None:
        return status in _WORTH_STATUSES or (status >= 500 and status != _NOT_IMPLEMENTED)  # noqa: PLR2004 (5xx)
    by_name = _worth_by_name(type(error))
    if by_name is not None:
        return by_name
    return not isinstance(error, OSError) or error.errno is None or error.errno in _NETWORK_ERRORS


def is_of_connection(error: BaseException) -> bool:
    """Return whether an error says that a request failed, and so nothing about an answer that came before.

    >>> is_of_connection(ConnectionResetError()), is_of_connection(ValueError("no score in the reply"))
    (True, False)
    """
    if isinstance(error, TimeoutError | ConnectionError | socket.gaierror | ssl.SSLError):
        return True
    return isinstance(error, Exception) and (status_of(error) is not None or _worth_by_name(type(error)) is True)


_OF_DATA = frozenset({"datasets", "numpy", "pandas", "polars", "pyarrow", "pydantic", "xarray"})


def _is_raised_by_client(error: KeyError) -> bool:
    """Return whether an installed library raised this: an answer may lack what a client of a model reads in it.

    Not one that holds data: there, the program has named a column that does not exist.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = "" if trace is None else trace.tb_frame.f_code.co_filename
    found = re.search(r"[/\\](?:site|dist)-packages[/\\](\w+)", file)
    return found is not None and found[1] not in _OF_DATA


@dataclass(frozen=True, slots=True)
class Retry:
    """How many attempts an input gets, and how long a run waits between them.

    Attempts that a provider refuses because of a limit do not count: see ``longest_limit_wait`` of `RunOptions`.

    The wait before the n-th retry is ``first_wait * 2 ** (n - 1)`` seconds, at most ``longest_wait``; or what the
    provider asks for, if that is longer. A random 0 to ``jitter`` seconds are added, so that retries spread out.

    Attributes:
        attempts: the most attempts, the first included; 1 means no retry.
        first_wait: seconds before the first retry.
        longest_wait: the most seconds between attempts, unless the provider asks for more.
        jitter: the most seconds that are added at random.
        longest_retry_after: the most seconds to wait at a time because the provider asks for it.
        worth_retrying: returns whether an error is worth a retry.
    """

    attempts: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0
    jitter: float = 1.0
    longest_retry_after: float = 600.0
    worth_retrying: Callable[[BaseException], bool] = is_worth_retrying

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InvalidInputError(
                f"retry: attempts must be an integer of 1 or more, not {_shown(self.attempts)}; 1 means no retry."
            )
        for name in ("first_wait", "longest_wait", "jitter", "longest_retry_after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InvalidInputError(f"retry: {name} must be a number of seconds, 0 or more, not {_shown(value)}.")
        if not callable(self.worth_retrying):
            raise InvalidInputError("retry: worth_retrying must be a function that takes an error and returns a bool.")

    def is_worth(self, error: Exception) -> bool:
        """Return whether an attempt that failed with this error is retried: always after a misfit that is to be.

        Never if an answer is not stored and nothing may be sent: it will not be there the next time.
        """
        if isinstance(error, RequestNotStoredError):
            return False
        return isinstance(error, OutputMisfitError) or self.worth_retrying(error)

    @staticmethod
    def of(value: Retry | int | None) -> Retry:
        """Return a `Retry`: the given one, one of so many attempts, or the default.

        Raises:
            InvalidInputError: the value is something else.

        >>> Retry.of(5).attempts, Retry.of(None).attempts
        (5, 3)
        """
        if isinstance(value, Retry):
            return value
        return Retry() if value is None else Retry(attempts=value)


async def until_settled(
    retry: Retry,
    attempt: Callable[[], Awaitable[T]],
    *,
    before_wait: Callable[[Exception, float], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]],
    outlast: Callable[[Exception], Awaitable[bool]],
) -> T:
    """Repeat an attempt until it succeeds, fails with an error not worth a retry, or was the last one allowed.

    Args:
        retry: how many attempts, and how long to wait.
        attempt: makes one attempt.
        before_wait: awaited with the error and the seconds of the wait, before each wait; not after the last attempt.
        sleep: waits for so many seconds.
        outlast: awaited with each error; if it returns True, the failed attempt does not count, and another follows at
            once.

    Raises:
        Exception: the error of the last attempt, unchanged; or an error of a callback.
    """
    try:
        return await attempt()
    except Exception as error:
        if not retry.is_worth(error):
            raise
        first = error
    return await _retried(retry, first, attempt, before_wait, sleep, outlast)


async def _retried(
    retry: Retry,
    first: Exception,
    attempt: Callable[[], Awaitable[T]],
    before_wait: Callable[[Exception, float], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]],
    outlast: Callable[[Exception], Awaitable[bool]],
) -> T:
    """Go on after a first failure."""
    import tenacity  # `preload` has imported it: those who merely read a store do not pay for it

    backoff = tenacity.wait_exponential(multiplier=retry.first_wait, max=retry.longest_wait)
    by_chance = tenacity.wait_random(0, retry.jitter)
    failures = [first]

    def wait(state: RetryCallState) -> float:
        asked = retry_after(_failure(state), utc_now()) or 0.0
        return max(backoff(state), min(asked, retry.longest_retry_after)) + by_chance(state)

    async def before_sleep(state: RetryCallState) -> None:
        await before_wait(_failure(state), state.upcoming_sleep)

    async def next_attempt() -> T:
        """Make attempts until one counts."""
        while True:
            if failures:
                error = failures.pop()  # made before tenacity began to count
            else:
                try:
                    return await attempt()
                except Exception as raised:  # noqa: BLE001 (any code)
                    error = raised
            if not await outlast(error):
                raise error

    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        stop=tenacity.stop_after_attempt(retry.attempts),
        wait=wait,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and retry.is_worth(error)),
        before_sleep=before_sleep,
        reraise=True,
    )
    return await retrying(next_attempt)


def _failure(state: RetryCallState) -> Exception:
    assert state.outcome is not None, "waits come after attempts"
    error = state.outcome.exception()
    assert isinstance(error, Exception), "and only after those that failed"
    return error


def _worth_by_name(kind: type) -> bool | None:
    """Return what the name of a class says, or that of its nearest base class whose name says something."""
    for one in kind.__mro__:
        if one.__module__ == "builtins":
            break
        if _HOPELESS_NAME.search(one.__name__):
            return False
        if _PASSING_NAME.search(one.__name__):
            return True
    return None


def _shown(value: object) -> str:
    return str(value) if type(value) in (int, float, bool) else shorten(value)
