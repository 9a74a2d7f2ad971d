"""Functions with paid steps, and what is stored for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from generation.runs import job_id
from servers.paying import PayingServer
from starfish_storage.generation import Context, Where
from starfish_storage.interface import Storage
from starfish_storage.runs import Step

BOTH = Where(statuses=["completed", "failed"])
Ask = Callable[[Context, str], Callable[[], Any]]


def asking(server: PayingServer) -> Ask:
    """Return what makes a call of the model, which reports what it cost."""

    def make(context: Context, prompt: str) -> Callable[[], Any]:
        async def call() -> str:
            reply = await server.ask_async(prompt)
            context.log_usage(cost=1)
            return reply["text"]

        return call

    return make


def chain(ask: Ask, parse: Callable[[str], Any]) -> Callable[..., Any]:
    """Return a function of three steps, the last of which is parsed."""

    async def answer(n: int, context: Context) -> dict[str, Any]:
        question = await context.once("question", ask(context, f"question {n}"))
        reply = await context.once("answer", ask(context, f"answer {n}"))
        verdict = await context.once("judge", ask(context, f"judge {n}"))
        return {"n": n, "question": question, "answer": reply, "verdict": parse(verdict)}

    return answer


def lenient(text: str) -> Any:
    return text


async def replies(storage: Storage, n: int = 0) -> list[tuple[str, int, int, str]]:
    """Return what is stored for the steps of an input, by name, call and number."""
    found = await storage.ledger.list_steps(await job_id(storage, n))
    return sorted((one.name, one.call, one.reply, one.status) for one in found)


async def steps(storage: Storage, name: str) -> list[Step]:
    return [one for one in await storage.ledger.list_steps(await job_id(storage)) if one.name == name]
