"""Of a run whose every input failed at its last answer, one thing is changed: what the model is asked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import starfish_storage
from generation.runs import NEVER, RUN, numbers, start
from recording.asking import Client, Clients
from servers.paying import PayingServer
from starfish_storage.generation import retry
from starfish_storage.interface import Storage

Parse = Callable[[str], Any]

QUESTION, JUDGE = ["question 0", "question 1"], ["judge 0", "judge 1"]
BRIEF = ["question briefly 0", "question briefly 1"]


def broken(text: str) -> Any:
    raise ValueError(text)


def broken_with_a_comment(text: str) -> Any:
    # It does what `broken` does.
    raise ValueError(text)


broken_with_a_comment.__code__ = broken_with_a_comment.__code__.replace(co_name="broken", co_qualname="broken")
broken_with_a_comment.__name__ = broken_with_a_comment.__qualname__ = "broken"


def mended(text: str) -> Any:
    return text


def shortened(text: str) -> Any:
    return clipped(text)


def clipped(text: str) -> str:
    return text[:100]


def judged(client: Client, parse: Parse, question: str = "question", **fields: Any) -> Callable[..., Any]:
    """Return a function that asks a question, has the answer judged, and parses what the judge says."""

    async def answer(n: int) -> dict[str, Any]:
        said = await client.ask(f"{question} {n}", **fields)
        return {"said": said, "judged": parse(await client.ask(f"judge {n}"))}

    return answer


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        # The same code would fail at the same answer: it gets another one, and no earlier turn is asked for again.
        ({}, JUDGE),
        ({"parse": broken_with_a_comment}, JUDGE),
        ({"max_failures": 9}, JUDGE),
        ({"version": "99.0.0"}, JUDGE),
        # Other code may make something of the answers that are there.
        ({"parse": mended}, []),
        ({"parse": shortened}, []),
        ({"parse": mended, "reask": "all"}, [*JUDGE, *QUESTION]),
        ({"parse": mended, "reask": "last"}, JUDGE),
        # Other requests are other steps; what was not changed is answered from the store.
        ({"parse": mended, "question": "question briefly"}, BRIEF),
        ({"parse": mended, "temperature": 0.5}, QUESTION),
    ],
)
async def test_what_the_model_is_asked_again(
    storage: Storage,
    paying_server: PayingServer,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    asked: list[str],
) -> None:
    client = clients("httpx2")
    run = await start(storage, judged(client, broken), numbers(2), retry=NEVER)
    assert run.records == {"failed": 2}
    paid = dict(paying_server.payments)
    assert paid == dict.fromkeys([*QUESTION, *JUDGE], 1)
    if "version" in change:
        monkeypatch.setattr(starfish_storage, "__version__", change["version"])
    options = {name: value for name, value in change.items() if name in ("max_failures", "reask")}
    fields = {name: value for name, value in change.items() if name in ("question", "temperature")}
    parse = change.get("parse", broken)
    function = judged(client, parse, **fields)
    run = await retry(storage, RUN, function, progress="quiet", **options)
    again = {prompt: count - paid.get(prompt, 0) for prompt, count in paying_server.payments.items()}
    assert {prompt: count for prompt, count in again.items() if count} == dict.fromkeys(asked, 1)
    assert run.records == {"completed" if parse in (mended, shortened) else "failed": 2}


@pytest.mark.parametrize("change", [{"parse": shortened}, {"question": "question briefly"}, {"temperature": 0.5}])
async def test_a_finished_input_asks_nothing_again(
    storage: Storage, paying_server: PayingServer, clients: Clients, change: dict[str, Any]
) -> None:
    client = clients("httpx2")
    await start(storage, judged(client, mended), numbers(2))
    run = await start(storage, judged(client, **{"parse": mended, **change}), numbers(3))
    assert run.records == {"completed": 3}
    question = change.get("question", "question")
    assert paying_server.payments == dict.fromkeys([*QUESTION, *JUDGE, f"{question} 2", "judge 2"], 1)
