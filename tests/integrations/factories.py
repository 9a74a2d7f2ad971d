"""What users of Starfish write, called in an environment that has it: see `framework_server.py`."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Callable
from typing import Any

from starfish.data_factory.factory import (  # pyright: ignore[reportMissingImports]
    data_factory,
    resume_from_checkpoint,
)

Rows = list[dict[str, Any]]
CITIES = ["Lima", "Oslo", "Quito", "Rome", "Turin"]


def use(store: str | None, **how: Any) -> None:
    """Let Starfish store in a place of ours, or, without one, in its own way in this directory."""
    if store is None:
        starfish = importlib.import_module("starfish.data_factory.factory_")
        starfish.LOCAL_STORAGE_URI = f"file://{os.getcwd()}/own"  # pyright: ignore[reportAttributeAccessIssue]
    else:
        importlib.import_module("starfish_storage.integrations.starfish").install(store, **how)


def say(what: Any) -> None:
    os.write(int(os.environ["SAY"]), json.dumps({"said": what}).encode() + b"\n")


def error_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    try:
        return f"no error but {function(*arguments, **named)}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def run_of(factory: Any) -> str:
    return factory.factory.config.master_job_id


def indexes(factory: Any) -> dict[str, Any]:
    """Return what a factory says of its inputs, in an order that does not depend on which was first."""
    return {
        "completed": sorted(factory.get_index_completed()),
        "duplicate": sorted(factory.get_index_duplicate()),
        "filtered": sorted(factory.get_index_filtered()),
        "failed": sorted(factory.get_index_failed()),
        "dead": sorted(factory.get_index_dead_queue()),
        "dead_data": sorted(map(str, factory.get_input_data_in_dead_queue())),
        "inputs": factory.get_input_data(),
        "output": sorted(map(str, factory.get_output_completed())),
        "as_filter": sorted(factory.get_index("completed")) == sorted(factory.get_index_completed()),
        "output_duplicate": sorted(map(str, factory.get_output_duplicate())),
        "output_filtered": sorted(map(str, factory.get_output_filtered())),
        "output_failed": sorted(error["err_str"] for error in factory.get_output_failed()),
    }


# What has to come out as with Starfish's own storage.


def ways_to_say_inputs() -> Any:
    @data_factory(max_concurrency=2, show_progress=False)
    async def describe(city: str, count: int) -> Rows:
        return [{"answer": f"{city} {n}"} for n in range(count)]

    data = [{"city": city} for city in CITIES[:2]]
    return {
        "rows": describe.run(data=data, count=2),
        "lists": sorted(map(str, describe.run(city=CITIES, count=1))),
        "overridden": describe.run(data=data, city="Riga", count=1),
        "overridden by lists": sorted(map(str, describe.run(data=data, city=["Riga", "Bonn"], count=1))),
        "missing": error_of(describe.run, data=data),
        "unexpected": error_of(describe.run, data=data, count=1, wrong=1),
        "lengths": error_of(describe.run, data=data, city=CITIES, count=1),
    }


def hooks_and_indexes() -> Any:
    def judge(rows: Rows, state: Any) -> str:
        state.update({"judged": (state.get("judged") or 0) + 1})
        n = rows[0]["n"]
        return "filtered" if n == 2 else "duplicate" if n == 3 else "completed"

    def note(error: str, state: Any) -> None:
        state.update({"errors": [*(state.get("errors") or []), error]})

    @data_factory(
        max_concurrency=3,
        show_progress=False,
        job_run_stop_threshold=100,
        on_record_complete=[judge],
        on_record_error=[note],
        initial_state_values={"judged": 0},
    )
    async def number(n: int) -> Rows:
        if n == 4:
            raise ValueError("four is refused")
        return [{"n": n}, {"n": n}]

    number.run(data=[{"n": n} for n in range(6)])
    return indexes(number) | {"state": number.state.to_dict()}


def failures_and_late_answers() -> Any:
    @data_factory(max_concurrency=2, show_progress=False)
    async def fail(city: str) -> Rows:
        raise ValueError(f"no {city}")

    @data_factory(max_concurrency=2, show_progress=False, task_runner_timeout=0.01)
    async def wait(city: str) -> Rows:
        await asyncio.sleep(9)
        return []

    return {"failed": error_of(fail.run, city=CITIES), "late": error_of(wait.run, city=CITIES)}


def dry_run() -> Any:
    called = []

    @data_factory(show_progress=False)
    async def describe(city: str) -> Rows:
        called.append(city)
        return [{"answer": city}]

    return {"answers": describe.dry_run(city=CITIES), "called": called}


def again_and_again() -> Any:
    called = []

    @data_factory(max_concurrency=10, show_progress=False)
    async def describe(city: str) -> Rows:
        called.append(city)
        if city == "Rome" and called.count(city) < 4:
            raise ValueError("not yet")
        return [{"answer": city}]

    @data_factory(max_concurrency=10, show_progress=False)
    async def other(city: str) -> Rows:
        return [{"other": city}]

    found = [describe.run(city=CITIES), describe.resume(), describe.resume(max_concurrency=2)]
    found += [describe.run(city=CITIES[:2]), other.run(city=CITIES[:1])]
    return {"found": [sorted(map(str, rows)) for rows in found], "called": sorted(called), **indexes(describe)}


def in_memory() -> Any:
    @data_factory(storage="in_memory", show_progress=False)
    async def describe(city: str) -> Rows:
        return [{"answer": city}]

    return error_of(describe.run, city=CITIES)  # in 0.1.3, one of its methods is missing


def nested() -> Any:
    @data_factory(max_concurrency=2, show_progress=False)
    async def outer(city: str) -> Rows:
        @data_factory(show_progress=False)
        async def inner(word: str) -> Rows:
            return [{"word": word}]

        words = inner.run(word=[city, city.upper()])
        return [{"words": sorted(row["word"] for row in words)}]

    return sorted(map(str, outer.run(city=CITIES[:2])))


def stops_early() -> Any:
    called = []

    @data_factory(max_concurrency=1, show_progress=False, job_run_stop_threshold=2)
    async def describe(city: str) -> Rows:
        called.append(city)
        if city != "Lima":
            raise ValueError("no")
        return [{"answer": city}]

    return {"answers": describe.run(city=CITIES), "called": sorted(called), **indexes(describe)}


SAME = {
    function.__name__: function
    for function in (
        ways_to_say_inputs,
        hooks_and_indexes,
        failures_and_late_answers,
        dry_run,
        again_and_again,
        in_memory,
        nested,
        stops_early,
    )
}


def same(store: str | None, case: str, **how: Any) -> Any:
    use(store, **how)
    return SAME[case]()


# What is paid for, and what is resumed.


async def square(n: int, charges: str, seconds: float) -> Rows:
    """Answer, and note what was paid for, where no storage loses it."""
    with open(charges, "a") as file:
        file.write(f"{n}\n")
    say(n)
    await asyncio.sleep(seconds)
    return [{"n": n, "square": n * n}]


def run_squares(
    store: str | None, inputs: int, charges: str, *, concurrency: int = 10, seconds: float = 0.004, **how: Any
) -> Any:
    use(store, **how)
    factory = data_factory(max_concurrency=concurrency, show_progress=False)(square)
    done = factory.run(data=[{"n": n} for n in range(inputs)], charges=charges, seconds=seconds)
    return {"run": run_of(factory), "done": sorted(done, key=lambda row: row["n"])}


def resume(store: str | None, run: str, *, resuming: dict[str, Any] | None = None, **how: Any) -> Any:
    use(store, **how)
    return sorted(resume_from_checkpoint(run, **(resuming or {})), key=str)


def report_a_run() -> None:
    """Run what Starfish reports to its makers, unless it is told not to."""
    telemetry = importlib.import_module("starfish.telemetry.posthog_client")
    telemetry.analytics.settings.active = True  # pyright: ignore[reportAttributeAccessIssue]
    importlib.import_module("posthog").sync_mode = True  # pyright: ignore[reportAttributeAccessIssue]
    importlib.import_module("posthog").max_retries = 0  # pyright: ignore[reportAttributeAccessIssue]
    run_squares(None, 1, "charges")
