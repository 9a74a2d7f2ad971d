"""A model of which so many calls a second are answered, and the others with 429, over real HTTP, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Self

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"


class LimitedServer:
    """Answers what comes within its limit; use it as a context.

    Args:
        a_second: how many calls it answers in any second.
        retry_after: what it asks others to wait, in seconds.
        seconds: how long an answer takes.

    Attributes:
        answered: how many calls it has answered.
        refused: how many it has refused.
    """

    def __init__(self, a_second: int, retry_after: int = 1, seconds: float = 0.05) -> None:
        self.answered = self.refused = 0
        self._a_second, self._seconds = a_second, seconds
        self._limited = _LIMITED % retry_after
        self._times: deque[float] = deque()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(await self._answer())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _answer(self) -> bytes:
        now = self._loop.time()
        while self._times and self._times[0] <= now - 1:
            self._times.popleft()
        if len(self._times) >= self._a_second:
            self.refused += 1
            return self._limited
        self._times.append(now)
        self.answered += 1
        await asyncio.sleep(self._seconds)
        return _OK
