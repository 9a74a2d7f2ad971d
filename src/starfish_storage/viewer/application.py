"""The viewer as an ASGI application: which page answers which address, and what is shown where one cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from starfish_storage.errors import (
    InvalidInputError,
    NotFoundError,
    RecordChangedError,
    StorageBusyError,
    StorageError,
    StorageIOError,
    StorageUnavailableError,
    StoreReadOnlyError,
)
from starfish_storage.interface import Storage
from starfish_storage.viewer.events import events_of
from starfish_storage.viewer.forms import LARGE, SMALL, SentForms, read_form
from starfish_storage.viewer.guard import Access, Guard
from starfish_storage.viewer.pages.sheet import Command, Sheet
from starfish_storage.viewer.visitors import Reviewers

STATIC = Path(__file__).parent / "static"

_Page = Callable[[Sheet, QueryParams], Awaitable[Response]]


def _page(module: str, function: str) -> _Page:
    """Return a page that imports its module when it is asked for: the first page needs a fraction of them all."""

    async def page(sheet: Sheet, asked: QueryParams) -> Response:
        made: _Page = getattr(import_module(f"starfish_storage.viewer.pages.{module}"), function)
        return await made(sheet, asked)

    return page


_PAGES: dict[str, _Page] = {
    "/": _page("store", "store_page"),
    "/store/size": _page("store", "store_size"),
    "/run": _page("run", "run_page"),
    "/run/progress": _page("run", "run_progress"),
    "/run/timeline": _page("run", "run_timeline"),
    "/records": _page("records", "records_page"),
    "/records/download": _page("download", "records_download"),
    "/record": _page("record", "record_page"),
    "/record/data": _page("record", "record_data"),
    "/search": _page("search", "search_page"),
    "/search/index": _page("search", "search_index"),
    "/keys": _page("keys", "keys_page"),
    "/compare": _page("compare", "compare_page"),
    "/review": _page("review", "review_page"),
    "/review/author": _page("review", "author_page"),
    "/review/edit": _page("review", "edit_page"),
    "/retry": _page("retry", "retry_page"),
}
_FORMS: dict[str, tuple[_Page, int]] = {
    "/review": (_page("review", "save_review"), SMALL),
    "/review/author": (_page("review", "save_author"), SMALL),
    "/review/edit": (_page("review", "save_edit"), LARGE),
    "/review/undo": (_page("review", "undo_review"), SMALL),
    "/retry": (_page("retry", "reset_shown"), SMALL),
}
"""What is done with a form that is sent to an address, and how many bytes it may have."""
_STATUSES: dict[type[StorageError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    InvalidInputError: HTTPStatus.BAD_REQUEST,
    StorageBusyError: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageIOError: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreReadOnlyError: HTTPStatus.FORBIDDEN,
    RecordChangedError: HTTPStatus.CONFLICT,
}
_TITLES = {
    HTTPStatus.NOT_FOUND: "It is not there",
    HTTPStatus.BAD_REQUEST: "This address makes no sense",
    HTTPStatus.SERVICE_UNAVAILABLE: "The store cannot be read now",
    HTTPStatus.CONFLICT: "The record was changed meanwhile",
    HTTPStatus.FORBIDDEN: "Nothing was stored",
    HTTPStatus.INTERNAL_SERVER_ERROR: "This cannot be shown",
}


@dataclass(frozen=True, slots=True)
class ReviewMode:
    """Makes a viewer one that writes reviews.

    Attributes:
        author: the name of reviewers who have given none.
    """

    author: str | None = None


def application(
    storage: Storage,
    name: str,
    command: Command,
    access: Access,
    version: str,
    notice: str = "",
    review: ReviewMode | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        storage: an open storage; the viewer only reads, but for reviews.
        name: what the store is called.
        command: returns a command line about the store, of the words of a command.
        access: who may see it.
        version: of the library.
        notice: what the first page says about the store.
        review: lets people judge records, and write that to the store; None: show only.
    """
    sheet = Sheet(storage, name, command, version, notice)
    reviewers = None if review is None else Reviewers(access, review.author)
    routes = [Route(path, _endpoint(page, sheet, reviewers)) for path, page in _PAGES.items()]
    if reviewers is not None:
        sent = SentForms()
        routes += [
            Route(path, _form_endpoint(act, most, sheet, reviewers, sent), methods=["POST"])
            for path, (act, most) in _FORMS.items()
        ]
    events = Route("/events", events_of(storage))
    static = Mount(f"/static/{version}", _Kept(directory=STATIC))
    app = Starlette(routes=[*routes, events, static])

    async def refused(request: Request, error: Exception) -> Response:
        return await _problem(sheet if reviewers is None else sheet.seen_by(reviewers.of(request)), request, error)

    for kind in (StorageError, HTTPException, Exception):
        app.add_exception_handler(kind, refused)
    return Guard(app, access, writes=reviewers is not None)


def _endpoint(page: _Page, sheet: Sheet, reviewers: Reviewers | None) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if reviewers is None:
            return await page(sheet, request.query_params)
        reviewer = reviewers.of(request)
        response = await page(sheet.seen_by(reviewer), request.query_params)
        reviewers.greet(reviewer, response)
        return response

    return answer


def _form_endpoint(
    act: _Page, most: int, sheet: Sheet, reviewers: Reviewers, sent: SentForms
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        reviewer = reviewers.of(request)
        form = await read_form(request, reviewer, most)
        return await sent.once(reviewer, form, lambda: act(sheet.seen_by(reviewer), form))

    return answer


async def _problem(sheet: Sheet, request: Request, error: Exception) -> Response:
    """Return a page that says what is wrong; the part of one, for a request that fills a part."""
    if isinstance(error, StorageError):
        status = next((code for kind, code in _STATUSES.items() if isinstance(error, kind)), None)
        status, text = status or HTTPStatus.INTERNAL_SERVER_ERROR, str(error)
    elif isinstance(error, HTTPException):
        status, text = HTTPStatus(error.status_code), error.detail
        if status == HTTPStatus.NOT_FOUND:
            text = "There is no such page. The first page lists all runs."
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            text = "This page takes no forms, or is none that can be loaded."
    else:
        status, text = HTTPStatus.INTERNAL_SERVER_ERROR, "The viewer failed; its terminal shows where."
    if request.method == "POST" and status == HTTPStatus.SERVICE_UNAVAILABLE:
        text += " Nothing of what you sent was stored: go back, and send it again."
    is_part = request.headers.get("hx-request") == "true"
    template = "problem_part.html" if is_part else "problem.html"
    url = request.url
    is_read_again = status == HTTPStatus.SERVICE_UNAVAILABLE and request.method != "POST"
    again = f"{url.path}?{url.query}".removesuffix("?") if is_read_again else None
    is_sent = request.method == "POST" and status == HTTPStatus.BAD_REQUEST
    title = "This cannot be stored" if is_sent else _TITLES.get(status, status.phrase)
    return await sheet.page(template, status.value, title=title, text=text, address=url.path, again=again)


class _Kept(StaticFiles):
    """Files that never change under one address, so that browsers may keep them."""

    def file_response(self, *args: object, **options: object) -> Response:
        response = super().file_response(*args, **options)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
