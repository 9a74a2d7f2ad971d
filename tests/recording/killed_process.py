"""A run that says where it is and waits for a word before it goes on, in a process of its own, so as to be killed.

Usage: ``python -m recording.killed_process STORE URL WAY TURNS``. At each point it prints a line, and reads one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from types import SimpleNamespace
from typing import Any

from generation.runs import NEVER, RUN, numbers, open_store, start
from recording.asking import Client
from starfish_storage.generation import resume
from starfish_storage.generation.replies import Replies
from starfish_storage.generation.storing import Outbox

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def here(point: str) -> None:
    os.write(1, f"{point}\n".encode())
    sys.stdin.readline()


def tell_of(kind: type, name: str, before: str, after: str) -> None:
    """Stop before and after a method."""
    method = getattr(kind, name)

    async def told(*arguments: Any, **words: Any) -> Any:
        if before:
            here(before)
        result = await method(*arguments, **words)
        here(after)
        return result

    setattr(kind, name, told)


def asking(client: Client, way: str, turns: int) -> Any:
    """Return a function that asks one question after the other; each begins with all that was said before."""

    def next_prompt(said: list[str]) -> str:
        here("seen")
        return f"turn {len(said)} after {''.join(said)[-200:]}"

    async def answer(n: int) -> dict[str, Any]:
        said: list[str] = []
        while len(said) < turns:
            prompt = next_prompt(said)
            said.append("".join(await client.stream(prompt)) if way == "stream" else await client.ask(prompt))
        return {"n": n, "said": said}

    async def agent(n: int) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "user", "content": "begin"}]
        while len(messages) < 2 * turns:
            here("seen")
            body = {"model": "gpt-4o-mini", "messages": messages, "tools": [TOOL]}
            reply = (await client.http.post(client.url, json=body, headers=client.headers)).json()
            messages.append(reply["choices"][0]["message"])
            messages.append({"role": "tool", "tool_call_id": "1", "content": f"result {len(messages)}"})
        return {"n": n, "messages": messages}

    def blocking(n: int) -> dict[str, Any]:
        said: list[str] = []
        while len(said) < turns:
            said.append(client.ask_blocking(next_prompt(said)))
        return {"n": n, "said": said}

    return {"blocking": blocking, "agent": agent}.get(way, answer)


async def main(store: str, url: str, way: str, turns: str) -> None:
    tell_of(Replies, "keep", "", "kept")
    tell_of(Outbox, "finish", "finishing", "finished")
    server: Any = SimpleNamespace(url=url)
    client = Client(server, "httpx2", "blocking" if way == "blocking" else "async")
    async with open_store(store) as storage:
        if await storage.get_master_job(RUN) is None:
            run = await start(storage, asking(client, way, int(turns)), numbers(1), retry=NEVER)
        else:
            run = await resume(storage, RUN, asking(client, way, int(turns)), progress="quiet")
    os.write(1, f"{json.dumps(run.to_json())}\n".encode())
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
