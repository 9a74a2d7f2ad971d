"""Reads what a model's provider says in an error, whatever client raised it. Imports no client library."""

from __future__ import annotations

import email.utils
import math
import re
from datetime import datetime, timedelta
from typing import Any, cast

from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import as_utc

logger = get_logger(__name__)

_UNAUTHORIZED, _PAYMENT_REQUIRED, _FORBIDDEN, _TOO_MANY, _UNAVAILABLE, _OVERLOADED = 401, 402, 403, 429, 503, 529
_LIMIT_NAME = re.compile(r"RateLimit|TooManyRequests|ResourceExhausted|Throttl")
# Of clients that people write: `RuntimeError("HTTP 429: ...")`. No more is believed: an error may quote an answer.
_LIMIT_TEXT = re.compile(
    r"\b(?:http|status|code)\W{1,3}(?:code\W{1,3})?429\b|\b429\W{1,3}(?:client error\W{1,3})?too many", re.IGNORECASE
)
_LONGEST_LOOKED_AT = 1000
_REFUSED_NAME = re.compile(r"(Authentication|Unauthenticated|Unauthorized|PermissionDenied)(Error|Exception)?")
_NO_MONEY_NAME = re.compile(r"InsufficientQuota|InsufficientBalance|BudgetExceeded")
_MAY_SAY_QUOTA = frozenset({400, _FORBIDDEN, _TOO_MANY})
_OUT_OF_QUOTA = ("insufficient_quota", "credit balance is too low")  # OpenAI, and Anthropic


def retry_after(error: BaseException, now: datetime) -> float | None:
    """Return how many seconds a provider asks to wait, or None if it does not say.

    It may say so in ``error.retry_after``, or in the headers ``retry-after-ms`` and ``Retry-After`` (seconds, or a
    date) of ``error.response`` or ``error`` itself.

    Args:
        error: the provider's answer.
        now: the time, aware.
    """
    if parts := _parts(error):
        asked = (retry_after(one, now) for one in parts)
        return max((one for one in asked if one is not None), default=None)
    given = _attribute(error, "retry_after")
    seconds = given.total_seconds() if isinstance(given, timedelta) else _number(given)
    if seconds is None:
        headers = _headers(error)
        milliseconds = _number(headers.get("retry-after-ms"))
        if milliseconds is not None:
            seconds = milliseconds / 1000
        elif "retry-after" in headers:
            seconds = _number(headers["retry-after"])
            if seconds is None:
                seconds = _seconds_until(headers["retry-after"], now)
    return None if seconds is None else max(0.0, seconds)


def is_limit(error: BaseException, now: datetime) -> bool:
    """Return whether a provider asks to slow down: a rate limit, or an overload with the time to wait.

    Args:
        error: the provider's answer; of a group, one part is enough.
        now: the time, aware.
    """
    if parts := _parts(error):
        return any(is_limit(one, now) for one in parts)
    if is_out_of_quota(error):
        return False
    status = status_of(error)
    if status is None:
        return _is_named(error, _LIMIT_NAME) or _LIMIT_TEXT.search(_text(error)[:_LONGEST_LOOKED_AT]) is not None
    return status == _TOO_MANY or (status in (_UNAVAILABLE, _OVERLOADED) and retry_after(error, now) is not None)


def is_refused(error: BaseException) -> bool:
    """Return whether a provider refuses the key or the account, not the request: the next request would fare alike.

    An answer of status 403 is not among them: `is_forbidden`.
    """
    if parts := _parts(error):
        return any(is_refused(one) for one in parts)
    if is_out_of_quota(error):
        return True
    status = status_of(error)
    if status is None:
        return any(_REFUSED_NAME.fullmatch(kind.__name__) for kind in type(error).__mro__)
    return status == _UNAUTHORIZED


def is_forbidden(error: BaseException) -> bool:
    """Return whether a provider answers with 403: it refuses the key, or only what this request asks for."""
    if parts := _parts(error):
        return any(is_forbidden(one) for one in parts)
    return status_of(error) == _FORBIDDEN


def is_out_of_quota(error: BaseException) -> bool:
    """Return whether money or a quota is used up: waiting does not help, yet providers answer with status 429 or 400.

    LiteLLM replaces the code by the status, but keeps the body, or quotes it.
    """
    status = status_of(error)
    if status == _PAYMENT_REQUIRED or _is_named(error, _NO_MONEY_NAME):
        return True
    if any("insufficient_quota" in str(_attribute(error, name)) for name in ("code", "type", "body")):
        return True
    return status in _MAY_SAY_QUOTA and any(words in _text(error) for words in _OUT_OF_QUOTA)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries, or None."""
    places = [(error, name) for name in ("status_code", "status", "http_status", "code")]
    places += [(_attribute(error, "response"), name) for name in ("status_code", "status")]
    for holder, name in places:
        value = _attribute(holder, name)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:  # noqa: PLR2004 (errors)
            return int(value)
    return None


def _parts(error: BaseException) -> tuple[BaseException, ...]:
    """Return the errors of a group; of another error, none."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return ()


def _is_named(error: BaseException, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(kind.__name__) for kind in type(error).__mro__)


def _attribute(value: object, name: str) -> Any:
    """Return an attribute of somebody else's object, or None: it may not exist, and a property may raise."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 (any code)
        return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (any code)
        return ""


def _headers(error: BaseException) -> dict[str, object]:
    """Return the headers of an answer by their lower-case names; those of the response win.

    LiteLLM keeps the provider's apart from those of the response, which it makes itself.
    """
    found: dict[str, object] = {}
    places = ((error, "litellm_response_headers"), (error, "headers"), (_attribute(error, "response"), "headers"))
    for holder, name in places:
        headers = _attribute(holder, name)
        try:
            items: list[Any] = list(headers.items() if hasattr(headers, "items") else headers or ())
            found.update((str(name).lower(), value) for name, value in items)
        except Exception:  # noqa: BLE001 (any object)
            logger.debug("the headers of an error of type %s cannot be read", type(error).__name__)
    return found


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _seconds_until(value: object, now: datetime) -> float | None:
    try:
        return (as_utc(email.utils.parsedate_to_datetime(str(value))) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
