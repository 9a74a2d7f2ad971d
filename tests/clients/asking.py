"""Calls of a model with the clients that people use, as functions of a run.

Nothing but the client that is asked for is imported: LiteLLM alone takes seconds. The clients do not try again by
themselves, as the run does.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starfish_storage.generation import Context

WAYS = ("openai-chat", "openai-responses", "anthropic-messages", "anthropic-stream")


def asked(client: Any, way: str, question: str) -> Any:
    """Call a model; returns what the client returns, to be awaited if the client is an asynchronous one."""
    messages = [{"role": "user", "content": question}]
    if way == "openai-chat":
        return client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    if way == "openai-responses":
        return client.responses.create(model="gpt-4o-mini", input=question)
    assert way == "anthropic-messages", way
    return client.messages.create(model="claude-haiku-4-5", max_tokens=100, messages=messages)


async def streamed(client: Any, way: str, question: str) -> Any:
    """Call a model and read its answer as it comes; return the whole answer."""
    messages = [{"role": "user", "content": question}]
    assert way == "anthropic-stream", way
    async with client.messages.stream(model="claude-haiku-4-5", max_tokens=100, messages=messages) as stream:
        return await stream.get_final_message()


@asynccontextmanager
async def asking(
    url: str, way: str, *, blocking: bool = False, once: bool = False
) -> AsyncIterator[Callable[..., Any]]:
    """A function of a run that asks a model, says what that used, and returns what the client returned.

    Args:
        url: of the model.
        way: one of `WAYS`.
        blocking: with the synchronous client, in a plain function.
        once: as a paid step.
    """
    library: Any = importlib.import_module(way.partition("-")[0])
    name = {"openai": "OpenAI", "anthropic": "Anthropic"}[library.__name__]
    base = f"{url}/v1" if library.__name__ == "openai" else url
    options = {"base_url": base, "api_key": "sk-test", "max_retries": 0}
    async with AsyncExitStack() as stack:
        if blocking:
            client = stack.enter_context(getattr(library, name)(**options))
            yield _plain(client, way, once=once)
        else:
            client = await stack.enter_async_context(getattr(library, f"Async{name}")(**options))
            yield _async(client, way, once=once)


def _plain(client: Any, way: str, *, once: bool) -> Callable[..., Any]:
    def answer(question: str, context: Context) -> Any:
        def ask() -> Any:
            reply = asked(client, way, question)
            context.log_usage(reply.usage)
            return reply

        return context.once_blocking("ask", ask) if once else ask()

    return answer


def _async(client: Any, way: str, *, once: bool) -> Callable[..., Any]:
    async def answer(question: str, context: Context) -> Any:
        async def ask() -> Any:
            reply = await (streamed if way.endswith("stream") else asked)(client, way, question)
            context.log_usage(reply.usage)
            return reply

        return await (context.once("ask", ask) if once else ask())

    return answer
