"""A model behind a recording client, in this process, and what runs that ask it have stored."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2

from starfish_storage import http
from starfish_storage.generation import Run, Where, retry
from starfish_storage.interface import Storage

URL = "https://api.example.com/v1/chat/completions"
PRICES = {"small": {"input": 1.0, "output": 2.0}}
COST = (10 * 1.0 + 5 * 2.0) / 1e6


class Model:
    """A model behind a recording client, in this process: counts what it is paid for by question.

    Args:
        respond: answers in its place.

    Attributes:
        paid: how often each question was answered.
        answer: makes an answer of a question and the number of the payment for it.
        asked: is set when a question has come.
        held: if there is one, each answer waits for it.
    """

    def __init__(self, respond: Callable[[httpx2.Request], httpx2.Response] | None = None) -> None:
        self.paid: Counter[str] = Counter()
        self.answer: Callable[[str, int], str] = lambda question, _: f"about {question}"
        self.asked = asyncio.Event()
        self.held: asyncio.Event | None = None
        self.client = http.async_client(transport=httpx2.MockTransport(respond or self._respond), prices=PRICES)

    async def _respond(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST":
            self.paid[request.method] += 1
            return httpx2.Response(200, json={})
        question = json.loads(request.content)["messages"][-1]["content"]
        self.paid[question] += 1
        number = self.paid[question]
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        message = {"role": "assistant", "content": self.answer(question, number)}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return httpx2.Response(200, json={"model": "small", "choices": [{"message": message}], "usage": usage})

    async def ask(self, question: str, **settings: Any) -> str:
        messages = [{"role": "user", "content": question}]
        response = await self.client.post(URL, json={"model": "small", "messages": messages, **settings})
        return response.raise_for_status().json()["choices"][0]["message"]["content"]

    async def __call__(self, n: int) -> dict[str, Any]:
        return {"answer": await self.ask(f"question {n}")}


async def counted(storage: Storage, run_id: str) -> tuple[int, int, int]:
    found = await storage.ledger.count_calls(run_id)
    return found.asked, found.reused, found.replayed


async def again(storage: Storage, run_id: str, function: Any, **options: Any) -> Run:
    """Call a function once more for inputs that have ended well."""
    where = Where(statuses=["completed"])
    return await retry(storage, run_id, function, where=where, progress="quiet", **options)


async def answers(storage: Storage, run: Run) -> list[Any]:
    records = [one async for one in storage.iter_records(run.master_job_id, ["completed"])]
    found = await storage.get_records_data([one.output_ref for one in records if one.output_ref])
    return sorted(one["answer"] for one in found)


def nobody(_: httpx2.Request) -> httpx2.Response:
    raise AssertionError("something left the machine")
