"""HTTP clients that record: what a model has answered once is stored, and not paid for again.

    client = AsyncOpenAI(http_client=http.async_client())

Outside of a run such a client does nothing of its own. Within, each answer with a 2xx status to a ``POST`` is a paid
step of the input. The modules, one after the other: `clients` makes clients of either family, httpx2 or httpx, around
`transports`; each request is an `exchange` between the SDK, the attempt and the server; `addresses` says what a request
is called without its secrets, `incoming` gathers what comes, `events` reads streams, `usage.pricing` says what it cost,
and `thread_context` follows the function into threads that it starts.
"""

from starfish_storage.http.clients import async_client, client, wrap

__all__ = ["async_client", "client", "wrap"]
