"""Recording transports of both families: what an SDK's client sends passes through them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.http.exchange import Exchange, Recorder
from starfish_storage.http.incoming import Decoder, Incoming, UndecodableError
from starfish_storage.runs.exchanges import CallResponse

_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_EVENT_END = b"\n\n"
# Of these families, a connection stays busy until its answer is stored. Whenever a request comes or goes, the pools
# probe the socket of every free connection: with many answers that wait for the store, nothing else costs as much.
# Not of httpx: its pool promises one free connection to all who ask at once, and then all but one of them ask again.
_STAY_BUSY = frozenset({"httpx2"})


def recording(family: Any, transport: Any, recorder: Recorder) -> Any:
    """Return a transport of a family, httpx or httpx2, around another one.

    Raises:
        InvalidInputError: it is not a transport of that family.
    """
    is_async, is_plain = (isinstance(transport, one) for one in (family.AsyncBaseTransport, family.BaseTransport))
    if is_async and is_plain:  # such as a MockTransport
        return _class(family, _EitherTransport, family.AsyncBaseTransport, family.BaseTransport)(transport, recorder)
    if is_async:
        return _class(family, _AsyncTransport, family.AsyncBaseTransport)(transport, recorder)
    if is_plain:
        return _class(family, _Transport, family.BaseTransport)(transport, recorder)
    raise InvalidInputError(f"a transport of {family.__name__} is needed, not {type(transport).__name__}.")


_classes: dict[tuple[str, type], Any] = {}


def _class(family: Any, ours: type, *bases: type) -> Any:
    """Return our class as one of a family, which insists on its own base classes."""
    name = family.__name__, ours
    if name not in _classes:
        members = {"family": family, "stays_busy": family.__name__ in _STAY_BUSY}
        _classes[name] = type(ours.__name__, (ours, *bases), members)
    return _classes[name]


class _AsyncTransport:
    family: Any
    stays_busy: bool

    def __init__(self, inner: Any, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    async def handle_async_request(self, request: Any) -> Any:
        exchange = self._recorder.exchange(request, self.family.ByteStream)
        if exchange is None:
            return await self._inner.handle_async_request(request)
        try:
            found = await exchange.awaited(exchange.begin())
            if found is not None:
                return _stored(self.family, found, _class(self.family, _AsyncPieces, self.family.AsyncByteStream))
            response = await self._inner.handle_async_request(request)
            incoming = exchange.incoming(response.status_code, response.headers)
            if incoming is None:
                return response
            if incoming.is_stream:
                stream = _class(self.family, _AsyncStream, self.family.AsyncByteStream)
                return _passed_on(self.family, response, stream(response.stream, exchange, incoming))
            return await self._gathered_async(exchange, response, incoming)
        except BaseException as error:
            exchange.broke(error)
            raise

    async def _gathered_async(self, exchange: Exchange, response: Any, incoming: Incoming) -> Any:
        coming = aiter(response.stream)
        async for piece in coming:
            if not incoming.add(piece):
                exchange.too_large()
                rest = _class(self.family, _AsyncRest, self.family.AsyncByteStream)
                return _as_it_came(self.family, response, rest(incoming.raw, coming, response.stream))
        if not self.stays_busy:
            await response.stream.aclose()
        try:
            body = await exchange.awaited(exchange.keep(incoming))
        finally:
            if self.stays_busy:
                await response.stream.aclose()
        if body is None:
            return _as_it_came(self.family, response, self.family.ByteStream(b"".join(incoming.raw)))
        return _passed_on(self.family, response, self.family.ByteStream(body))

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Transport:
    family: Any
    stays_busy: bool

    def __init__(self, inner: Any, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def handle_request(self, request: Any) -> Any:
        exchange = self._recorder.exchange(request, self.family.ByteStream)
        if exchange is None:
            return self._inner.handle_request(request)
        try:
            found = exchange.waited_for(exchange.begin())
            if found is not None:
                return _stored(self.family, found, _class(self.family, _Pieces, self.family.SyncByteStream))
            response = self._inner.handle_request(request)
            incoming = exchange.incoming(response.status_code, response.headers)
            if incoming is None:
                return response
            if incoming.is_stream:
                stream = _class(self.family, _Stream, self.family.SyncByteStream)
                return _passed_on(self.family, response, stream(response.stream, exchange, incoming))
            return self._gathered(exchange, response, incoming)
        except BaseException as error:
            exchange.broke(error)
            raise

    def _gathered(self, exchange: Exchange, response: Any, incoming: Incoming) -> Any:
        coming = iter(response.stream)
        for piece in coming:
            if not incoming.add(piece):
                exchange.too_large()
                rest = _class(self.family, _Rest, self.family.SyncByteStream)
                return _as_it_came(self.family, response, rest(incoming.raw, coming, response.stream))
        if not self.stays_busy:
            response.stream.close()
        try:
            body = exchange.waited_for(exchange.keep(incoming))
        finally:
            if self.stays_busy:
                response.stream.close()
        if body is None:
            return _as_it_came(self.family, response, self.family.ByteStream(b"".join(incoming.raw)))
        return _passed_on(self.family, response, self.family.ByteStream(body))

    def close(self) -> None:
        self._inner.close()


class _EitherTransport(_AsyncTransport, _Transport):
    """Around a transport that clients of both kinds may have."""


class _AsyncStream:
    """A stream while it is recorded: its last event, and its end, come only once it is stored."""

    family: Any

    def __init__(self, inner: Any, exchange: Exchange, incoming: Incoming) -> None:
        self._inner = inner
        self._exchange = exchange
        self._incoming = incoming
        self._decoder = incoming.decoder()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange, decoder = self._exchange, self._decoder
        try:
            async for raw in self._inner:
                for piece in _pieces(self.family, decoder, raw):
                    if exchange.took(piece):
                        await exchange.awaited(exchange.keep_stream(self._incoming, decoder))
                    yield piece
            await exchange.awaited(exchange.keep_stream(self._incoming, decoder))
        except GeneratorExit:
            exchange.leave()
            raise
        except BaseException as error:
            exchange.broke(error)
            raise

    async def aclose(self) -> None:
        self._exchange.leave()
        await self._inner.aclose()


class _Stream:
    """The same of a client that is not asynchronous."""

    family: Any

    def __init__(self, inner: Any, exchange: Exchange, incoming: Incoming) -> None:
        self._inner = inner
        self._exchange = exchange
        self._incoming = incoming
        self._decoder = incoming.decoder()

    def __iter__(self) -> Iterator[bytes]:
        exchange, decoder = self._exchange, self._decoder
        try:
            for raw in self._inner:
                for piece in _pieces(self.family, decoder, raw):
                    if exchange.took(piece):
                        exchange.waited_for(exchange.keep_stream(self._incoming, decoder))
                    yield piece
            exchange.waited_for(exchange.keep_stream(self._incoming, decoder))
        except GeneratorExit:
            exchange.leave()
            raise
        except BaseException as error:
            exchange.broke(error)
            raise

    def close(self) -> None:
        self._exchange.leave()
        self._inner.close()


class _AsyncPieces:
    """A stored stream, event by event."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        """Nothing is open."""


class _Pieces:
    """The same of a client that is not asynchronous."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    def close(self) -> None:
        """Nothing is open."""


class _AsyncRest:
    """An answer that turned out to be too large: what has come of it, and the rest as it comes."""

    def __init__(self, begun: list[bytes], coming: AsyncIterator[bytes], inner: Any) -> None:
        self._begun = begun
        self._coming = coming
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._begun:
            yield self._begun.pop(0)
        async for piece in self._coming:
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Rest:
    """The same of a client that is not asynchronous."""

    def __init__(self, begun: list[bytes], coming: Iterator[bytes], inner: Any) -> None:
        self._begun = begun
        self._coming = coming
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        while self._begun:
            yield self._begun.pop(0)
        yield from self._coming

    def close(self) -> None:
        self._inner.close()


def _pieces(family: Any, decoder: Decoder, raw: bytes) -> Iterator[bytes]:
    try:
        yield from decoder.add(raw)
    except UndecodableError as error:
        raise family.DecodingError(str(error)) from error


def _stored(family: Any, found: CallResponse, pieces: Any) -> Any:
    """Return a stored answer as the SDK would get it from the server."""
    incoming = Incoming(found.status, {"content-type": found.media_type})
    # As bytes: what a server says need not be ASCII, and an answer that cannot be played back would be paid for again.
    headers = [(b"content-type", found.media_type.encode("utf-8", "replace"))] if found.media_type else []
    if incoming.is_stream:
        events = [event + _EVENT_END for event in found.body.split(_EVENT_END)]
        events[-1] = events[-1].removesuffix(_EVENT_END)
        return family.Response(found.status, headers=headers, stream=pieces(events))
    return family.Response(found.status, headers=headers, content=found.body)


def _passed_on(family: Any, response: Any, stream: Any) -> Any:
    """Return an answer with its decoded body, and without the headers that say how it was sent."""
    headers = [one for one in response.headers.raw if one[0].decode("latin-1").lower() not in _OF_THE_WIRE]
    return family.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)


def _as_it_came(family: Any, response: Any, stream: Any) -> Any:
    extensions = response.extensions
    return family.Response(response.status_code, headers=response.headers.raw, stream=stream, extensions=extensions)
