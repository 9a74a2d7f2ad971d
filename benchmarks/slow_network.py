"""A network that takes its time: forwards connections, every byte after the same delay, however many come."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from benchmarks.turns import serve

_PIECE = 1 << 16


class _Network:
    """Connections to one address, each way taking half of a round trip."""

    def __init__(self, host: str, port: int, round_trip: float) -> None:
        self._target = (host, port)
        self._seconds = round_trip / 2

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a connection until one side ends it."""
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        ways = [(reader, far_writer), (far_reader, writer)]
        await asyncio.gather(*(self._forward(source, sink) for source, sink in ways))

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(due - loop.time())
                if not piece:
                    sink.close()
                    return
                sink.write(piece)

        delivering = asyncio.create_task(deliver())
        piece = b"-"
        while piece:
            try:
                piece = await source.read(_PIECE)
            except ConnectionError:
                piece = b""
            pieces.put_nowait((loop.time() + self._seconds, piece))
        with contextlib.suppress(ConnectionError):
            await delivering


def start(host: str, port: int, round_trip: float) -> int:
    """Begin to forward to an address, a round trip taking so many seconds; return the port to connect to."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    network = _Network(host, port, round_trip)
    serving = asyncio.run_coroutine_threadsafe(asyncio.start_server(network.handle, "127.0.0.1", 0), loop)
    return int(serving.result(10).sockets[0].getsockname()[1])


if __name__ == "__main__":
    serve({"start": start})
