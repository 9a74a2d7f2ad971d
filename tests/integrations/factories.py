"""What users of Starfish write, called in an environment that has it: see `framework_server.py`."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

_factory: Any = importlib.import_module("starfish.data_factory.factory")
data_factory: Callable[..., Callable[[Callable[..., Any]], Any]] = _factory.data_factory
resume_from_checkpoint: Callable[..., Any] = _factory.resume_from_checkpoint
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
        "rows": sorted(map(str, describe.run(data=data, count=2))),
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

    rows = describe.run(city=CITIES)
    return [len(rows), type(describe.factory.factory_storage).__name__, os.path.exists("own")]


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
        nested,
        stops_early,
    )
}


def same(store: str | None, case: str, **how: Any) -> Any:
    use(store, **how)
    return SAME[case]()


def memory(store: str | None) -> Any:
    use(store)
    return in_memory() if store else error_of(in_memory)


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


def run_with_hooks(store: str | None, wrong: bool, **how: Any) -> Any:
    """Run what can be resumed in another process: what it refers to is pickled with it."""
    use(store, **how)

    def judge(rows: Rows, state: Any) -> str:
        state.set("judged", (state.get("judged") or 0) + 1)
        return "filtered" if rows[0]["n"] == 3 else "completed"

    def note(error: str, state: Any) -> None:
        state.set("failed", error)

    @data_factory(
        max_concurrency=1,
        show_progress=False,
        dead_queue_threshold=1,
        job_run_stop_threshold=100,
        on_record_complete=[judge],
        on_record_error=[note],
        initial_state_values={"judged": 0},
    )
    async def number(n: int, place: str) -> Rows:
        if n == 4 and os.path.exists(place):
            raise ValueError("four is refused")
        return [{"n": n, "start_time": "at noon", "record_uid": n, "status": "mine", "error_message": None}]

    if wrong:
        with open("wrong", "w"):
            pass
    done = number.run(data=[{"n": n} for n in range(6)], place=os.path.abspath("wrong"))
    return {"run": run_of(number), "done": sorted(done, key=str), "state": number.state.to_dict()}


def resume_elsewhere(store: str, run: str, **how: Any) -> Any:
    """Resume a run whose answers were refused, now that they are not."""
    if os.path.exists("wrong"):
        os.unlink("wrong")
    return resume(store, run, resuming={"max_concurrency": 3}, **how)


def what_cannot_be_resumed(store: str) -> Any:
    use(store)
    key = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL"

    @data_factory(show_progress=False)
    async def with_key(n: int) -> Rows:
        return [{"n": n, "length": len(key)}]

    @data_factory(show_progress=False)
    async def with_itself(n: int) -> Rows:
        return [{"n": n, "run": run_of(with_itself)}]

    found: dict[str, Any] = {"unknown": error_of(resume_from_checkpoint, "123")}
    for factory in (with_key, with_itself):
        assert len(factory.run(n=[1, 2])) == len(factory.resume()) == 2
        found[factory.factory.func.__name__] = error_of(resume_from_checkpoint, run_of(factory))
    return found


def attributes() -> dict[str, Any]:
    """Return all attributes of the framework's modules and classes, and what is registered."""
    modules = [importlib.import_module("starfish")]
    modules += [module for name, module in list(sys.modules.items()) if name.startswith("starfish.")]
    owners = modules + [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    owners += [one for owner in owners for one in vars(owner).values() if isinstance(one, type)]
    found = {(repr(owner), name): value for owner in owners for name, value in vars(owner).items()}
    registry = importlib.import_module("starfish.data_factory.storage.base").storage_registry
    return {str(key): id(value) for key, value in found.items()} | {"registry": dict(registry._registry)}


def many_and_away(store: str) -> Any:
    """Run many inputs through our storage, and then some through its own again."""
    before = attributes()
    use(store)
    assert attributes() != before

    @data_factory(max_concurrency=50, show_progress=False)
    async def number(n: int) -> Rows:
        return [{"n": n}]

    done = number.run(data=[{"n": n} for n in range(1000)])
    importlib.import_module("starfish_storage.integrations.starfish").uninstall()
    left = {name for name, value in attributes().items() if before.get(name) != value}
    use(None)
    own = number.run(data=[{"n": n} for n in range(3)])
    return {
        "done": sorted(row["n"] for row in done),
        "own": len(own),
        "own lies": os.path.exists("own/metadata.db"),
        "left": sorted(left),
    }


def report_a_run() -> None:
    """Run what Starfish reports to its makers, unless it is told not to."""
    telemetry = importlib.import_module("starfish.telemetry.posthog_client")
    telemetry.analytics.settings.active = True  # pyright: ignore[reportAttributeAccessIssue]
    importlib.import_module("posthog").sync_mode = True  # pyright: ignore[reportAttributeAccessIssue]
    importlib.import_module("posthog").max_retries = 0  # pyright: ignore[reportAttributeAccessIssue]
    run_squares(None, 1, "charges")
