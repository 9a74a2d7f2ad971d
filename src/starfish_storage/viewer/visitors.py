"""Who writes through the viewer: the session and the name of a browser, and the token that its forms carry.

Any site can make a browser send a form to this machine, with the browser's cookies. It cannot read a page of the
viewer, so it does not know the token that stands in the forms of that page.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.requests import HTTPConnection
from starlette.responses import Response

from starfish_storage.errors import InvalidInputError
from starfish_storage.viewer.guard import Access

AUTHOR_COOKIE = "starfish_storage_author"
"""Keeps the name of a reviewer, for viewers on every port."""
LONGEST_NAME = 100

_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who sends a request to a viewer that may write.

    Attributes:
        session: names the browser, until it is closed.
        author: the name that annotations get; None if it was not given yet.
        csrf: what each form must carry.
        is_new: the browser does not know its session yet.
    """

    session: str
    author: str | None
    csrf: str
    is_new: bool = False

    def has_sent(self, token: str) -> bool:
        """Return whether a form with this token stood on a page of this session and author."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.csrf.encode())


class Reviewers:
    """Knows the sessions of browsers without keeping any: a token is a signature of the session and its author.

    The key is one of this process, so forms of an earlier viewer are refused: nobody knows any more which were sent.

    Args:
        access: of the viewer.
        author: the name of reviewers who have given none.
    """

    def __init__(self, access: Access, author: str | None) -> None:
        self._cookie = f"{access.cookie}_session"
        self._author = author
        self._key = secrets.token_bytes(32)

    def of(self, request: HTTPConnection) -> Reviewer:
        """Return who sends a request."""
        known = request.cookies.get(self._cookie)
        session = known or secrets.token_urlsafe()
        author = _kept(request.cookies.get(AUTHOR_COOKIE, "")) or self._author
        signed = hmac.digest(self._key, f"{session}\n{author or ''}".encode(), "sha256").hex()
        return Reviewer(session, author, signed, known is None)

    def greet(self, reviewer: Reviewer, response: Response) -> None:
        """Tell a browser its session, if it does not know it."""
        if reviewer.is_new:
            response.set_cookie(self._cookie, reviewer.session, path="/", httponly=True, samesite="strict")


def remember_author(response: Response, author: str) -> None:
    """Let a browser keep the name of its reviewer."""
    response.set_cookie(AUTHOR_COOKIE, quote(author), _YEAR, path="/", httponly=True, samesite="strict")


def author_of(name: str) -> str:
    """Return the name of a reviewer as it is kept.

    Raises:
        InvalidInputError: it is empty, too long, or cannot be read.

    >>> author_of("  Ada   Lovelace ")
    'Ada Lovelace'
    """
    author = " ".join(name.split())
    if not author or len(author) > LONGEST_NAME or not author.isprintable():
        raise InvalidInputError(f"the name of a reviewer must have 1 to {LONGEST_NAME} letters that can be printed.")
    return author


def _kept(cookie: str) -> str | None:
    """Return the name in a cookie; None if it has none, or one that the viewer has not put there."""
    try:
        return author_of(unquote(cookie, errors="strict"))
    except (InvalidInputError, UnicodeDecodeError):
        return None
