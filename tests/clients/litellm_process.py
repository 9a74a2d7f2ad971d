"""Runs that call a model by LiteLLM, in a process of their own: it takes seconds to import, and asks for much else.

Usage: ``python -m clients.litellm_process STORE FILE KIND...``. The run ``async`` calls the function of the file, the
run ``blocking`` one that is not asynchronous and keeps the answer as a step; with a question for each kind of fault.
Prints how each ended, as JSON. The environment says where the model is.

Usage: ``python -m clients.litellm_process STORE recorded``. The run calls LiteLLM with clients that record, fails at
its first attempt, and has all answers at its second.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from typing import Any

from clients import page
from generation.runs import AT_ONCE, open_store
from starfish_storage import generate, http
from starfish_storage.generation import Context


async def main(store: str, file: str, *kinds: str) -> None:
    if file == "recorded":
        await recorded(store)
        return
    module: Any = page.load(file)
    litellm = module.litellm
    litellm.suppress_debug_info = True

    def answer(question: str, context: Context) -> Any:
        def ask() -> Any:
            messages = [{"role": "user", "content": question}]
            reply = litellm.completion(model="openai/gpt-4o-mini", messages=messages, max_retries=0)
            context.log_usage(reply.usage, cost=litellm.completion_cost(reply))
            return reply

        return context.once_blocking("ask", ask)

    async with open_store(store) as storage:
        for name, function in (("async", module.answer), ("blocking", answer)):
            run = await generate(
                storage,
                function,
                [{"question": f"{name} {kind}?"} for kind in kinds],
                project="p",
                master_job_id=name,
                retry=AT_ONCE,
                progress="quiet",
            )
            os.write(1, f"{json.dumps(run.to_json())}\n".encode())


async def recorded(store: str) -> None:
    litellm: Any = importlib.import_module("litellm")
    handlers: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler")
    litellm.suppress_debug_info = True
    litellm.aclient_session = http.async_client("httpx")
    litellm.client_session = http.client("httpx")

    def words(prompt: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt}]
        return {"model": "openai/gpt-4o-mini", "messages": messages, "max_retries": 0}

    async def answer(n: int, context: Context) -> Any:
        reply: Any = await litellm.acompletion(**words(f"async {n}"))
        context.log_usage(reply.usage)
        await asyncio.to_thread(lambda: litellm.completion(**words(f"blocking {n}")))
        chunks: Any = await litellm.acompletion(**words(f"stream {n}"), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
        claude = words(f"anthropic {n}") | {"model": "anthropic/claude-haiku-4-5"}
        client = handlers.AsyncHTTPHandler(timeout=30)
        client.client = litellm.aclient_session
        await litellm.acompletion(**claude, client=client)
        if context.attempt == 1:
            raise ConnectionResetError("of something else")
        return {"n": n, "text": text}

    async with open_store(store) as storage:
        run = await generate(
            storage, answer, [{"n": 0}], project="p", master_job_id="m", retry=AT_ONCE, progress="quiet"
        )
        assert (run.status, run.attempts) == ("completed", 2), run


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
