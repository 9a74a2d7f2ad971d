"""``/events``: tells a page what has changed in its run, or in the store, as server-sent events.

A browser opens six connections to one server at most, over all its tabs. So the fifth stream of a client is answered at
once and ends, and its browser asks again by itself: a page that polls shows the same as one that listens.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from starfish_storage.codec import json_text
from starfish_storage.interface import Storage
from starfish_storage.viewer.changes import Changes, Sight, Watch

HEARTBEAT = 15.0
"""Seconds after which a stream that has nothing to tell says so, to keep proxies from closing it."""
MOST_STREAMS = 4
"""Streams of one client; more of them would keep its browser from loading pages."""
_TYPE = "text/event-stream"
_AGAIN = 3000  # milliseconds after which a browser whose stream has ended asks again


def events_of(storage: Storage) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that streams the changes of the run that ``run`` names; of the store without it."""
    changes = Changes(storage)
    streams: Counter[str] = Counter()

    async def events(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type=_TYPE)
        client = request.client.host if request.client else ""
        seen = request.headers.get("last-event-id")
        ending: asyncio.Event = request.state.ending

        async def stream() -> AsyncGenerator[str]:
            stays = streams[client] < MOST_STREAMS
            streams[client] += stays
            try:
                with changes.watching(request.query_params.get("run") or None) as watch:
                    async for event in told(watch, seen, ending, stays=stays):
                        yield event
            finally:
                streams[client] -= stays
                if not streams[client]:
                    del streams[client]

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(), media_type=_TYPE, headers=headers)

    return events


async def told(watch: Watch, seen: str | None, ending: asyncio.Event, *, stays: bool) -> AsyncGenerator[str]:
    """Yield what a page is told, until the viewer ends.

    Args:
        watch: of its run.
        seen: the mark of what the page knows.
        ending: set when the viewer ends.
        stays: whether the page is to hear of changes too, and not only how it is now.
    """
    yield f"retry: {_AGAIN}\n\n"
    last: Sight | None = None
    end = asyncio.create_task(ending.wait())
    change: asyncio.Task[Sight] | None = None
    try:
        while not ending.is_set():
            change = change or asyncio.create_task(watch.changed(seen if stays else None))
            await asyncio.wait((change, end), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if not change.done():
                yield ": nothing new\n\n"
                continue
            sight, change = change.result(), None
            if sight.mark != seen:
                yield _events(sight, last)
            last, seen = sight, sight.mark
            if not stays:
                return
    finally:
        end.cancel()
        if change is not None:
            change.cancel()


def _events(sight: Sight, last: Sight | None) -> str:
    """Return what is told about a sight: ``problem``, or ``records`` if they have changed, and ``progress``."""
    if sight.problem is not None:
        return _event(sight.mark, "problem", {"text": sight.problem})
    records = ""
    if last is None or last.records != sight.records:
        records = _event(sight.mark, "records", dict(sight.records))
    return records + _event(sight.mark, "progress", {"over": sight.is_over})


def _event(mark: str, name: str, data: dict[str, object]) -> str:
    return f"id: {mark}\nevent: {name}\ndata: {json_text(data)}\n\n"
