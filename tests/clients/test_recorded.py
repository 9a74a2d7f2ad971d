"""Real clients that record: whatever befalls a call, each answer is paid for once, and nobody notices."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import page
from clients.asking import asked, streamed
from clients.faults import FREE, KINDS, LOST, check_texts, must_cost, questions, replies
from durability import processes
from generation.runs import AT_ONCE, NEVER, RUN, numbers, open_store, sound, start
from servers.paying import PayingServer
from starfish_storage import http
from starfish_storage.generation import Context, Where, retry
from starfish_storage.interface import Storage

TURNS = 10
TOOL = {"name": "look", "description": "Look something up.", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with open_store(tmp_path.as_uri()) as opened:
        yield opened
    sound(tmp_path.as_uri())


@asynccontextmanager
async def sdk(server: PayingServer, name: str, *, blocking: bool = False, **options: Any) -> AsyncIterator[Any]:
    """A client of a model whose HTTP client records."""
    library: Any = importlib.import_module(name.lower())
    words = {"base_url": f"{server.url}/v1" if name == "OpenAI" else server.url, "api_key": "sk-test"}
    async with AsyncExitStack() as stack:
        if blocking:
            client = getattr(library, name)(http_client=http.client(), **words, **options)
            yield stack.enter_context(client)
        else:
            client = getattr(library, f"Async{name}")(http_client=http.async_client(), **words, **options)
            yield await stack.enter_async_context(client)


@pytest.mark.parametrize(
    ("way", "blocking"),
    [
        ("openai-chat", False), ("openai-chat", True), ("openai-responses", False),
        ("anthropic-messages", False), ("anthropic-messages", True), ("anthropic-stream", False),
    ],
)  # fmt: skip
async def test_a_fault_costs_what_it_must(
    storage: Storage, paying_server: PayingServer, way: str, blocking: bool
) -> None:
    """The run tries again, not the SDK; afterwards, everything is done again from what is stored."""
    inputs = [{"question": question} for question in questions(paying_server)]
    name = {"openai": "OpenAI", "anthropic": "Anthropic"}[way.partition("-")[0]]
    async with sdk(paying_server, name, blocking=blocking, max_retries=0) as client:

        async def answer(question: str) -> Any:
            return await (streamed if way.endswith("stream") else asked)(client, way, question)

        def answer_blocking(question: str) -> Any:
            return asked(client, way, question)

        function = answer_blocking if blocking else answer
        run = await start(storage, function, inputs, retry=AT_ONCE)
        assert (run.status, run.records) == ("completed", {"completed": len(inputs)})
        # A stream that ends early but in good order is an answer to the SDK; it is kept as rejected.
        lost = LOST[:1] if way.endswith("stream") else LOST
        paid = must_cost(lost=lost)
        assert paying_server.payments == paid
        check_texts(await replies(storage, RUN), lost=lost)
        assert run.cost > 0
        again = await retry(storage, RUN, function, where=Where(statuses=["completed"]), progress="quiet")
        counts = await storage.ledger.count_calls(RUN)
    assert again.records == run.records
    extra = {"json?": 2} if way.endswith("stream") else {}
    assert paying_server.payments == paid | extra
    assert counts.asked == paying_server.payments.total()
    assert counts.replayed >= len(KINDS) - len(extra)
    assert counts.unpriced == 3  # those that do not say what they used, or not to the end
    assert sum(note.count for note in counts.notes) >= len(FREE) + 1


async def test_the_sdk_tries_again_within_one_call(storage: Storage, paying_server: PayingServer) -> None:
    for kind in ("limited", "broken", "hang_up"):
        paying_server.tell(kind, retry_after=0.01 if kind == "limited" else None)
    async with sdk(paying_server, "OpenAI", max_retries=3) as client:

        async def answer(n: int) -> Any:
            return await asked(client, "openai-chat", f"question {n}")

        run = await start(storage, answer, numbers(1), retry=NEVER)
    assert (run.records, paying_server.payments) == ({"completed": 1}, {"question 0": 1})
    (step,) = await storage.ledger.list_calls((await storage.list_execution_jobs(RUN))[0].job_id)
    assert (step.call, step.reply) == (1, 1)


@pytest.mark.parametrize("blocking", [False, True])
async def test_streams_of_openai_are_played_back(storage: Storage, paying_server: PayingServer, blocking: bool) -> None:
    async with sdk(paying_server, "OpenAI", blocking=blocking) as client:
        words: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "story"}],
            "stream": True,
        }

        async def read() -> list[str]:
            return [chunk.model_dump_json() async for chunk in await client.chat.completions.create(**words)]

        def answer_blocking(n: int, context: Context) -> Any:
            chunks = [chunk.model_dump_json() for chunk in client.chat.completions.create(**words)]
            return ended(n, context, chunks)

        async def answer(n: int, context: Context) -> Any:
            return ended(n, context, await read())

        def ended(n: int, context: Context, chunks: list[str]) -> Any:
            seen.append(chunks)
            if context.attempt == 1:
                raise ConnectionResetError
            return {"n": n}

        seen: list[list[str]] = []
        await start(storage, answer_blocking if blocking else answer, numbers(1))
    assert seen[0] == seen[1]
    assert len(seen[0]) > 2
    assert paying_server.payments == {"story": 1}


async def test_an_agent_with_tools_goes_on_where_it_was(storage: Storage, paying_server: PayingServer) -> None:
    """Each turn fails at first, so that the agent begins anew ten times; its history is there for nothing."""
    async with sdk(paying_server, "OpenAI") as client:

        async def agent(n: int, context: Context) -> dict[str, Any]:
            messages: list[Any] = [{"role": "user", "content": f"task {n}"}]
            for turn in range(TURNS):
                reply = await client.chat.completions.create(
                    model="gpt-4o-mini", messages=messages, tools=[{"type": "function", "function": TOOL}]
                )
                messages.append(reply.choices[0].message)
                messages.append({"role": "tool", "tool_call_id": f"call-{turn}", "content": f"result {turn} of {n}"})
                if turn + 1 == context.attempt:
                    raise ConnectionResetError(f"the tool of turn {turn}")
            return {"n": n, "turns": len(messages)}

        run = await start(storage, agent, numbers(1), retry=NEVER)
        while run.records != {"completed": 1}:
            run = await retry(storage, RUN, agent, progress="quiet")
    assert run.attempts == TURNS + 1
    assert paying_server.payments.total() == TURNS
    history = await storage.ledger.list_calls((await storage.list_execution_jobs(RUN))[0].job_id)
    assert [(one.call, one.reply, one.attempt) for one in history] == [(1, 1, turn + 1) for turn in range(TURNS)]


async def test_litellm_takes_such_clients_as_its_sessions(tmp_path: Path, paying_server: PayingServer) -> None:
    store = (tmp_path / "store").as_uri()
    command = ["-m", "clients.litellm_process", store, "recorded"]
    status, _, errors = processes.run(command, 60, **page.environment(paying_server.url))
    assert status == 0, errors
    assert paying_server.payments == {"async 0": 1, "blocking 0": 1, "stream 0": 1, "anthropic 0": 1}
    sound(store)
