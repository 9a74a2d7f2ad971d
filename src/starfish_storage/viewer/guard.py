"""Who may see the viewer: a check of each request before anything is read, and the headers of each response.

A page of any web site can send requests to this machine's ports, and a name that its owner points at 127.0.0.1 makes
the browser believe that the answers are the site's own (DNS rebinding). So the name in ``Host`` must be one of this
machine's, and a request that another site has sent is refused. Whoever is let in from other machines shows a token.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # not "no-referrer": browsers then hide the Origin of a page's own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every response: no inline script or style, nothing from elsewhere, no frame, no referrer elsewhere."""

_READS = ("GET", "HEAD")
_WRITES = ("POST",)
_TOKEN = "token"  # noqa: S105 (the name of the parameter)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may see the viewer.

    Attributes:
        host: the address or name that it was told to bind to.
        port: its port.
        token: what a browser must show; None where only this machine reaches it.
    """

    host: str
    port: int
    token: str | None = None

    @property
    def cookie(self) -> str:
        """The name of the cookie with the token. Cookies do not know ports, and several viewers may run."""
        return f"starfish_storage_view_{self.port}"

    def is_ours(self, hostname: str) -> bool:
        """Return whether a name in ``Host`` is one of this machine's, so that no site can have brought it up.

        Only names can be rebound: an address is what it says.

        >>> here = Access("127.0.0.1", 8765)
        >>> here.is_ours("localhost"), here.is_ours("127.0.0.1"), here.is_ours("attacker.example")
        (True, True, False)
        """
        address = _address(hostname)
        if is_local(self.host):
            return hostname == "localhost" or (address is not None and address.is_loopback)
        return address is not None or hostname in {"localhost", self.host.lower(), socket.gethostname().lower()}

    def accepts(self, token: str) -> bool:
        """Return whether a token is the right one."""
        return self.token is None or secrets.compare_digest(token.encode(), self.token.encode())


def is_local(host: str) -> bool:
    """Return whether only this machine reaches what is bound there.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("::1"), is_local("0.0.0.0"), is_local("example.org")
    (True, True, True, False, False)
    """
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


class Guard:
    """Refuses what may not be answered, before the application sees it, and adds `HEADERS` to every response.

    Args:
        app: the application.
        access: who may see it.
        writes: whether forms may be sent.
    """

    def __init__(self, app: ASGIApp, access: Access, *, writes: bool = False) -> None:
        self._app = app
        self._access = access
        self._methods = (*_READS, *_WRITES) if writes else _READS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # `lifespan`; there are no web sockets, which the application refuses
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")  # what is in a store stays out of the browser's
            await send(message)

        answer = self._refusal(scope) or self._signed_in(scope) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hostname = _hostname(headers.get("host", ""))
        if not self._access.is_ours(hostname):
            return PlainTextResponse("This viewer does not answer to that name: use the address it printed.\n", 421)
        writes = scope["method"] in _WRITES
        if scope["method"] not in self._methods:
            text = "This viewer only shows: start it with --review.\n" if writes else "There is no such method.\n"
            return PlainTextResponse(text, 405, {"Allow": ", ".join(self._methods)})
        origin = headers.get("origin")
        is_own = headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        is_followed = headers.get("sec-fetch-mode") == "navigate" and not writes  # a link from elsewhere may lead here
        is_foreign = writes if origin is None else origin != f"http://{headers['host']}"  # browsers say it of all forms
        if is_foreign or not (is_own or is_followed):
            return PlainTextResponse("Another site has sent this request, and it is refused.\n", 403)
        return None

    def _signed_in(self, scope: Scope) -> Response | None:
        """Return a refusal without the token, and turn one in the URL into a cookie."""
        access = self._access
        if access.token is None:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get(_TOKEN)
        if given is not None and access.accepts(given):
            rest = urlencode([(name, value) for name, value in query if name != _TOKEN])
            answer = RedirectResponse(f"{_own_path(scope)}?{rest}".removesuffix("?"), 303)
            answer.set_cookie(access.cookie, access.token, path="/", httponly=True, samesite="strict")
            return answer
        if access.accepts(HTTPConnection(scope).cookies.get(access.cookie, "")):
            return None
        return PlainTextResponse("Open the whole address that the viewer printed: it has a token.\n", 401)


def _own_path(scope: Scope) -> str:
    """Return the path of a request, for a redirect. One that begins with two slashes would name another host."""
    return "/" + scope["raw_path"].decode("latin-1").lstrip("/\\")


def _hostname(host: str) -> str:
    """Return the name or address in a ``Host`` header. Not its port: a tunnel has another."""
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
