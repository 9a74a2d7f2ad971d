"""One request of a recording client, between the SDK, the attempt that makes it and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, RequestNotStoredError
from starfish_storage.generation.account import AttemptAccount, attempt_under_way, checks_send_nothing
from starfish_storage.generation.requests import Answered, Asked, RequestUnderWay
from starfish_storage.generation.steps import used_in_step
from starfish_storage.http.addresses import address_of, asked_of
from starfish_storage.http.events import LastEvent, answer_of
from starfish_storage.http.incoming import ENCODING, Decoder, Incoming, UndecodableError
from starfish_storage.redaction import redact_error
from starfish_storage.runs import Usage
from starfish_storage.runs.calls import UNPRICED
from starfish_storage.runs.exchanges import LARGEST_BODY, CallResponse
from starfish_storage.usage.pricing import Pricing

Result = TypeVar("Result")

_FORM = "application/x-www-form-urlencoded"
_OK, _NOT_OK, _ERROR = 200, 300, 400
_SENT_ELSEWHERE = frozenset({307, 308})  # at other redirects, the client goes on with a GET, which is not recorded
_FIRST = "starfish_storage.first"  # of a request's extensions, which the client takes over when it is redirected


@dataclass(frozen=True, slots=True)
class Recorder:
    """What all requests of a client share.

    Attributes:
        pricing: says what answers cost.
        keep_requests: whether requests are stored, and not only answers.
    """

    pricing: Pricing
    keep_requests: bool

    def exchange(self, request: Any, byte_stream: type) -> Exchange | None:
        """Return what records a request; None if nothing does: outside of a run, or if it cannot be recorded.

        Where nothing may be sent, what cannot be recorded is refused as a request whose answer is not stored.

        Args:
            request: of httpx or httpx2.
            byte_stream: the family's class of bodies that are held whole.

        Raises:
            RequestNotStoredError: a recheck makes it, which has no stored answers, and nothing may be sent.
        """
        account = attempt_under_way.get()
        if account is None and checks_send_nothing.get():
            raise RequestNotStoredError("", _name(request.method, str(request.url)))
        if account is None or used_in_step.get() is not None:
            return None  # `context.once` keeps its reply itself
        recorded = self._recorded(request, byte_stream, account)
        if recorded is None and account.sends_nothing:
            url = str(request.url)
            return Exchange(self, account, Asked(_name(request.method, url), "", None), url)
        return recorded

    def _recorded(self, request: Any, byte_stream: type, account: AttemptAccount) -> Exchange | None:
        if request.method != "POST":
            return None
        url, kind = str(request.url), request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            body = bytes(request.content)
        except Exception:  # noqa: BLE001 (of two families: the body has not been read)
            # After a redirect it never is, but may be there all the same.
            body = b"".join(request.stream) if isinstance(request.stream, byte_stream) else None
        if body is None or kind.startswith("multipart/") or len(body) > LARGEST_BODY:
            asked = Asked(_name("POST", url), "", None)
            account.requests.note(asked, "upload", "an upload is not recorded")
            return None
        if kind == _FORM:
            return None  # so tokens are asked for, which are secrets, and no model
        request.headers["accept-encoding"] = ENCODING
        asked, sent = request.extensions.get(_FIRST, (None, None))
        if asked is None or sent != body:
            asked = asked_of("POST", url, body, keep_request=self.keep_requests)
        return Exchange(self, account, asked, url, request.extensions, body)


@dataclass(slots=True)
class Exchange:
    """One request and its answer. One that is redirected is the first request still: the answer is stored as its own.

    The methods that wait for the store are coroutines of the run's event loop: `awaited` and `waited_for` carry them
    out from wherever the SDK runs.
    """

    recorder: Recorder
    account: AttemptAccount
    asked: Asked
    url: str
    extensions: dict[str, Any] = field(default_factory=dict[str, Any])
    sent: bytes = b""
    _call: RequestUnderWay | None = None
    _is_left: bool = False
    _last_event: LastEvent = field(default_factory=LastEvent)
    _incoming: Incoming | None = None
    _streamed: list[bytes] | None = None
    _size: int = 0

    async def begin(self) -> CallResponse | None:
        """Return the stored answer; None if the request is to be made.

        Raises:
            StorageError: as `starfish_storage.generation.requests.Requests.begin`.
            StoppedError: likewise.
        """
        found = await self.account.requests.begin(self.asked)
        if isinstance(found, CallResponse):
            return found
        if self._is_left:
            found.fail("", "")
            raise asyncio.CancelledError  # whoever waited in another thread or loop has gone
        self._call = found
        found.part = self._part
        return None

    def incoming(self, status: int, headers: Any) -> Incoming | None:
        """Return what gathers an answer; None if it is passed on as it comes."""
        lower = {str(name).lower(): str(value) for name, value in headers.items()}
        incoming = Incoming(status, lower)
        if status in _SENT_ELSEWHERE:
            self.extensions[_FIRST] = self.asked, self.sent
        if not _OK <= status < _NOT_OK:
            self.fail(str(status) if status >= _ERROR else "", f"answered with status {status}")
            return None
        if not incoming.can_be_decoded:
            self.fail("encoding", f"its encoding is not {ENCODING}")
            return None
        self._incoming = incoming
        if incoming.is_stream:
            self._streamed = []
            self._in_loop(self._begin_stream)
        return incoming

    def too_large(self) -> None:
        """Record nothing of an answer that is too large."""
        self._incoming = self._streamed = None
        self.fail("too large", f"its answer is larger than {LARGEST_BODY >> 20} MB, and is not kept")

    async def keep(self, incoming: Incoming) -> bytes | None:
        """Store a whole answer; return its body, or None if it is no such answer and is passed on as it came.

        Raises:
            StorageError: the store refuses it, or the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        try:
            body = incoming.body()
        except UndecodableError as error:
            if error.kind == "too large":
                self._incoming = None
            self.fail(error.kind, str(error))
            return None
        await self._kept(CallResponse(incoming.status, incoming.media_type, body), _value(body))
        return body

    def fail(self, kind: str, message: str, error: BaseException | None = None) -> None:
        """Note that there is no answer to use. Any thread may call this."""
        clean = redact_error(message)

        def failed() -> None:
            call, self._call, self._is_left = self._call, None, True
            if call is not None:
                call.fail(kind, clean, error)

        self._in_loop(failed)

    def broke(self, error: BaseException) -> None:
        """Note that an error, of whatever kind, came instead of an answer. Any thread may call this."""
        is_cancelled = isinstance(error, asyncio.CancelledError)
        self.fail("cancelled" if is_cancelled else "broken", f"{type(error).__name__}: {error}", error)

    # --- streams --------------------------------------------------------------------------------------------------

    def took(self, piece: bytes) -> bool:
        """Take a piece of a stream; return whether it ends the stream, which is then to be stored."""
        if self._streamed is None:
            return False
        self._size += len(piece)
        if self._size >= LARGEST_BODY:
            self.too_large()
            return False
        self._streamed.append(piece)
        return self._last_event.add(piece)

    async def keep_stream(self, incoming: Incoming, decoder: Decoder) -> None:
        """Store a stream that has come to its end, if it is whole. Done already: does nothing.

        Raises:
            StorageError: the store refuses it, or the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        if self._streamed is None or self._call is None:
            return
        body = b"".join(self._streamed)
        answer, problem = answer_of(body)
        if problem is None and not (decoder.is_whole or self._last_event.has_come):
            problem = "it ended too early"
        if problem is not None:
            self.fail("truncated", problem)
            self._streamed = None
            return
        self._streamed = None
        await self._kept(CallResponse(incoming.status, incoming.media_type, body), answer)

    def leave(self) -> None:
        """Note that nobody reads a stream any further. Any thread may call this."""

        def left() -> None:
            call, self._call = self._call, None
            if call is not None:
                call.leave()

        self._in_loop(left)

    def _begin_stream(self) -> None:
        if self._call is not None:
            self._call.stream()

    # --- parts ----------------------------------------------------------------------------------------------------

    async def _kept(self, response: CallResponse, content: object) -> None:
        call, self._call = self._call, None
        if call is not None:
            await call.keep(Answered(response, self._usage(content)))

    def _part(self) -> Answered | None:
        """Return what has come of the answer; what it does not say of its usage is no price of 0."""
        incoming = self._incoming
        if incoming is None:
            return None
        body = b"".join(list(self._streamed)) if self._streamed is not None else incoming.part()
        if not body:
            return None
        answer, problem = answer_of(body) if incoming.is_stream else ({}, "")
        used = self._usage(answer)
        if used is not None and (problem is not None or not used.output_tokens):
            used = replace(used, counts={**used.counts, UNPRICED: 1})
        return Answered(CallResponse(incoming.status, incoming.media_type, body), used)

    def _usage(self, content: object) -> Usage | None:
        return self.recorder.pricing.usage(self.url, content, self.asked.model)

    def _in_loop(self, work: Callable[[], None]) -> None:
        if self.account.loop.is_closed():
            return  # as when Python collects a stream that nobody has closed: there is no way to the store any more
        if self.account.is_in_loop:
            work()
        else:
            self.account.loop.call_soon_threadsafe(work)

    async def awaited(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Carry out a coroutine in the run's event loop, and await it in whichever loop the SDK runs."""
        if self.account.is_in_loop:
            return await work
        return await asyncio.wrap_future(self._given(work))

    def waited_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Carry out a coroutine in the run's event loop, and wait for it in another thread.

        Raises:
            InvalidInputError: this is the loop's own thread, which would wait for itself for ever.
        """
        if self.account.is_in_loop:
            work.close()
            error = InvalidInputError(
                "a client that is not asynchronous would block the event loop here, and the run with it; use "
                "http.async_client() with the asynchronous client of the SDK, or make the function a plain 'def'."
            )
            self.account.requests.replies.failure = error  # whatever the SDK makes of it, the run says why
            raise error
        return self._given(work).result()

    def _given(self, work: Coroutine[Any, Any, Result]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, self.account.loop)
        except RuntimeError:
            work.close()  # the loop is closed
            raise


def _name(method: str, url: str) -> str:
    return f"{method} {address_of(url).partition('://')[2].partition('?')[0]}"


def _value(body: bytes) -> object:
    try:
        return decode(body)
    except (ValueError, RecursionError):
        return None  # no JSON: kept as it is
