"""Networks that fail when told to: a proxy of connections, and one of HTTP requests."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from servers.processes import HOST, free_port

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds, so that closing sends RST and not FIN
PIECE = 1 << 16
CALL_SECONDS = 10.0


class TcpProxy:
    """Forwards connections to a target, in a thread of its own; as a context it is closed at the end."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self.connections = 0  # as many as were ever accepted
        self.forwarded = 0  # bytes, in both directions
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pause = 0.0  # after each piece
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._thread.start()
        self.allow()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._handlers)

    def cut(self) -> None:
        """Close all connections at once, as a router does that forgot them: both ends get RST."""
        self._call(self._cut())

    def refuse(self) -> None:
        """Refuse further connections; those there are stay."""
        self._call(self._refuse())

    def allow(self) -> None:
        """Accept connections again."""
        self._call(self._allow())

    def stall(self) -> None:
        """Forward nothing any more, without closing anything; connections are still accepted."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        """Forward again, first what has been held back."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def slow_down(self, bytes_a_second: float) -> None:
        """Forward so much at most, in each direction of each connection."""
        self._pause = PIECE / bytes_a_second

    def close(self) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        self._loop.close()

    def _call(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(CALL_SECONDS)

    async def _allow(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()  # wait_closed() would wait for the connections as well
            self._server = None

    async def _cut(self) -> None:
        handlers = list(self._handlers)
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine function: the stream's own task of it would report being cancelled.
        self.connections += 1
        handler = asyncio.ensure_future(self._handle(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far_writer = None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer))
                pumps.create_task(self._pump(far_reader, writer))
        except* OSError:
            pass  # one side is not there or broke off: so does the other
        finally:
            self._drop(writer)
            if far_writer is not None:
                self._drop(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            await self._flowing.wait()
            writer.write(piece)
            await writer.drain()
            self.forwarded += len(piece)
            if self._pause:
                await asyncio.sleep(self._pause * len(piece) / PIECE)
        await self._flowing.wait()
        if writer.can_write_eof():
            writer.write_eof()

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()


Selection = Callable[[str, str], bool]


@dataclass
class Fault:
    """What happens to the next `left` requests that `only` selects; None: to all of them."""

    left: int | None
    only: Selection | None
    status: int | None = None
    seconds: float = 0.0
    forwarded: bool = True
    answered: bool = True
    over: threading.Event = field(default_factory=threading.Event)


class FaultyHttp:
    """Forwards HTTP requests to a target such as `http://127.0.0.1:9000`, but for the faults that it is told to make.

    Method, path and headers pass unchanged, the Host header too, so that signatures stay valid. Several faults may be
    set; the first that selects a request is the one that it meets.
    """

    def __init__(self, target: str) -> None:
        split = urlsplit(target)
        assert split.hostname is not None
        assert split.port is not None
        self.target = (split.hostname, split.port)
        self.port = free_port()
        self.endpoint = f"http://{HOST}:{self.port}"
        self.requests: list[tuple[str, str]] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._server = Listener((HOST, self.port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="faulty-http", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, status: int, times: int | None = None, only: Selection | None = None) -> None:
        """Answer the next `times` requests that `only(method, path)` selects with this status and an S3 error."""
        self._add(Fault(times, only, status=status, forwarded=False))

    def delay(self, seconds: float, times: int | None = None, only: Selection | None = None) -> None:
        """Hold requests back for so long, or until `pass_on()`, and then forward them."""
        self._add(Fault(times, only, seconds=seconds))

    def drop(self, times: int | None = None, only: Selection | None = None, *, forwarded: bool = False) -> None:
        """Close the connection without an answer; `forwarded`: after the target has carried the request out."""
        self._add(Fault(times, only, forwarded=forwarded, answered=False))

    def pass_on(self) -> None:
        """End all faults; what is being delayed goes on at once."""
        with self._lock:
            ended, self._faults = self._faults, []
        for fault in ended:
            fault.over.set()

    def close(self) -> None:
        self.pass_on()
        self._server.shutdown()
        self._thread.join(CALL_SECONDS)
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it, which closes it
        self._server.server_close()

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(connection)

    def seen(self, method: str, path: str) -> Fault | None:
        """Note a request and return the fault that it meets."""
        with self._lock:
            self.requests.append((method, path))
            for fault in self._faults:
                if fault.left != 0 and (fault.only is None or fault.only(method, path)):
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)


class Listener(ThreadingHTTPServer):
    """Accepts the connections of one proxy."""

    request_queue_size = 128  # the default of 5 refuses what a pool of threads opens at once

    def __init__(self, address: tuple[str, int], proxy: FaultyHttp) -> None:
        self.proxy = proxy
        super().__init__(address, Forwarder)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients break off whenever tests make them."""


class Forwarder(BaseHTTPRequestHandler):
    """One client's connection, and the one to the target that belongs to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, Listener)
        self._proxy = self.server.proxy
        self._target = http.client.HTTPConnection(*self._proxy.target)
        self._proxy.opened(self.connection)

    def finish(self) -> None:
        self._proxy.closed(self.connection)
        self._target.close()
        with contextlib.suppress(OSError):
            super().finish()

    def parse_request(self) -> bool:
        """Make every method one that is forwarded."""
        if not super().parse_request():
            return False
        setattr(self, f"do_{self.command}", self._forward)
        return True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _forward(self) -> None:
        body = self._body()
        fault = self._proxy.seen(self.command, self.path)
        if fault is not None and fault.seconds:
            fault.over.wait(fault.seconds)
        if fault is not None and fault.status is not None:
            self._refuse(fault.status)
            return
        if fault is None or fault.forwarded:
            try:
                answer, content = self._exchange(body)
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # as if the target's own connection had broken
                return
            if fault is None or fault.answered:
                self._relay(answer, content)
                return
        self.close_connection = True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(pieces)

    def _exchange(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        self._target.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self._target.putheader(name, value)
        chunked = "Transfer-Encoding" in self.headers
        self._target.endheaders(body or None, encode_chunked=chunked)
        if chunked and not body:
            self._target.send(b"0\r\n\r\n")
        answer = self._target.getresponse()
        return answer, answer.read()

    def _relay(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        if answer.getheader("Content-Length") is None and not bodiless:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int) -> None:
        names = {403: "AccessDenied", 404: "NoSuchKey", 429: "SlowDown", 503: "SlowDown"}
        code = names.get(status, "InternalError")
        content = (
            b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>Told to</Message></Error>".encode()
        )
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
