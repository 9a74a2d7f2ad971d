"""What is worth retrying, how long is waited, and what comes of it: with errors shaped like those of known clients."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from starfish_storage import InvalidDataError, InvalidInputError, StorageBusyError
from starfish_storage.generation.provider_errors import retry_after
from starfish_storage.generation.retrying import Retry, is_worth_retrying, until_settled

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def shaped(name: str, *bases: type, module: str = "client", **attributes: Any) -> Exception:
    """Return an error of a new class with attributes."""
    error = type(name, bases or (Exception,), {"__module__": module})("text")
    for key, value in attributes.items():
        setattr(error, key, value)
    return error


def family(*names: str) -> Exception:
    """Return an error of a class that descends from others, the last name first."""
    kind: type = Exception
    for name in reversed(names):
        kind = type(name, (kind,), {"__module__": "client"})
    return kind("text")


def quoting(text: str, **attributes: Any) -> Exception:
    """Return an error that quotes what the provider said."""
    error = shaped("RateLimitError", **attributes)
    error.args = (text,)
    return error


def raised_in(file: str) -> KeyError:
    """Return a `KeyError` that code of a file has raised."""
    try:
        exec(compile("raise KeyError('choices')", file, "exec"))
    except KeyError as error:
        return error
    raise AssertionError


class UnreadableError(Exception):
    @property
    def status_code(self) -> int:
        raise RuntimeError("the request was never sent")

    @property
    def response(self) -> Any:
        raise RuntimeError("the request was never sent")


WORTH: list[BaseException] = [
    *(shaped("APIStatusError", status_code=code) for code in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
    shaped("ClientResponseError", status=503),
    shaped("Error", http_status=500),
    shaped("TooManyRequests", code=429),
    shaped("HTTPStatusError", response=SimpleNamespace(status_code=502)),
    shaped("HttpError", response=SimpleNamespace(status=500)),
    shaped("APIError", code="rate_limit_exceeded", status_code=429, type="requests"),
    TimeoutError(),
    ConnectionResetError(),
    BrokenPipeError(),
    socket.gaierror(socket.EAI_AGAIN, "name resolution"),
    ssl.SSLError(1, "handshake"),
    OSError(errno.ENETUNREACH, "unreachable"),
    OSError(errno.EMFILE, "too many open files"),
    *(
        shaped(name)
        for name in (
            *("RateLimitError", "APIConnectionError", "APITimeoutError", "InternalServerError", "OverloadedError"),
            *("ServiceUnavailableError", "ServerTimeoutError", "DeadlineExceeded", "ResourceExhausted"),
            *("ConnectError", "ReadError", "ReadTimeout", "PoolTimeout", "ConnectTimeout", "RemoteProtocolError"),
            *("ServerDisconnectedError", "ClientPayloadError", "ClientConnectionError", "ChunkedEncodingError"),
            "ThrottlingException",
        )
    ),
    shaped("ConnectionError", OSError),  # that of `requests`
    family("MyOwnError", "APIConnectionError", "APIError"),
    ValueError("no answer found"),
    raised_in("/venv/lib/python3.11/site-packages/litellm/main.py"),
    raised_in("C:\\venv\\Lib\\site-packages\\openai\\_client.py"),
    shaped("MissingAnswer", KeyError),
    json.JSONDecodeError("bad", "{", 1),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ZeroDivisionError(),
    RuntimeError(),
    shaped("SomethingUnheardOf"),
    shaped("OddStatus", status="RESOURCE_EXHAUSTED", code=7),
    shaped("Unauthenticated", status=True),
    UnreadableError(),
    ExceptionGroup("calls", [TimeoutError(), ValueError()]),
]
NOT_WORTH: list[BaseException] = [
    *(shaped("APIStatusError", status_code=code) for code in (400, 401, 402, 403, 404, 413, 422, 501)),
    shaped("RateLimitError", status_code=403),
    shaped("ClientResponseError", status=401),
    shaped("HTTPStatusError", response=SimpleNamespace(status_code=404)),
    *(
        shaped(name)
        for name in (
            *("AuthenticationError", "PermissionDenied", "PermissionDeniedError", "BadRequestError", "NotFoundError"),
            *("InsufficientQuotaError", "InvalidRequestError", "UnprocessableEntityError", "Unauthorized", "Forbidden"),
            *("ContextWindowExceededError", "UnsupportedProtocol", "InvalidURL", "ModelNotFound"),
        )
    ),
    family("Nameless", "BadRequestError", "RateLimitError"),
    shaped("RateLimitError", status_code=429, code="insufficient_quota"),
    shaped("RateLimitError", status_code=429, type="insufficient_quota"),
    shaped("InsufficientQuota", status_code=429),
    shaped("RateLimitError", status_code=429, code="429", body={"code": "insufficient_quota"}),  # LiteLLM's, of OpenAI
    quoting('AnthropicException - {"error": {"type": "insufficient_quota"}}', status_code=429),  # LiteLLM's
    KeyError("answer"),
    raised_in("/home/me/pipeline.py"),
    raised_in("/usr/lib/python3.11/os.py"),
    raised_in("/venv/lib/python3.11/site-packages/pandas/core/frame.py"),
    TypeError(),
    AttributeError(),
    NameError(),
    UnboundLocalError(),
    ImportError(),
    ModuleNotFoundError(),
    NotImplementedError(),
    SyntaxError(),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    FileNotFoundError(errno.ENOENT, "none"),
    PermissionError(errno.EACCES, "denied"),
    OSError(errno.ENOSPC, "full"),
    ssl.SSLCertVerificationError(1, "bad certificate"),
    InvalidDataError("data", "$", "not JSON"),
    StorageBusyError("busy"),
    KeyboardInterrupt(),
    SystemExit(),
    asyncio.CancelledError(),
    GeneratorExit(),
    ExceptionGroup("calls", [TimeoutError(), TypeError()]),
    BaseExceptionGroup("calls", [TimeoutError(), KeyboardInterrupt()]),
]


def described(error: BaseException) -> str:
    return f"{type(error).__name__}-{vars(error)}"


@pytest.mark.parametrize("error", WORTH, ids=described)
def test_worth_retrying(error: BaseException) -> None:
    assert is_worth_retrying(error)


@pytest.mark.parametrize("error", NOT_WORTH, ids=described)
def test_not_worth_retrying(error: BaseException) -> None:
    assert not is_worth_retrying(error)


def with_headers(**headers: Any) -> Exception:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return shaped("RateLimitError", response=SimpleNamespace(headers=named))


def urllib_headers() -> Message:
    headers = Message()
    headers["Retry-After"] = "7"
    return headers


AFTER: list[tuple[BaseException, float | None]] = [
    (shaped("E"), None),
    (shaped("E", retry_after=3), 3.0),
    (shaped("E", retry_after=2.5), 2.5),
    (shaped("E", retry_after="4"), 4.0),
    (shaped("E", retry_after=timedelta(minutes=1)), 60.0),
    (shaped("E", retry_after=-5), 0.0),
    (shaped("E", retry_after=True), None),
    (shaped("E", retry_after=float("inf")), None),
    (shaped("E", retry_after=float("nan")), None),
    (with_headers(Retry_After="20"), 20.0),
    (with_headers(retry_after="1.5"), 1.5),
    (with_headers(RETRY_AFTER=" 8 "), 8.0),
    (with_headers(retry_after_ms="1500", retry_after="9"), 1.5),
    (with_headers(retry_after_ms="soon", retry_after="9"), 9.0),
    (with_headers(Retry_After="Sat, 31 Jan 2026 12:01:30 GMT"), 90.0),
    (with_headers(Retry_After="Sat, 31 Jan 2026 12:01:30 -0000"), 90.0),
    (with_headers(Retry_After="Sat, 31 Jan 2026 13:01:30 +0100"), 90.0),
    (with_headers(Retry_After="Sat, 31 Jan 2026 11:00:00 GMT"), 0.0),
    (with_headers(Retry_After="-3"), 0.0),
    (with_headers(Retry_After="tomorrow"), None),
    (with_headers(Retry_After=""), None),
    (with_headers(Retry_After=None), None),
    (with_headers(Retry_After="1e999"), None),
    (with_headers(Retry_After="Sat, 31 Jan 99999 12:00:00 GMT"), None),
    (shaped("HTTPError", headers=urllib_headers()), 7.0),
    (shaped("E", headers=[("Retry-After", "6")]), 6.0),
    (shaped("E", headers={"retry-after": "1"}, response=SimpleNamespace(headers={"Retry-After": "2"})), 2.0),
    (shaped("E", headers=5), None),
    (shaped("E", litellm_response_headers={"Retry-After": "5"}, response=SimpleNamespace(headers={})), 5.0),
    (shaped("E", headers={"retry-after": "1"}, response=SimpleNamespace(headers=[1, 2])), 1.0),
    (UnreadableError(), None),
    (ExceptionGroup("calls", [shaped("E", retry_after=3), shaped("E", retry_after=9), ValueError()]), 9.0),
    (ExceptionGroup("calls", [ValueError()]), None),
]


@pytest.mark.parametrize("number", range(len(AFTER)))
def test_what_the_provider_asks_for(number: int) -> None:
    error, seconds = AFTER[number]
    assert retry_after(error, NOW) == seconds


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_attempts_are_whole_numbers_from_1(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="attempts must be an integer of 1 or more"):
        Retry(attempts=value)


@pytest.mark.parametrize("name", ["first_wait", "longest_wait", "jitter", "longest_retry_after"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True])
def test_waits_are_seconds(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} must be a number of seconds"):
        Retry(**{name: value})


def test_retry_of() -> None:
    retry = Retry(attempts=9)
    assert Retry.of(retry) is retry
    assert Retry.of(1) == Retry(attempts=1)
    assert Retry.of(None) == Retry() == Retry(3, 1.0, 60.0, 1.0, 600.0, is_worth_retrying)
    for value in ("3", True, 0, 2.0):
        with pytest.raises(InvalidInputError):
            Retry.of(value)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="worth_retrying must be a function"):
        Retry(worth_retrying=None)  # pyright: ignore[reportArgumentType]


class Trial:
    """What is attempted: each result in turn, errors raised; and a note of everything."""

    def __init__(self, *results: Any) -> None:
        self.results: Iterator[Any] = iter(results)
        self.attempts = 0
        self.noted: list[tuple[BaseException, float]] = []
        self.slept: list[float] = []

    async def attempt(self) -> Any:
        self.attempts += 1
        result = next(self.results)
        if isinstance(result, BaseException):
            raise result
        return result

    async def note(self, error: Exception, seconds: float) -> None:
        assert len(self.noted) == len(self.slept), "each wait is announced before it begins"
        self.noted.append((error, seconds))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def outlast(self, error: Exception) -> bool:
        return False  # no limit of a provider

    async def settle(self, retry: Retry) -> Any:
        return await until_settled(retry, self.attempt, before_wait=self.note, sleep=self.sleep, outlast=self.outlast)


async def test_a_success_is_returned_at_once() -> None:
    trial = Trial("answer")
    assert await trial.settle(Retry()) == "answer"
    assert (trial.attempts, trial.noted, trial.slept) == (1, [], [])


async def test_tried_again_with_growing_waits() -> None:
    errors = [ValueError(number) for number in range(6)]
    trial = Trial(*errors, "answer")
    assert await trial.settle(Retry(attempts=7, first_wait=2, longest_wait=20, jitter=0)) == "answer"
    assert trial.slept == [2, 4, 8, 16, 20, 20]
    assert trial.noted == list(zip(errors, trial.slept, strict=True))
    assert trial.attempts == 7


async def test_the_last_error_is_raised_as_it_is_when_it_was_tried_often_enough() -> None:
    errors = [ValueError(number) for number in range(3)]
    trial = Trial(*errors)
    with pytest.raises(ValueError) as caught:
        await trial.settle(Retry(jitter=0))
    assert caught.value is errors[2]
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert [error for error, _ in trial.noted] == errors[:2]
    assert (trial.attempts, trial.slept) == (3, [1, 2])


async def test_one_attempt_is_not_to_retry() -> None:
    trial = Trial(ValueError())
    with pytest.raises(ValueError):
        await trial.settle(Retry(attempts=1))
    assert (trial.attempts, trial.noted) == (1, [])


@pytest.mark.parametrize("before", [0, 1])
async def test_what_is_not_worth_it_ends_it(before: int) -> None:
    trial = Trial(*[ValueError()] * before, TypeError(), "never")
    with pytest.raises(TypeError):
        await trial.settle(Retry(attempts=5, jitter=0))
    assert (trial.attempts, len(trial.noted)) == (before + 1, before)


async def test_what_is_worth_it_can_be_told() -> None:
    trial = Trial(TypeError(), ValueError())
    with pytest.raises(ValueError):
        await trial.settle(Retry(jitter=0, worth_retrying=lambda error: isinstance(error, TypeError)))
    assert trial.attempts == 2


async def test_the_provider_is_waited_for_but_not_for_ever() -> None:
    asked = [shaped("RateLimitError", retry_after=seconds) for seconds in (30, 0.5, 86400)]
    trial = Trial(*asked, "answer")
    await trial.settle(Retry(attempts=4, jitter=0, longest_wait=5, longest_retry_after=100))
    assert trial.slept == [30, 2, 100]


async def test_jitter_is_added_to_all_waits() -> None:
    trial = Trial(ValueError(), shaped("E", retry_after=10), *[ValueError()] * 50, "answer")
    await trial.settle(Retry(attempts=60, first_wait=1, longest_wait=4, jitter=1))
    least = [1, 10, *[4] * 50]
    assert all(low <= waited <= low + 1 for low, waited in zip(least, trial.slept, strict=True))
    assert len(set(trial.slept)) > 40


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
async def test_what_is_no_failure_passes_through(before: int, kind: type[BaseException]) -> None:
    stop = kind()
    trial = Trial(*[ValueError()] * before, stop)
    with pytest.raises(kind) as caught:
        await trial.settle(Retry(jitter=0, worth_retrying=lambda error: True))
    assert caught.value is stop
    assert (trial.attempts, len(trial.noted)) == (before + 1, before)


async def test_cancelled_while_waiting() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    trial = Trial(ValueError())
    task = asyncio.ensure_future(
        until_settled(Retry(), trial.attempt, before_wait=trial.note, sleep=sleep, outlast=trial.outlast),
    )
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (trial.attempts, len(trial.noted)) == (1, 1)


async def test_an_attempt_that_cannot_be_noted_ends_it() -> None:
    async def note(error: Exception, seconds: float) -> None:
        raise StorageBusyError("busy")

    trial = Trial(ValueError(), "never")
    with pytest.raises(StorageBusyError):
        await until_settled(Retry(), trial.attempt, before_wait=note, sleep=trial.sleep, outlast=trial.outlast)
    assert (trial.attempts, trial.slept) == (1, [])
