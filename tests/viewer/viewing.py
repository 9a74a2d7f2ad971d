"""A store with runs to look at, and the viewer over it as a real server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import Any

import httpx

from generation.runs import NEVER, open_store
from starfish_storage.generation import Context, Where, generate, retry
from starfish_storage.interface import Layout, Storage
from starfish_storage.viewer.application import ReviewMode, application
from starfish_storage.viewer.guard import Access
from starfish_storage.viewer.serving import ViewerServer, access_to, bound

RUN = "run-1"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that ask over HTTP alone: to read the system's certificates takes longer than a test."""
HOSTILE = (
    "<script>alert(1)</script> [click](javascript:alert(2)) ![seen](http://elsewhere.example/x.png) "
    "<img src=x onerror=alert(3)> \x1b[31mred \u202edesrever"
)
HOSTILE_FIELD = '"><script>alert(4)</script>'


async def answer(n: int, context: Context) -> dict[str, Any]:
    """Answer in one of the forms that records have; number 3 fails."""
    if n == 3:
        raise ValueError(f"no answer to {HOSTILE}")
    topic = await context.once("topic", lambda: {"topic": "numbers", "n": n})
    context.log_usage(input_tokens=10, output_tokens=5, cost=0.25, model="small-1")
    messages = [
        {"role": "user", "content": f"What is **{n}**?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "look_up", "arguments": '{"q": 1}'}}],
        },
        {"role": "tool", "name": "look_up", "content": "a number"},
        {"role": "assistant", "content": HOSTILE if n == 2 else f"It is `{n}`.\n\n```python\nprint({n})\n```"},
    ]
    return {"n": n, "topic": topic["topic"], "score": n / 10, "messages": messages, HOSTILE_FIELD: HOSTILE}


async def make(store: str, count: int = 6, run: str = RUN, layout: Layout | None = None) -> None:
    async with open_store(store, layout) as storage:
        inputs = [{"n": n} for n in range(count)]
        await generate(
            storage, answer, inputs, project="p", master_job_id=run, progress="quiet", retry=NEVER, max_concurrency=1
        )


async def make_again(store: str) -> None:
    """Run input 0 again, so that its record has a version."""
    async with open_store(store) as storage:
        jobs = await storage.list_execution_jobs(RUN)
        job_id = next(one.job_id for one in jobs if one.run_config == {"n": 0})

        async def answers_anew(n: int) -> dict[str, Any]:
            return {"n": n, "topic": "other"}

        await retry(
            storage,
            RUN,
            answers_anew,
            where=Where(job_ids=[job_id], statuses=["completed"]),
            replace="always",
            progress="quiet",
        )


@asynccontextmanager
async def viewer(
    storage: Storage, access: Access | None = None, notice: str = "", review: ReviewMode | None = None
) -> AsyncGenerator[httpx.AsyncClient]:
    """Serve the viewer on a port of its own."""
    started = asyncio.Event()
    with closing(bound("127.0.0.1", 0)) as listening:
        own = access_to(listening, "127.0.0.1")
        own = own if access is None else replace(access, port=own.port)
        app = application(storage, "the store", lambda *words: " ".join(words), own, "1", notice, review)
        server = ViewerServer(app, started.set)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await started.wait()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{own.port}", timeout=30, verify=PLAIN) as client:
                yield client
        finally:
            server.should_exit = True
            await serving
