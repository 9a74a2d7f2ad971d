"""Clients of httpx2 and httpx that record, for the ``http_client`` of an SDK."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal, get_args

from starfish_storage.errors import InvalidInputError, MissingExtraError, shorten
from starfish_storage.http.exchange import Recorder
from starfish_storage.http.thread_context import follow_threads
from starfish_storage.http.transports import recording
from starfish_storage.usage.pricing import Prices, Pricing

Flavour = Literal["httpx2", "httpx"]

_MOST_CONNECTIONS, _MOST_IDLE = 1000, 100  # as the SDKs of OpenAI and Anthropic have it


def async_client(
    flavour: Flavour | None = None,
    *,
    keep_requests: bool = True,
    prices: Prices | None = None,
    **client_options: Any,
) -> Any:
    """Return an asynchronous client that records, for ``AsyncOpenAI(http_client=...)`` and its like.

    Within a run, each answer with a 2xx status to a ``POST`` is stored before the SDK gets it; the same request of the
    same input gets the stored answer, by the rule for replies of paid steps, and is not paid for again. Outside of a
    run, it is a client as any other.

    Args:
        flavour: ``"httpx2"``, which ``openai`` from 3.0 and ``anthropic`` from 1.0 take, or ``"httpx"``, which others
            take. By default httpx2 if it is installed, else httpx.
        keep_requests: whether the requests are stored with their answers. Without them, ``explain`` cannot say how a
            request differs from those before.
        prices: prices of one's own, which are asked first: per million tokens of input and of output by model, such as
            ``{"my-model": {"input": 0.15, "output": 0.6}}``, or a function of a call's `Usage` that returns its price,
            or None if it does not know it.
        client_options: what ``AsyncClient`` of that family takes, such as ``timeout``, ``proxy`` or ``transport``.

    Returns:
        An ``AsyncClient`` of that family.

    Raises:
        InvalidInputError: the flavour or the prices cannot be used, or ``transport`` is of the other family.
        MissingExtraError: the family, or what knows the prices, is not installed.
    """
    return _client("AsyncClient", flavour, Recorder(_pricing(prices), keep_requests), client_options)


def client(
    flavour: Flavour | None = None,
    *,
    keep_requests: bool = True,
    prices: Prices | None = None,
    **client_options: Any,
) -> Any:
    """Return a client that records, for ``OpenAI(http_client=...)`` and its like: as `async_client`, but a ``Client``.

    A run calls it in a plain function, which runs in a thread: an ``async def`` would block the event loop by it, and
    is refused.

    Raises:
        InvalidInputError: as `async_client`.
        MissingExtraError: as `async_client`.
    """
    return _client("Client", flavour, Recorder(_pricing(prices), keep_requests), client_options)


def wrap(transport: Any, *, keep_requests: bool = True, prices: Prices | None = None) -> Any:
    """Return a transport that records what another one carries, for a client of one's own.

    Args:
        transport: of httpx2 or httpx, asynchronous or not.
        keep_requests: as for `async_client`.
        prices: as for `async_client`.

    Raises:
        InvalidInputError: it is not a transport of either, or the prices cannot be used.
        MissingExtraError: what knows the prices is not installed.
    """
    for kind in type(transport).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in get_args(Flavour):
            follow_threads()
            return recording(importlib.import_module(name), transport, Recorder(_pricing(prices), keep_requests))
    raise InvalidInputError(
        f"http.wrap needs a transport of httpx2 or httpx, such as httpx2.AsyncHTTPTransport(), not an object of type "
        f"{type(transport).__name__}; for an SDK without either, use context.once."
    )


def _client(kind: str, flavour: Flavour | None, recorder: Recorder, options: dict[str, Any]) -> Any:
    family = _family(flavour)
    given = options.get("transport")
    if given is not None:
        recording(family, given, recorder)  # refuses one of the other family before a client is made of it
    options.setdefault("follow_redirects", True)
    limits = family.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_IDLE)
    options.setdefault("limits", limits)
    return _recording(family, getattr(family, kind)(**options), recorder)


def record(client: Any) -> Any:
    """Let a client of httpx2 or httpx record that another program has made, and return it.

    Raises:
        InvalidInputError: it is not a client of either.
        MissingExtraError: what knows the prices is not installed.
    """
    for kind in type(client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in get_args(Flavour):
            return _recording(importlib.import_module(name), client, Recorder(_pricing(None), keep_requests=True))
    raise InvalidInputError(f"a client of httpx2 or httpx is needed, not an object of type {type(client).__name__}.")


def _recording(family: Any, client: Any, recorder: Recorder) -> Any:
    # As OpenTelemetry's instrumentation does. A transport that is given instead would take the place of those that
    # the client makes of its options and of the environment: proxies, certificates, HTTP/2.
    client._transport = recording(family, client._transport, recorder)  # noqa: SLF001
    client._mounts = {  # noqa: SLF001
        pattern: None if mounted is None else recording(family, mounted, recorder)
        for pattern, mounted in client._mounts.items()  # noqa: SLF001
    }
    follow_threads()
    return client


def _family(flavour: str | None) -> Any:
    names: tuple[str, ...] = get_args(Flavour)
    installed = (name for name in names if importlib.util.find_spec(name) is not None)
    name = next(installed, names[0]) if flavour is None else flavour
    if name not in names:
        raise InvalidInputError(f"flavour must be 'httpx2' or 'httpx', not {shorten(flavour)}.")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("recording clients", name, "http") from error


def _pricing(prices: Prices | None) -> Pricing:
    try:
        return Pricing(prices)
    except ImportError as error:
        raise MissingExtraError("recording clients", "genai_prices", "http") from error
