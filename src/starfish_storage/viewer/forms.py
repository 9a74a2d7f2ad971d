"""Forms that are sent to the viewer: read within limits, shown to be the viewer's own, and done once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from starfish_storage.viewer.visitors import Reviewer

SMALL = 64 * 1024
"""Bytes of a form with a decision or a comment."""
LARGE = 16 * 1024 * 1024
"""Bytes of a form with the data of a record: three for each character that is escaped."""

_MOST_FIELDS = 1000
_REMEMBERED = 10_000  # forms
_TYPE = "application/x-www-form-urlencoded"


async def read_form(request: Request, reviewer: Reviewer, most: int) -> QueryParams:
    """Return what a form of the viewer holds.

    Args:
        request: carries it.
        reviewer: who sends it.
        most: how many bytes it may have.

    Raises:
        HTTPException: it is too large, not a form, or not one of this viewer and this reviewer.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A form must be {_TYPE}.")
    form = await asyncio.to_thread(_fields, await _body(request, most))  # a large one takes a while
    if not reviewer.has_sent(form.get("csrf", "")):
        raise HTTPException(
            HTTPStatus.FORBIDDEN,
            "Nothing was changed: this form is not one of this session. The viewer may have been started again, or "
            "your name changed, since the page was loaded. Go back, load the page again, and send the form again.",
        )
    return form


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"Nothing was changed: the form has more than {most:,} bytes. Do this in a terminal or in Python.",
            )
    return bytes(body)


def _fields(body: bytes) -> QueryParams:
    try:
        text = body.decode("ascii")
        return QueryParams(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The form cannot be read.") from error


class SentForms:
    """Knows which forms were sent: one that comes again is not done again, and gets the answer it got before."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, asyncio.Future[str]] = OrderedDict()

    async def once(self, reviewer: Reviewer, form: QueryParams, act: Callable[[], Awaitable[Response]]) -> Response:
        """Do what a form asks for, unless it was done: a double click sends it twice at a time.

        One that failed may be sent again. An answer that is no redirect is not kept: it says that nothing was done.
        """
        key = f"{reviewer.session}\n{form.get('once', '')}"
        earlier = self._answers.get(key)
        if earlier is not None:
            address = await asyncio.shield(earlier)
            return RedirectResponse(address, HTTPStatus.SEE_OTHER) if address else await self.once(reviewer, form, act)
        future = self._answers[key] = asyncio.get_running_loop().create_future()
        address = ""
        try:
            response = await act()
            address = response.headers.get("location", "")
            return response
        finally:
            future.set_result(address)
            if not address:
                self._answers.pop(key, None)
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
