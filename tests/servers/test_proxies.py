"""The proxies fail as told, with a server behind them that answers what it is asked."""

from __future__ import annotations

import asyncio
import http.client
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from servers.processes import HOST
from servers.proxies import FaultyHttp, TcpProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while piece := self.request.recv(1 << 16):
                self.request.sendall(piece)
        except OSError:
            pass  # the proxy has cut it


class Quoting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str] = []  # noqa: RUF012 - one list for all connections is what is wanted

    def do_PUT(self) -> None:
        self.asked.append(self.path)
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = self.chunks() if chunked else self.rfile.read(int(self.headers["Content-Length"]))
        content = b"|".join([self.path.encode(), self.headers["Host"].encode(), body])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))

    def chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def tcp() -> Iterator[TcpProxy]:
    with socketserver.ThreadingTCPServer((HOST, 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        with TcpProxy(HOST, server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


@pytest.fixture
def web() -> Iterator[FaultyHttp]:
    Quoting.asked.clear()
    with ThreadingHTTPServer((HOST, 0), Quoting) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        with FaultyHttp(f"http://{HOST}:{server.server_address[1]}") as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout=10)


def echoed(connection: socket.socket, sent: bytes) -> bytes:
    connection.sendall(sent)
    received = b""
    while len(received) < len(sent):
        received += connection.recv(1 << 16)
    return received


def test_bytes_pass_both_ways_and_connections_are_counted(tcp: TcpProxy) -> None:
    sent = bytes(range(256)) * 4000
    with connect(tcp) as one, connect(tcp) as other:
        threading.Thread(target=lambda: one.sendall(sent)).start()
        received = b""
        while len(received) < len(sent):
            received += one.recv(1 << 16)
        assert received == sent
        assert echoed(other, b"x") == b"x"
        assert tcp.connections == tcp.open == 2


def test_an_end_of_one_side_reaches_the_other(tcp: TcpProxy) -> None:
    with connect(tcp) as connection:
        assert echoed(connection, b"last") == b"last"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_cutting_resets_every_connection_and_lets_new_ones_in(tcp: TcpProxy) -> None:
    with connect(tcp) as connection:
        assert echoed(connection, b"1") == b"1"
        tcp.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert tcp.open == 0
    with connect(tcp) as connection:
        assert echoed(connection, b"2") == b"2"


def test_refusing_keeps_the_connections_there_are(tcp: TcpProxy) -> None:
    with connect(tcp) as connection:
        assert echoed(connection, b"1") == b"1"
        tcp.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(tcp)
        assert echoed(connection, b"2") == b"2"
        tcp.allow()
        with connect(tcp) as other:
            assert echoed(other, b"3") == b"3"


def test_stalled_bytes_come_when_they_flow_again(tcp: TcpProxy) -> None:
    with connect(tcp) as connection:
        assert echoed(connection, b"1") == b"1"
        tcp.stall()
        connection.sendall(b"2")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        tcp.flow()
        connection.settimeout(10)
        assert connection.recv(1) == b"2"


def test_a_target_that_is_not_there_ends_the_connection() -> None:
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        with TcpProxy(HOST, reserved.getsockname()[1]) as proxy, connect(proxy) as connection:
            assert connection.recv(1) == b""


async def test_proxies_are_used_from_a_loop_as_well(tcp: TcpProxy) -> None:
    reader, writer = await asyncio.open_connection(HOST, tcp.port)
    writer.write(b"1")
    assert await reader.readexactly(1) == b"1"
    tcp.cut()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


@pytest.fixture
def client(web: FaultyHttp) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(HOST, web.port, timeout=10)
    yield connection
    connection.close()


def put(client: http.client.HTTPConnection, path: str, body: bytes = b"body", **headers: str) -> tuple[int, bytes]:
    client.request("PUT", path, body, headers=headers)
    answer = client.getresponse()
    return answer.status, answer.read()


def test_requests_pass_unchanged_over_one_connection(web: FaultyHttp, client: http.client.HTTPConnection) -> None:
    for path in ("/a%2Fb?list-type=2&x=%20", "/second"):
        status, content = put(client, path, b"\0body", Host="name.example")
        assert (status, content) == (200, f"{path}|name.example|".encode() + b"\0body")
        assert web.requests[-1] == ("PUT", path)


def test_chunked_bodies_pass(client: http.client.HTTPConnection) -> None:
    for pieces in ([b"one", b"two"], []):
        client.request("PUT", "/chunked", iter(pieces), headers={"Host": "h"}, encode_chunked=True)
        assert client.getresponse().read() == b"/chunked|h|" + b"".join(pieces)


def test_a_status_is_answered_as_often_as_told(web: FaultyHttp, client: http.client.HTTPConnection) -> None:
    web.answer(500, times=2, only=lambda _, path: path == "/bad")
    assert put(client, "/good")[0] == 200
    assert [put(client, "/bad")[0] for _ in range(3)] == [500, 500, 200]
    web.answer(503)
    status, content = put(client, "/good")
    assert (status, b"<Code>SlowDown</Code>" in content) == (503, True)
    web.pass_on()
    assert put(client, "/good")[0] == 200
    assert Quoting.asked == ["/good", "/bad", "/good"]


def test_a_delayed_request_is_answered_later(web: FaultyHttp, client: http.client.HTTPConnection) -> None:
    web.delay(0.2, times=1)
    began = time.monotonic()
    assert put(client, "/late")[0] == 200
    assert time.monotonic() - began >= 0.2


def test_passing_on_ends_a_delay(web: FaultyHttp, client: http.client.HTTPConnection) -> None:
    web.delay(600)
    client.request("PUT", "/late", b"")
    web.pass_on()
    assert client.getresponse().status == 200


@pytest.mark.parametrize("forwarded", [False, True])
def test_a_dropped_request_has_no_answer_whether_it_was_done_or_not(
    web: FaultyHttp, client: http.client.HTTPConnection, forwarded: bool
) -> None:
    web.drop(times=1, forwarded=forwarded)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        put(client, "/dropped")
    assert Quoting.asked == ["/dropped"] * forwarded
    client.close()
    assert put(client, "/next")[0] == 200
