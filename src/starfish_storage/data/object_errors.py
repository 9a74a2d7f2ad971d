"""The one place that turns obstore's errors into ours.

Its texts are long, quote answers of servers and print structures; at worst they hold signed addresses. So none of them
is passed on, nor kept as a cause: what matters is said in our own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
# Who has no credentials is sent by obstore to ask the machine's own service for some.
_CREDENTIAL_SERVICES = re.compile(r"//169\.254\.\d+\.\d+|//metadata\.google\.internal|//metadata/")
_CERTIFICATE = re.compile(r"invalid peer certificate|InvalidCertificate|UnknownIssuer|InvalidContentType")
_PASSING_STATUSES = frozenset({408, 409, 425, 429})
_SERVER_ERRORS = range(500, 600)
_BEHIND_THE_END = 416
_NOT_IMPLEMENTED = 501
_REFUSALS = frozenset({401, 403})


class Kind(Enum):
    """What an error means for whoever made the request."""

    MISSING = auto()
    """There is no such object."""
    NO_BUCKET = auto()
    """There is no such bucket."""
    REFUSED = auto()
    """The credentials do not do."""
    NO_RANGES = auto()
    """The store gives objects whole only."""
    PASSING = auto()
    """The store is not reached, or not able, now: the same request may succeed later."""
    LASTING = auto()
    """The same request would fail again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request failed.

    Attributes:
        kind: what it means.
        reason: the same in words, without anything of the server's own text but its error code.
    """

    kind: Kind
    reason: str


def trouble_of(error: BaseException) -> Trouble:
    """Return why a request failed, from what obstore raised."""
    text = str(error)
    found = _STATUS.search(text)
    status = int(found[1]) if found else None
    if _CREDENTIAL_SERVICES.search(text) and status not in _SERVER_ERRORS:
        return Trouble(Kind.REFUSED, "no credentials were found; set those of its kind, such as AWS_ACCESS_KEY_ID")
    named = _CODE.search(text)
    if named and named[1] == "NoSuchBucket":
        return Trouble(Kind.NO_BUCKET, "there is no such bucket")
    if isinstance(error, FileNotFoundError) or status == _BEHIND_THE_END or "StartTooLarge" in text:
        return Trouble(Kind.MISSING, "there is no such object, or it ends before")
    if status is None:
        return _trouble_without_answer(type(error).__name__, text)
    answer = f"it answered {status}{f' ({named[1]})' if named else ''}"
    if status in _REFUSALS:
        return Trouble(Kind.REFUSED, f"{answer}: the credentials are wrong or expired, or do not allow this")
    passing = status in _SERVER_ERRORS or status in _PASSING_STATUSES
    return Trouble(Kind.PASSING if passing else Kind.LASTING, answer)


def knows_no_conditions(error: BaseException) -> bool:
    """Return whether a server has refused a request for its condition, and not because that does not hold."""
    found = _STATUS.search(str(error))
    return type(error).__name__ == "NotSupportedError" or (found is not None and int(found[1]) == _NOT_IMPLEMENTED)


def is_panic(error: BaseException) -> bool:
    """Return whether an error is how obstore reports an invalid address: it is not an `Exception`."""
    return type(error).__name__ == "PanicException"


def _trouble_without_answer(kind: str, text: str) -> Trouble:
    if "BadScheme" in text:
        reason = "its endpoint is http:// and not https://; set AWS_ALLOW_HTTP=true if that is meant"
    elif "without LOCATION" in text:
        reason = "it answered with a redirection; the region is probably wrong (AWS_REGION)"
    elif _CERTIFICATE.search(text):
        reason = "its endpoint is not trusted; check its certificate and the address"
    elif "NotPartial" in text:
        return Trouble(Kind.NO_RANGES, "it gives objects whole only")
    elif kind == "PanicException":
        reason = "the address of its endpoint cannot be used (AWS_ENDPOINT)"
    elif "HTTP error" in text or "request or response body" in text:
        return Trouble(Kind.PASSING, "the connection failed, or took too long")
    else:
        reason = f"the request could not be made ({kind})"
    return Trouble(Kind.LASTING, reason)
