"""What Starfish's own storage loses, or waits for for ever, called in an environment that has it."""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import Any

from integrations.factories import CITIES, Rows, data_factory, error_of, resume_from_checkpoint, run_of, use

AT_ONCE = {"max_concurrency": 2, "show_progress": False}
ONCE = {"dead_queue_threshold": 1, "job_run_stop_threshold": 100}


def jobs_that_would_not_end(store: str) -> Any:
    use(store)

    @data_factory(target_count=9, **AT_ONCE)
    async def more_wanted_than_there_is(city: str) -> Rows:
        return [{"city": city}]

    @data_factory(**ONCE, **AT_ONCE)
    async def cancelled_call(city: str) -> Rows:
        if city == "Oslo":
            raise asyncio.CancelledError
        return [{"city": city}]

    def broken(_error: str, _state: Any) -> None:
        raise KeyError("hook")

    @data_factory(on_record_error=[broken], **AT_ONCE)
    async def broken_hook(city: str) -> Rows:
        if city == "Oslo":
            raise ValueError("no")
        return [{"city": city}]

    @data_factory(**AT_ONCE)
    async def interrupted(city: str) -> Rows:
        if city == "Rome":
            raise KeyboardInterrupt
        return [{"city": city}]

    factories = (more_wanted_than_there_is, cancelled_call, broken_hook, interrupted)
    return {one.factory.func.__name__: {row["city"] for row in one.run(city=CITIES)} >= {"Lima"} for one in factories}


def one_factory_in_many_calls(store: str) -> Any:
    use(store)

    @data_factory(**AT_ONCE)
    async def inner(word: str) -> Rows:
        return [{"word": word}]

    @data_factory(**AT_ONCE)
    async def outer(city: str) -> Rows:
        return [{"words": sorted(row["word"] for row in inner.run(word=[city, city.upper()]))}]

    return sorted(map(str, outer.run(city=CITIES)))


def answers_that_were_paid_for(store: str) -> Any:
    use(store)

    def refuse(_rows: Any, _state: Any) -> str:
        raise RuntimeError("the hook broke")

    @data_factory(on_record_complete=[refuse], **ONCE, **AT_ONCE)
    async def refused(city: str) -> Rows:
        return [{"city": city}]

    @data_factory(**ONCE, **AT_ONCE)
    async def no_list(city: str) -> Any:
        return {"city": city}

    @data_factory(**ONCE, **AT_ONCE)
    async def odd(city: str) -> Any:
        return [{"city": city, "score": float("nan"), "tags": {"a"}}, city]

    found = {one.factory.func.__name__: error_of(one.run, city=CITIES[:1]) for one in (refused, no_list)}
    odd.run(city=CITIES[:1])
    return found | {"odd": odd.resume()}


def what_is_refused(store: str) -> Any:
    use(store)
    called = []

    @data_factory(**AT_ONCE)
    async def describe(city: Any, api_key: str = "") -> Rows:
        called.append(city)
        return [{"city": city}]

    key = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL"
    return {
        "key": error_of(describe.run, city=CITIES, api_key=key),
        "object": error_of(describe.run, city=[object()]),
        "called": called,
    }


def refuses_a_run_of_others(store: str, run: str) -> str:
    use(store)
    return error_of(resume_from_checkpoint, run)


def calls_of_a_model(store: str, url: str) -> Any:
    """Ask a model through LiteLLM, as Starfish does. The first answer is filtered, and one attempt fails after it."""
    os.environ.update(OPENAI_BASE_URL=f"{url}/v1", OPENAI_API_KEY="k")
    use(store)
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    tried: list[str] = []

    def judge(rows: Rows, _state: Any) -> str:
        tried.append(rows[0]["city"])
        return "filtered" if tried == ["Lima"] else "completed"

    @data_factory(max_concurrency=1, show_progress=False, on_record_complete=[judge])
    async def ask(city: str) -> Rows:
        messages = [{"role": "user", "content": f"about {city}"}]
        answer = await litellm.acompletion(model="openai/gpt-4o-mini", messages=messages, max_retries=0)
        if city == "Oslo" and "Oslo failed" not in tried:
            tried.append("Oslo failed")
            raise ConnectionResetError("of something else")
        return [{"city": city, "text": answer.choices[0].message.content}]

    done = ask.run(city=CITIES[:3])
    return {"run": run_of(ask), "cities": sorted(row["city"] for row in done)}


def installed_twice(store: str, another: str) -> Any:
    use(store)
    use(another, layout="packed")

    @data_factory(**AT_ONCE)
    async def describe(city: str) -> Rows:
        return [{"city": city}]

    describe.run(city=CITIES)
    registry = importlib.import_module("starfish.data_factory.storage.base")
    made = registry.create_storage({"type": "starfish_storage"})
    return [os.path.exists(store), os.path.exists(f"{another}/data/packs"), made.storage_uri]


def taken_away_within_a_run(store: str) -> Any:
    use(store)
    began: list[str] = []

    @data_factory(**AT_ONCE)
    async def describe(city: str) -> Rows:
        began.append(city)
        if len(began) == 3:
            importlib.import_module("starfish_storage.integrations.starfish").uninstall()
        return [{"city": city}]

    return {"cities": sorted(row["city"] for row in describe.run(city=CITIES)), "run": run_of(describe)}
