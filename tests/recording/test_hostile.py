"""Answers that are meant to do harm, or are no answers: the rules of docs/reliability.md hold."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from generation.runs import NEVER, RUN, attempts, data, job_id, numbers, start
from recording.test_recording import replies
from starfish_storage import http
from starfish_storage.generation import Context, Where, retry
from starfish_storage.interface import Storage
from starfish_storage.runs.exchanges import LARGEST_BODY, CallResponse

SECRET = b"sk-live-fedcba9876543210"
CHUNK = b'data: {"object": "chat.completion.chunk"}\n\n'
FAILS = b'event: error\ndata: {"type": "error"}\n\n'


@dataclass
class Hostile:
    """A server that answers every request alike.

    Attributes:
        headers: of the answer.
        pieces: its body.
        status: its status.
        asked: how many requests came.
        port: where it listens.
    """

    headers: dict[str, str] = field(default_factory=dict[str, str])
    pieces: list[bytes] = field(default_factory=list[bytes])
    status: int = 200
    asked: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    answer = Hostile()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            answer.asked += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(sum(map(len, answer.pieces))))
            self.end_headers()
            for piece in answer.pieces:
                self.wfile.write(piece)
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answer.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield answer
        server.shutdown()
        serving.join()


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with http.async_client("httpx2") as made:
        yield made


async def notes(storage: Storage) -> list[str]:
    calls = (await attempts(storage))[0].calls
    return [] if calls is None else [note.kind for note in calls.notes]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"<html>an error page</html>", "text/html"),
        (b'{"usage": {"prompt_tokens": -5, "completion_tokens": "many"}, "model": ["m"]}', "application/json"),
        (b'{"model": "\\ud800\\u0000", "usage": {"prompt_tokens": 1e400, "total": NaN}}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"usage":' * 5_000 + b"1" + b"}" * 5_000, "application/json"),
        (b"\xff\x00\xfe" * 100, "audio/mpeg"),
        (b"", ""),
    ],
    ids=["page", "numbers", "surrogates", "nested list", "nested object", "sound", "nothing"],
)
async def test_whatever_comes_is_kept_and_comes_again(
    storage: Storage, hostile: Hostile, client: httpx2.AsyncClient, body: bytes, media_type: str
) -> None:
    hostile.pieces = [body]
    hostile.headers = {"Content-Type": media_type, "X-Secret": SECRET.decode(), "Set-Cookie": f"k={SECRET.decode()}"}
    seen: list[tuple[bytes, str]] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        response = await client.post(hostile.url, json={"model": "gpt-4o-mini"})
        seen.append((response.content, response.headers.get("content-type", "")))
        if context.attempt == 1:
            raise ConnectionResetError
        return {"n": n}

    run = await start(storage, answer, numbers(1))
    assert (run.records, hostile.asked) == ({"completed": 1}, 1)
    assert seen == [(body, media_type)] * 2
    (step,) = await storage.ledger.list_steps(await job_id(storage))
    assert CallResponse.of_result(step.result).body == body
    assert SECRET.decode() not in json.dumps(step.result)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_is_not_unpacked(
    storage: Storage, hostile: Hostile, client: httpx2.AsyncClient, coding: str
) -> None:
    """Twice what may be kept, in a thousandth of it; who asked reads as much of it as it likes."""
    packing = zlib.compressobj(1, wbits=31 if coding == "gzip" else 15)
    zeros = bytes(1 << 20)
    hostile.pieces = [b"".join(packing.compress(zeros) for _ in range(2 * (LARGEST_BODY >> 20))) + packing.flush()]
    hostile.headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    highest = 0

    async def answer(n: int) -> dict[str, Any]:
        nonlocal highest
        tracemalloc.start()
        async with client.stream("POST", hostile.url, json={"model": "m"}) as response:
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            async for _ in response.aiter_raw():
                pass
        return {"n": n}

    await start(storage, answer, numbers(1))
    assert await notes(storage) == ["too large"]
    assert await replies(storage) == []
    assert highest < 1.5 * LARGEST_BODY


@pytest.mark.parametrize(
    ("media_type", "megabytes"), [("application/json", 100), ("text/event-stream", 100), ("application/json", 64)]
)
async def test_100_megabytes_pass_through_with_a_note(
    storage: Storage, hostile: Hostile, client: httpx2.AsyncClient, media_type: str, megabytes: int
) -> None:
    hostile.pieces, hostile.headers = [b"data" * (1 << 18)] * megabytes, {"Content-Type": media_type}
    sizes: list[int] = []
    highest = 0

    async def answer(n: int) -> dict[str, Any]:
        nonlocal highest
        tracemalloc.start()
        async with client.stream("POST", hostile.url, json={"model": "m"}) as response:
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            sizes.append(sum([len(piece) async for piece in response.aiter_bytes()]))
        return {"n": n}

    run = await start(storage, answer, numbers(1))
    assert (run.records, sizes) == ({"completed": 1}, [megabytes << 20])
    assert highest < 1.2 * LARGEST_BODY
    assert await notes(storage) == ["too large"]
    assert await replies(storage) == []


@pytest.mark.parametrize(
    ("headers", "body", "kind", "part"),
    [
        ({"Content-Encoding": "gzip"}, gzip.compress(b"{}" * 999)[:-9], "truncated", b"{}" * 999),
        ({"Content-Encoding": "gzip"}, b"no gzip", "broken", None),
        ({"Content-Encoding": "br"}, b"anything", "encoding", None),
        ({"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b"{}")), "encoding", None),
        ({"Content-Length": "99"}, b"{}", "broken", b"{}"),
        ({"Content-Type": "text/event-stream"}, CHUNK, "truncated", CHUNK),
        ({"Content-Type": "text/event-stream"}, FAILS, "truncated", FAILS),
    ],
    ids=["half gzip", "no gzip", "brotli", "twice gzip", "too short", "half a stream", "a stream that fails"],
)
async def test_what_is_not_whole_is_kept_as_rejected(
    storage: Storage,
    hostile: Hostile,
    client: httpx2.AsyncClient,
    headers: dict[str, str],
    body: bytes,
    kind: str,
    part: bytes | None,
) -> None:
    hostile.headers, hostile.pieces = {"Content-Type": "application/json", **headers}, [body]

    async def answer(n: int) -> dict[str, Any]:
        return {"n": n, "size": len((await client.post(hostile.url, json={})).content)}

    await start(storage, answer, numbers(1), retry=NEVER)
    assert await notes(storage) == [kind]
    steps = await storage.ledger.list_calls(await job_id(storage))
    assert [(one.status, one.rejected_by) for one in steps] == [("rejected", None)] * (part is not None)
    for step in steps:
        assert str(step.reason).startswith(f"{kind}: ")
        assert CallResponse.of_result(step.result).body == part


async def test_gzip_is_played_back_as_what_it_decodes_to(
    storage: Storage, hostile: Hostile, client: httpx2.AsyncClient
) -> None:
    events = b'event: message_stop\ndata: {"type": "message_stop"}\n\n'
    hostile.pieces = [gzip.compress(events)]
    hostile.headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}

    async def answer(n: int) -> dict[str, Any]:
        return {"n": n, "text": (await client.post(hostile.url, json={})).text}

    await start(storage, answer, numbers(1))
    await retry(storage, RUN, answer, where=Where(statuses=["completed"]), progress="quiet")
    assert hostile.asked == 1
    assert [one["text"] for one in await data(storage)] == [events.decode()]
    assert await replies(storage) == [(1, 1, "kept")]
