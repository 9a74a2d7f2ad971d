"""Serving the viewer: the socket, its address, and the server."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from starfish_storage.errors import InvalidInputError
from starfish_storage.viewer.guard import Access, is_local

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDS_WITHIN = 2  # seconds; a browser may keep a connection open for as long as it likes


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens; with port 0, on one that is free.

    Raises:
        InvalidInputError: that cannot be bound to.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server((str(address[0]), port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInputError(
            f"the viewer cannot listen on {host!r}, port {port}: {reason}. Choose others with --host and --port."
        ) from error


def access_to(listening: socket.socket, host: str) -> Access:
    """Return who may see a viewer: whoever has its token, if other machines can reach it."""
    port: int = listening.getsockname()[1]
    return Access(host, port, None if is_local(host) else secrets.token_urlsafe())


def address_of(access: Access) -> str:
    """Return the URL to open.

    >>> address_of(Access("127.0.0.1", 8765)), address_of(Access("0.0.0.0", 80, "t"))[-9:]
    ('http://127.0.0.1:8765/', '/?token=t')
    """
    host = access.host
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 (somebody has chosen it)
        host = socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{access.port}/" + (f"?token={access.token}" if access.token else "")


class ViewerServer(uvicorn.Server):
    """Serves the viewer until SIGINT or SIGTERM, or until its ``should_exit`` is set.

    Args:
        app: the application.
        announce: called once requests are answered.
    """

    def __init__(self, app: ASGIApp, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,
            lifespan="off",
            log_level="warning",
            proxy_headers=False,  # nobody's word counts for where a request comes from
            server_header=False,
            timeout_graceful_shutdown=_ENDS_WITHIN,
            ws="none",
        )
        super().__init__(config)
        self._announce = announce
        self._ending = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """End the server, and leave it to the caller to close the store: uvicorn's own would end the process."""
        # Not `add_signal_handler` of the loop, which only POSIX has. The server looks every tenth of a second.
        before = {one: signal.signal(one, self.handle_exit) for one in _SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        self.lifespan.state["ending"] = self._ending  # what requests find in their state
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which would go on for as long as somebody listens, and then the server."""
        self._ending.set()
        await super().shutdown(sockets)
