"""How often a model is paid when something goes wrong, and how often again by what mends it: exactly.

The model is a server outside, which counts. Each case is a run of one input, or of many where the run is to stop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from generation.runs import AT_ONCE, RUN, open_store, sound, start
from servers.paying import PayingServer
from starfish_storage import resume, retry
from starfish_storage.generation import Context, Run, Where
from starfish_storage.interface import Storage

Function = Callable[..., Any]
Remedy = Callable[[Storage, "Model"], Awaitable[Run]]


class Model:
    """What functions ask."""

    def __init__(self, server: PayingServer) -> None:
        self.server = server

    async def ask(self, prompt: str) -> str:
        return (await self.server.ask_async(prompt))["text"]


@dataclass(frozen=True)
class Case:
    """A fault and its remedy.

    Attributes:
        name: of both.
        function: makes the function of the run.
        first: what must have been paid for when the run has ended.
        remedy: what is done then.
        then: what must have been paid for afterwards, in all.
        records: the records afterwards.
        tell: how the model answers, in order: arguments of `PayingServer.tell`.
        options: of the run.
        inputs: how many.
        refused: how many requests the model must have refused when the run has ended.
    """

    name: str
    function: Callable[[Model], Function]
    first: dict[str, int]
    remedy: Remedy | None = None
    then: dict[str, int] | None = None
    records: dict[str, int] = field(default_factory=lambda: {"completed": 1})
    tell: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs: int = 1
    refused: int = 0


def again(function: Callable[[Model], Function], **options: Any) -> Remedy:
    """Retry with a function."""
    return lambda storage, model: retry(storage, RUN, function(model), progress="quiet", **options)


def recheck(**options: Any) -> Remedy:
    """Run other checks over what is stored."""
    return lambda storage, model: retry(storage, RUN, recheck=True, progress="quiet", **options)


def go_on(function: Callable[[Model], Function]) -> Remedy:
    """Resume, after the model works again."""

    def remedy(storage: Storage, model: Model) -> Awaitable[Run]:
        model.server.reset()
        return resume(storage, RUN, function(model), progress="quiet")

    return remedy


def calling(make: Callable[[str], Any], *, once: bool = True) -> Callable[[Model], Function]:
    """A function that makes something of the reply to one call, kept as a step or not."""

    def function_of(model: Model) -> Function:
        async def function(n: int, context: Context) -> Any:
            return make(await (context.once("call", lambda: model.ask("call")) if once else model.ask("call")))

        return function

    return function_of


def judging(parse: Callable[[str], Any] = int, **step: Any) -> Callable[[Model], Function]:
    """A function of three calls, that makes something of the reply to the last."""

    def function_of(model: Model) -> Function:
        async def function(n: int, context: Context) -> Any:
            for name in ("question", "answer"):
                await context.once(name, lambda name=name: model.ask(name))
            return {"score": parse(await context.once("judge", lambda: model.ask("judge"), **step))}

        return function

    return function_of


def many(model: Model) -> Function:
    async def function(n: int) -> Any:
        return {"text": await model.ask(f"call {n}")}

    return function


def sampling(model: Model) -> Function:
    async def function(n: int, context: Context) -> Any:
        samples = await asyncio.gather(*(context.once("sample", lambda: model.ask("sample")) for _ in range(4)))
        return [{"number": int(json.loads(text)["reply"])} for text in samples]

    return function


def with_client(text: str) -> Any:
    return {"text": text, "client": object()}


def one_good_one_bad(text: str) -> Any:
    return [{"text": text}, {"client": object()}]


def good(text: str) -> Any:
    return {"text": text}


def breaking_off(text: str) -> Any:
    yield {"text": text}
    yield {"text": f"{text} again"}
    raise ValueError("nothing more can be parsed")


def misspelt(text: str) -> Any:
    return {"text": json.loads(text)["anwser"]}


def raising(data: dict[str, Any]) -> Any:
    return data["no such field"]


SCHEMA = {"type": "object", "properties": {"text": {"type": "integer"}}}
MUMBLES = {"kind": "answer", "match": "judge", "text": "a seven, I think", "times": None}
SEVEN = {"kind": "answer", "match": "judge", "text": "7"}
ONE_EACH = {"question": 1, "answer": 1, "judge": 1}
CASES = [
    # 1: returns
    Case("a client in it", calling(with_client, once=False), {"call": 1}, again(calling(good)), {"call": 2}),
    Case("a client in it, a step", calling(with_client), {"call": 1}, again(calling(good)), {"call": 1}),
    Case(
        "one good, one bad", calling(one_good_one_bad), {"call": 1}, again(calling(good)), {"call": 1},
        {"completed": 1, "cancelled": 1},  # the later attempt has no second output
    ),
    Case(
        "breaks off", calling(breaking_off), {"call": 3}, again(calling(good)), {"call": 3},
        {"completed": 1, "cancelled": 2},
    ),
    Case("nothing", calling(lambda _: None), {"call": 1}, again(calling(good)), {"call": 1}),
    Case(
        "nothing, skipped", calling(lambda _: [], once=False), {"call": 1}, again(calling(good)), {"call": 1}, {},
        options={"on_empty": "skip"},
    ),
    # 2: checks
    *(
        Case(
            f"{name}, then rechecked", calling(good, once=False), {"call": 1},
            recheck(**mended), {"call": 1}, options=broken,
        )
        for name, broken, mended in (
            ("accept raises", {"accept": raising}, {"accept": lambda _: True}),
            ("accept says nothing", {"accept": lambda _: None}, {"accept": lambda _: 1}),
            ("unique_by raises", {"unique_by": raising}, {"unique_by": "text"}),
            ("a misfit", {"output_schema": SCHEMA}, {"output_schema": {"type": "object"}}),
        )
    ),
    Case(
        "a misfit, asked again", calling(good, once=False), {"call": 3}, None, None, {"failed": 1},
        options={"output_schema": SCHEMA, "retry_on_misfit": True},
    ),
    Case("a defect", calling(misspelt), {"call": 1}, again(calling(good)), {"call": 1}),
    Case("a defect, no step", calling(misspelt, once=False), {"call": 1}, again(calling(good)), {"call": 2}),
    # 3: steps
    Case(
        "the judge mumbles", judging(), {"question": 1, "answer": 1, "judge": 3},
        again(judging(lambda text: 7)), {"question": 1, "answer": 1, "judge": 3}, tell=(MUMBLES,),
    ),
    Case(
        "the judge mumbles twice", judging(), {"question": 1, "answer": 1, "judge": 3},
        tell=({**MUMBLES, "times": 2}, SEVEN),
    ),
    Case(
        "a check refuses", judging(check=lambda text: text == "7"), {"question": 1, "answer": 1, "judge": 3},
        tell=({**MUMBLES, "times": 2}, SEVEN),
    ),
    Case(
        "never again", judging(), ONE_EACH, again(judging(lambda text: 7)), ONE_EACH,
        tell=(MUMBLES,), options={"reask": "never"},
    ),
    Case("all again", judging(), {"question": 2, "answer": 2, "judge": 2}, tell=({**MUMBLES, "times": 1}, SEVEN),
         options={"reask": "all"}),
    Case(
        "forgotten", judging(), ONE_EACH,
        again(judging(), where=Where(statuses=["completed"]), forget=["judge"]), {**ONE_EACH, "judge": 2},
        tell=({**SEVEN, "times": 2},),
    ),
    Case(
        "the network", judging(), ONE_EACH, tell=({"kind": "broken", "match": "answer", "times": 2}, SEVEN), refused=2
    ),
    Case("cut", judging(), {**ONE_EACH, "answer": 2}, tell=({"kind": "cut", "match": "answer"}, SEVEN)),
    Case("cut short", calling(json.loads), {"call": 2}, tell=({"kind": "truncated"},)),
    Case("four samples", sampling, {"sample": 4}, records={"completed": 4}),
    # 4: retries
    Case(
        "worse", calling(good, once=False), {"call": 1},
        again(calling(misspelt, once=False), where=Where(statuses=["completed"])), {"call": 2},
    ),
    # 5: stopping
    *(
        Case(
            f"{kind}, then mended", many, {}, go_on(many), {f"call {n}": 1 for n in range(30)}, {"completed": 30},
            tell=({"kind": kind, "times": None},), inputs=30, options={"max_concurrency": 1}, refused=refused,
        )
        for kind, refused in (("unauthorized", 1), ("forbidden", 1), ("quota", 1), ("credit", 1))
    ),
    Case(
        "limited", many, {f"call {n}": 1 for n in range(30)}, records={"completed": 30},
        tell=({"kind": "limited", "times": 40, "retry_after": 0.01},), inputs=30, refused=40,
    ),
]  # fmt: skip


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
async def test_a_fault_and_its_remedy_cost_so_many_calls(
    tmp_path: Path, paying_server: PayingServer, case: Case
) -> None:
    model = Model(paying_server)
    for told in case.tell:
        paying_server.tell(**told)
    async with open_store(tmp_path.as_uri()) as storage:
        inputs = [{"n": n} for n in range(case.inputs)]
        run = await start(storage, case.function(model), inputs, **{"retry": AT_ONCE, **case.options})
        assert paying_server.payments == case.first
        assert paying_server.requests.total() - paying_server.payments.total() == case.refused
        if case.remedy is not None:
            run = await case.remedy(storage, model)
            assert paying_server.payments == case.then
        assert run.records == case.records
    sound(tmp_path.as_uri())
