"""Plain requests of recording clients, as SDKs send them, and functions of a run that make them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import httpx2

from servers.paying import PayingServer
from starfish_storage import http
from starfish_storage.generation import Context

KEY = "sk-live-0123456789abcdef"
WAYS = [(family, how) for family in ("httpx2", "httpx") for how in ("async", "blocking")]


class Client:
    """A client of OpenAI, as far as these tests need one.

    Args:
        server: the model.
        family: ``httpx2`` or ``httpx``.
        how: ``async`` or ``blocking``.
        options: of the HTTP client.
    """

    def __init__(self, server: PayingServer, family: Any, how: str = "async", **options: Any) -> None:
        make = http.async_client if how == "async" else http.client
        self.http = make(family, **options)
        self.url = f"{server.url}/v1/chat/completions"
        self.headers = {"authorization": f"Bearer {KEY}"}

    async def close(self) -> None:
        if isinstance(self.http, httpx.Client | httpx2.Client):
            self.http.close()
        else:
            await self.http.aclose()

    def body(self, prompt: str, **fields: Any) -> dict[str, Any]:
        return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], **fields}

    def read(self, response: Any) -> str:
        response.raise_for_status()
        return response.json()["choices"][0]["message"]["content"]

    async def ask(self, prompt: str, **fields: Any) -> str:
        return self.read(await self.http.post(self.url, json=self.body(prompt, **fields), headers=self.headers))

    def ask_blocking(self, prompt: str, **fields: Any) -> str:
        return self.read(self.http.post(self.url, json=self.body(prompt, **fields), headers=self.headers))

    async def stream(self, prompt: str) -> list[str]:
        """Return the data of the events of a streamed answer, up to the last, where SDKs stop."""
        body, found = self.body(prompt, stream=True, stream_options={"include_usage": True}), list[str]()
        async with self.http.stream("POST", self.url, json=body, headers=self.headers) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    found.append(line[6:])
                if line == "data: [DONE]":
                    break
        return found

    def stream_blocking(self, prompt: str) -> list[str]:
        body, found = self.body(prompt, stream=True, stream_options={"include_usage": True}), list[str]()
        with self.http.stream("POST", self.url, json=body, headers=self.headers) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    found.append(line[6:])
                if line == "data: [DONE]":
                    break
        return found


Clients = Callable[..., Client]
"""Makes clients of the model, which are closed when the test is over."""


def chain(client: Client, how: str, prompts: list[str], parse: Callable[[str], Any]) -> Callable[..., Any]:
    """Return a function that asks one prompt after the other and parses the last answer."""

    async def answer(n: int) -> dict[str, Any]:
        texts = [await client.ask(f"{prompt} {n}") for prompt in prompts]
        return {"n": n, "texts": texts, "parsed": parse(texts[-1])}

    def answer_blocking(n: int, context: Context) -> dict[str, Any]:
        texts = [client.ask_blocking(f"{prompt} {n}") for prompt in prompts]
        return {"n": n, "texts": texts, "parsed": parse(texts[-1])}

    return answer if how == "async" else answer_blocking


def parsed(text: str) -> Any:
    return json.loads(text)["answer"]
