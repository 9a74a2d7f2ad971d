"""A proxy that knows PostgreSQL's protocol, and breaks a connection at a chosen request, before it or after."""

from __future__ import annotations

import asyncio
import enum
import socket
from dataclasses import dataclass, field

from servers.proxies import PIECE, RESET, TcpProxy

TLS_ASKED = 80877103  # a first message with this code is answered with one byte
END_OF_REQUEST = (b"S", b"Q")  # Sync and Query
READY = b"Z"  # ends an answer


class Moment(enum.Enum):
    """What happens to the chosen request."""

    BEFORE = "neither side hears of the other again; the server has not got it"
    AFTER = "neither side hears of the other again; the server has carried it out"
    HALF_OPEN = "the client hears that the connection is gone, the server does not, and has not got it"
    LATE = "the same, and the server gets it once the client has connected again"
    SILENT_BEFORE = "nobody hears anything; the server has not got it"
    SILENT_AFTER = "nobody hears anything; the server has carried it out"


@dataclass(eq=False)
class Link:
    """One connection: the client's end and the server's."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    far_reader: asyncio.StreamReader
    far_writer: asyncio.StreamWriter
    muted: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class PostgresWire(TcpProxy):
    """Forwards connections to PostgreSQL and counts requests: what a client sends up to where it awaits the answer."""

    def __init__(self, host: str, port: int) -> None:
        self.requests = 0  # since `arm`, of all connections together
        self.fired = False
        self._at = 0
        self._moment = Moment.BEFORE
        self._late: tuple[Link, bytes] | None = None
        super().__init__(host, port)

    def arm(self, at: int, moment: Moment) -> None:
        """Count anew, and break the connection of the request of this number (0: of none)."""

        async def arm() -> None:
            self.requests, self.fired, self._at, self._moment, self._late = 0, False, at, moment, None

        self._call(arm())

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far_writer = None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers.add(far_writer)
            link = Link(reader, writer, far_reader, far_writer)
            await self._introduce(link)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._answers(link))
                pumps.create_task(self._requests(link))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one side is not there or broke off: so does the other
        finally:
            self._drop(writer)
            if far_writer is not None:
                self._drop(far_writer)

    async def _introduce(self, link: Link) -> None:
        while True:
            length = await link.reader.readexactly(4)
            rest = await link.reader.readexactly(int.from_bytes(length, "big") - 4)
            link.far_writer.write(length + rest)
            if int.from_bytes(rest[:4], "big") != TLS_ASKED:
                return
            link.writer.write(await link.far_reader.readexactly(1))

    async def _requests(self, link: Link) -> None:
        request = b""
        while True:
            kind, message = await next_message(link.reader)
            await self._flowing.wait()
            request += message
            if kind in END_OF_REQUEST:
                self.requests += 1
                if self.requests == self._at:
                    self.fired = True
                    await self._break(link, request)
                    continue
            if kind in END_OF_REQUEST or kind in (b"p", b"X", b"H"):  # a password, the end, a flush
                link.far_writer.write(request)
                await link.far_writer.drain()
                request = b""

    async def _answers(self, link: Link) -> None:
        while True:
            kind, message = await next_message(link.far_reader)
            await self._flowing.wait()
            if kind == READY:
                link.ready.set()
                if self._late is not None and self._late[0] is not link:
                    (late, request), self._late = self._late, None
                    late.far_writer.write(request)
            if not link.muted:
                link.writer.write(message)
                await link.writer.drain()

    async def _break(self, link: Link, request: bytes) -> None:
        moment, link.muted = self._moment, True
        link.ready.clear()
        if moment in (Moment.AFTER, Moment.SILENT_AFTER):
            link.far_writer.write(request)
            await link.ready.wait()
        if moment in (Moment.BEFORE, Moment.AFTER):
            reset(link.writer)
            reset(link.far_writer)
            raise ConnectionResetError
        if moment in (Moment.HALF_OPEN, Moment.LATE):
            if moment is Moment.LATE:
                self._late = link, request
            self._writers.discard(link.writer)
            reset(link.writer)
            await asyncio.Event().wait()  # until this proxy is closed, or the server ends the connection
        while await link.reader.read(PIECE):
            pass  # until the client has ended it
        raise ConnectionResetError


async def next_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the kind of the next message, and the message."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a router does that forgot it."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
