"""What a function may return, and what each check makes of it; nothing that is said quotes the data."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import subprocess
import sys
from collections import deque
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, RootModel, field_validator

from generation.checking import one, outputs_of
from starfish_storage import InvalidDataError, InvalidInputError
from starfish_storage.codec import canonical_hash, encode
from starfish_storage.generation.outcomes import Duplicate, Filtered, OutputChecks
from starfish_storage.runs import Output

SECRET = "s3cret"


class Panic(BaseException):
    pass


class Price(BaseModel):
    price: Decimal
    when: dt.datetime


async def test_what_may_be_returned() -> None:
    checks = OutputChecks()
    data = {"a": 1}
    assert await outputs_of(checks, data) == [Output("completed", data)]
    assert (await outputs_of(checks, data))[0].data is data
    assert await outputs_of(checks, (data, {"b": 2})) == [Output("completed", data), Output("completed", {"b": 2})]
    moment = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    dumped = {"price": "1.50", "when": "2026-01-31T00:00:00Z"}
    assert await outputs_of(checks, Price(price=Decimal("1.50"), when=moment)) == [Output("completed", dumped)]
    assert checks.json_schema == {}


async def test_filtered_and_duplicate_are_taken_as_said() -> None:
    for checks in (
        OutputChecks(),
        OutputChecks(output_schema=Price, accept=lambda data: False, unique_by="missing"),
    ):
        returned = [
            Filtered({"x": 1}),
            Filtered({"x": 1}, "dull"),
            Duplicate(RootModel[dict[str, str]]({"kind": "cat"})),
            Duplicate({}, "of 1"),
        ]
        assert await outputs_of(checks, returned) == [
            Output("filtered", {"x": 1}),
            Output("filtered", {"x": 1}, "dull"),
            Output("duplicate", {"kind": "cat"}),
            Output("duplicate", {}, "of 1"),
        ]


class Pair(NamedTuple):
    a: int
    b: Any


@dataclasses.dataclass
class Point:
    x: float
    when: dt.date


WHEN = dt.date(2026, 1, 31)
MOMENT = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
RETURNED: list[tuple[Any, list[dict[str, Any]]]] = [
    (Price(price=Decimal("1.50"), when=MOMENT), [{"price": "1.50", "when": "2026-01-31T00:00:00Z"}]),
    (Pair(1, WHEN), [{"a": 1, "b": "2026-01-31"}]),
    (Point(1.5, WHEN), [{"x": 1.5, "when": "2026-01-31"}]),
    (MappingProxyType({"a": 1}), [{"a": 1}]),
    ("text", [{"text": "text"}]),
    (b"text", [{"text": "text"}]),
    (WHEN, [{"text": "2026-01-31"}]),
    (5, [{"value": 5}]),
    (2.5, [{"value": 2.5}]),
    (True, [{"value": True}]),
    (np.float32(2.5), [{"value": 2.5}]),
    (RootModel[int](1), [{"value": 1}]),
    (
        ["a", 1, {"b": 2}, Pair(1, 2), [1, 2]],
        [{"text": "a"}, {"value": 1}, {"b": 2}, {"a": 1, "b": 2}, {"value": [1, 2]}],
    ),
    (("a", "b"), [{"text": "a"}, {"text": "b"}]),
    ({"b", "a"}, [{"text": "a"}, {"text": "b"}]),
    (deque([{"a": 1}]), [{"a": 1}]),
    (RootModel[list[int]]([1, 2]), [{"value": [1, 2]}]),
    (pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
    (np.array([1, 2]), [{"value": 1}, {"value": 2}]),
]


@pytest.mark.parametrize("number", range(len(RETURNED)))
async def test_what_may_be_returned_and_what_it_is_kept_as(number: int) -> None:
    returned, outputs = RETURNED[number]
    for checks in (OutputChecks(), OutputChecks(accept=lambda data: True)):
        checked = await checks.check(returned)
        assert checked.outputs == [Output("completed", one) for one in outputs]
        assert checked.notes is not None
        inside = {"Pair": {"date": 1}, "Point": {"date": 1}}.get(type(returned).__name__, {})
        assert checked.notes.counts == inside  # of the object itself, nothing is noted


async def test_what_nothing_can_convert_is_failed_with_its_data_and_the_others_are_kept() -> None:
    returned = [{"a": 1}, {"b": WHEN, "c": [object()]}, object(), None, Filtered({"d": {object()}})]
    for checks in (OutputChecks(), OutputChecks(accept=lambda data: True)):
        checked = await checks.check(returned)
        if checks is not None and checked.outputs[1].status == "completed":  # storing it finds out
            checked = checks.stored_as_json(checked.outputs)
        first, second, third, fourth, fifth = checked.outputs
        assert first == Output("completed", {"a": 1})
        assert (second.status, second.error_message) == (
            "failed",
            "return: at $[1].c[0]: an object of type builtins.object has no JSON form",
        )
        assert second.data is not None
        assert second.data["b"] == "2026-01-31"
        assert second.data["c"][0]["__type__"] == "builtins.object"
        assert third.data is not None
        assert (third.status, third.data["__type__"]) == ("failed", "builtins.object")
        assert fourth == Output("failed", None, "return: at $[3]: None is no output")
        assert (fifth.status, str(fifth.error_message)[:22]) == ("failed", "return: at $[4].d[0]: ")


class Broken(deque[int]):
    def __iter__(self) -> Any:
        yield 1
        raise RuntimeError("no more")


async def test_an_object_that_raises_when_it_is_looked_at_is_one_output() -> None:
    for checks in (OutputChecks(), OutputChecks(accept=lambda data: True)):
        output = await one(checks, Broken([1, 2]))
        assert (output.status, output.data) == ("failed", {"value": [1]})
        assert output.error_message == "return: at $: reading its items to the end raised RuntimeError: no more"


@pytest.mark.parametrize("returned", [None, [], (), [None, None]])
async def test_nothing_is_a_failure_or_no_output(returned: Any) -> None:
    with pytest.raises(InvalidDataError, match="is no output; return data, or pass on_empty='skip'"):
        await OutputChecks().check(returned)
    assert await outputs_of(OutputChecks(on_empty="skip"), returned) == []


async def test_none_beside_others_is_left_out_if_nothing_is_to_be_skipped() -> None:
    assert await outputs_of(OutputChecks(on_empty="skip"), [None, {"a": 1}]) == [Output("completed", {"a": 1})]


async def test_a_reason_may_be_anything() -> None:
    given = [Filtered({}, 5), Filtered({}, {"score": 2}), Filtered("text")]  # pyright: ignore[reportArgumentType]
    assert await outputs_of(OutputChecks(), given) == [
        Output("filtered", {}, "5"),
        Output("filtered", {}, "{'score': 2}"),
        Output("filtered", {"text": "text"}),
    ]


async def test_a_mistake_in_here_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("starfish_storage.generation.outcomes.object_of", None)  # what calls it fails then
    output = await one(OutputChecks(), ["text"])
    assert (output.status, output.data) == ("failed", {"value": "text"})
    assert str(output.error_message).startswith("check: TypeError: ")
    assert "outcomes.py" in caplog.text


async def test_checks_get_the_data_as_it_is_stored() -> None:
    seen: list[Any] = []
    schema = {"properties": {"when": {"type": "string"}, "tags": {"type": "array"}, "score": {"type": "null"}}}
    checks = OutputChecks(schema, lambda data: not seen.append(data), "tags")
    checked = await checks.check({"when": WHEN, "tags": {"b", "a"}, "score": float("nan")})
    stored = {"when": "2026-01-31", "tags": ["a", "b"], "score": None}
    assert checked.outputs == [Output("completed", stored, unique_key=canonical_hash({"key": ["a", "b"]}))]
    assert seen == [stored]
    assert checked.notes is not None
    assert checked.notes.counts == {"date": 1, "set": 1, "nan": 1}


async def test_checks_change_nothing_that_is_stored() -> None:
    def spoiling(data: dict[str, Any]) -> Any:
        data["x"].append(object())
        data.clear()
        return True

    for checks in (OutputChecks(accept=spoiling), OutputChecks(unique_by=spoiling)):
        output = await one(checks, {"x": [1]})
        assert (output.status, output.data) == ("completed", {"x": [1]})


async def test_what_panics_when_it_is_looked_at_is_failed_with_the_rest() -> None:
    """As parts of libraries in Rust do, with what is no `Exception`."""

    class Panicking:
        def to_dict(self) -> None:
            raise Panic

        def __repr__(self) -> str:
            raise Panic

    class Items(list[int]):
        def __iter__(self) -> Any:
            raise Panic

    for checks in (OutputChecks(), OutputChecks(accept=lambda data: True)):
        for part in (Panicking(), Items([1])):
            (output,) = checks.stored_as_json([await one(checks, {"a": 1, "part": part})]).outputs
            assert output.data is not None
            assert output.data["a"] == 1
            canonical_hash(output.data)
    with pytest.raises(InvalidDataError, match="reading it raised Panic"):
        encode({"items": Items([1])}, "it")


async def test_accept() -> None:
    async def later(data: dict[str, Any]) -> Any:
        return data["say"]

    for accept in (lambda data: data["say"], later):
        checks = OutputChecks(accept=accept)
        for true in (True, 1, 0.5, [0], {"a": 1}):
            assert await one(checks, {"say": true}) == Output("completed", {"say": true})
        for false in (False, 0, 0.0, "", [], {}):
            assert await one(checks, {"say": false}) == Output("filtered", {"say": false}, "accept: refused")
        assert await one(checks, {"say": "too short"}) == Output("filtered", {"say": "too short"}, "accept: too short")
        assert await one(checks, {"say": None}) == Output(
            "failed", {"say": None}, "check: accept returned nothing; return True, or False, or a reason (text)"
        )
    for answer, status in ((np.bool_(1), "completed"), (np.bool_(0), "filtered"), (np.array([1, 2]), "failed")):
        output = await one(OutputChecks(accept=lambda data, answer=answer: answer), {})
        assert output.status == status
    assert output.error_message == ("check: accept returned an object of type ndarray, which is neither true nor false")


async def test_checks_that_raise_cost_no_answer() -> None:
    class Strict(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def _raises(cls, value: int) -> int:
            raise KeyError(SECRET)

    def failing(data: dict[str, Any]) -> Any:
        return data["nowhere"]

    async def cancelled(data: dict[str, Any]) -> Any:
        raise asyncio.CancelledError

    def panicking(data: dict[str, Any]) -> Any:
        raise Panic

    data = {"x": 1}
    for checks, said in (
        (OutputChecks(accept=panicking), "accept raised Panic"),
        (OutputChecks(unique_by=panicking), "unique_by raised Panic"),
        (OutputChecks(accept=failing), "accept raised KeyError: 'nowhere'"),
        (OutputChecks(accept=cancelled), "accept awaited something that was cancelled"),
        (OutputChecks(unique_by=failing), "unique_by raised KeyError: 'nowhere'"),
        (
            OutputChecks(unique_by=lambda data: [object()]),
            (
                "unique_by returned a value that has no JSON form, "
                "at $[0]: an object of type builtins.object has no JSON form"
            ),
        ),
        (OutputChecks(Strict), f"output_schema raised KeyError: '{SECRET}'"),
    ):
        assert await one(checks, data) == Output("failed", data, f"check: {said}")
    with pytest.raises(InvalidInputError, match="accept must be a function"):
        OutputChecks(accept=5)  # pyright: ignore[reportArgumentType]


async def test_unique_by() -> None:
    data = {"a": 1, "b": [2]}

    async def later(data: dict[str, Any]) -> Any:
        return data["b"]

    for unique_by, value in (
        ("a", 1),
        (["a", "b"], [1, [2]]),
        (("a", "b"), [1, [2]]),
        (["a"], [1]),
        (lambda data: data["b"], [2]),
        (lambda data: None, None),
        (later, [2]),
        (lambda data: {WHEN}, ["2026-01-31"]),
    ):
        output = await one(OutputChecks(unique_by=unique_by), data)
        assert output == Output("completed", data, unique_key=canonical_hash({"key": value}))
    for unique_by in ("nowhere", ["a", "nowhere"]):
        assert await one(OutputChecks(unique_by=unique_by), data) == Output(
            "failed", data, "unique_by: the output has no field 'nowhere'"
        )
    for unique_by in (5, [], [5], {"a"}, ["a", None]):
        with pytest.raises(InvalidInputError, match="unique_by must be"):
            OutputChecks(unique_by=unique_by)  # pyright: ignore[reportArgumentType]


async def test_the_first_check_that_refuses_decides() -> None:
    asked: list[Any] = []

    def accept(data: dict[str, Any]) -> bool:
        asked.append(data)
        return data["answer"] > 5

    checks = OutputChecks({"properties": {"answer": {"type": "integer"}}}, accept, "answer")
    returned = [{"answer": "x"}, {"answer": 1}, {"answer": 9}, Filtered({"answer": 9})]
    outputs = await outputs_of(checks, returned)
    assert [output.status for output in outputs] == ["failed", "filtered", "completed", "filtered"]
    assert [output.unique_key is None for output in outputs] == [True, True, False, True]
    assert [output.data for output in outputs] == [{"answer": "x"}, {"answer": 1}, {"answer": 9}, {"answer": 9}]
    assert asked == [{"answer": 1}, {"answer": 9}]


def test_nothing_is_imported_before_it_is_used() -> None:
    program = (
        "import sys, starfish_storage\n"
        "from starfish_storage.generation import calling, loading, outcomes, progress, retrying\n"
        "outcomes.OutputChecks(); retrying.Retry(); progress.reporter('lines')\n"
        "print([name for name in ('jsonschema', 'referencing', 'tenacity', 'rich') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
