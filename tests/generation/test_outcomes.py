"""What a function may return, and what each check makes of it; nothing that is said quotes the data."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from starfish_storage import InvalidDataError, InvalidInputError
from starfish_storage.codec import canonical_hash
from starfish_storage.generation.outcomes import Duplicate, Filtered, OutputChecks
from starfish_storage.runs import Output

SECRET = "s3cret"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: int
    when: dt.date | None = None
    score: Annotated[float, Field(ge=0)] = 0
    pet: Cat | Dog | None = Field(default=None, discriminator="kind")
    tags: list[str] = []

    @field_validator("answer")
    @classmethod
    def _no_thirteen(cls, value: int) -> int:
        if value == 13:
            raise ValueError(f"{SECRET} {value}")
        return value


class Price(BaseModel):
    price: Decimal
    when: dt.datetime


async def one(checks: OutputChecks, returned: object) -> Output:
    outputs = await checks.outputs(returned)
    assert len(outputs) == 1
    return outputs[0]


async def test_what_may_be_returned() -> None:
    checks = OutputChecks()
    data = {"a": 1}
    assert await checks.outputs(data) == [Output("completed", data)]
    assert (await checks.outputs(data))[0].data is data
    assert await checks.outputs([]) == []
    assert await checks.outputs((data, {"b": 2})) == [Output("completed", data), Output("completed", {"b": 2})]
    moment = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    dumped = {"price": "1.50", "when": "2026-01-31T00:00:00Z"}
    assert await checks.outputs(Price(price=Decimal("1.50"), when=moment)) == [Output("completed", dumped)]
    assert checks.json_schema == {}


async def test_filtered_and_duplicate_are_taken_as_said() -> None:
    for checks in (
        OutputChecks(),
        OutputChecks(output_schema=Answer, accept=lambda data: False, unique_by="missing"),
    ):
        returned = [Filtered({"x": 1}), Filtered({"x": 1}, "dull"), Duplicate(Cat(kind="cat")), Duplicate({}, "of 1")]
        assert await checks.outputs(returned) == [
            Output("filtered", {"x": 1}),
            Output("filtered", {"x": 1}, "dull"),
            Output("duplicate", {"kind": "cat"}),
            Output("duplicate", {}, "of 1"),
        ]


class Weird(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    thing: Any


UNUSABLE: list[tuple[Any, str, str]] = [
    (None, "NoneType", "$"),
    (SECRET, "str", "$"),
    (5, "int", "$"),
    ({1, 2}, "set", "$"),
    (object(), "object", "$"),
    ([{"a": 1}, None], "NoneType", "$[1]"),
    ([[{"a": 1}]], "list", "$[0]"),
    (map(str, [1]), "map", "$"),
    (RootModel[list[int]]([1]), "list", "$"),
    (Filtered(None), "NoneType", "$"),  # pyright: ignore[reportArgumentType]
    ([Duplicate(SECRET)], "str", "$[0]"),  # pyright: ignore[reportArgumentType]
    (Weird(thing=object()), "Weird", "$"),
]


@pytest.mark.parametrize("number", range(len(UNUSABLE)))
async def test_what_is_no_output_is_refused_by_its_type(number: int) -> None:
    returned, kind, place = UNUSABLE[number]
    with pytest.raises(InvalidDataError) as caught:
        await OutputChecks().outputs(returned)
    message = str(caught.value)
    assert kind in message
    assert caught.value.path == place
    assert SECRET not in message
    assert kind == "Weird" or "return a dict, a pydantic model" in message


async def test_a_reason_is_text() -> None:
    with pytest.raises(InvalidInputError, match="the reason of Filtered must be text, not of type int"):
        await OutputChecks().outputs(Filtered({}, 5))  # pyright: ignore[reportArgumentType]


async def test_a_model_that_was_changed_behind_its_back_warns_of_nothing() -> None:
    answer = Answer(answer=1)
    object.__setattr__(answer, "tags", SECRET)
    assert (await one(OutputChecks(), answer)).status == "completed"


MODEL_MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"answer": SECRET}, "at $.answer: int_type"),
    ({"answer": "5"}, "at $.answer: int_type"),
    ({}, "at $.answer: missing"),
    ({"answer": 1, SECRET[:2]: 1}, "at $.s3: extra_forbidden"),
    ({"answer": 1, "score": -1}, "at $.score: greater_than_equal"),
    ({"answer": 1, "when": "s3cret"}, "at $.when: date_parsing"),
    ({"answer": 1, "tags": ["a", 5]}, "at $.tags[1]: string_type"),
    ({"answer": 1, "pet": {"kind": SECRET}}, "at $.pet: union_tag_invalid"),
    ({"answer": 13}, "at $.answer: value_error"),
]


@pytest.mark.parametrize(("data", "said"), MODEL_MISFITS)
async def test_what_does_not_fit_a_model_is_failed_and_kept(data: dict[str, Any], said: str) -> None:
    assert await one(OutputChecks(Answer), data) == Output("failed", data, f"output_schema: {said}")


async def test_what_fits_a_model_stays_as_it_is() -> None:
    checks = OutputChecks(Answer)
    assert checks.json_schema == Answer.model_json_schema()
    for data in (
        {"answer": 5},
        {"answer": 5, "when": "2026-01-31", "score": 1, "pet": {"kind": "dog"}, "tags": ("a", "b")},
    ):
        assert await one(checks, data) == Output("completed", data)
    assert (await one(checks, Answer(answer=5))).data == Answer(answer=5).model_dump(mode="json")
    converted = Answer.model_validate({"answer": "5"})
    assert (await one(checks, converted)).status == "completed"
    assert (await one(checks, Cat(kind="cat"))).error_message == "output_schema: at $.answer: missing"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["answer"],
    "additionalProperties": False,
    "properties": {
        "answer": {"type": "integer", "minimum": 0},
        "score": {"type": ["number", "null"]},
        "word": {"pattern": "^[a-z]+$"},
        "kind": {"enum": ["a", "b"]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "any": {"anyOf": [{"type": "string", "minLength": 9}, {"type": "null"}]},
        "date": {"format": "date"},
        "an odd\nname": {"type": "null"},
    },
    "$defs": {"item": {"type": "object", "properties": {"x": {"const": 1}}}},
}
MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"answer": SECRET}, "at $.answer: type must be integer"),
    ({"answer": -5}, "at $.answer: minimum must be 0"),
    ({}, "at $: 'answer' is missing"),
    ({"answer": 1, SECRET: 1}, "at $: it has fields that the schema does not name"),
    ({"answer": 1, "score": SECRET}, "at $.score: type must be number or null"),
    ({"answer": 1, "word": SECRET}, "at $.word: pattern must be ^[a-z]+$"),
    ({"answer": 1, "kind": SECRET}, "at $.kind: it does not fit 'enum'"),
    ({"answer": 1, "list": [{"x": 1}, {"x": SECRET}]}, "at $.list[1].x: const must be 1"),
    ({"answer": 1, "list": ({"x": SECRET},)}, "at $.list[0].x: const must be 1"),
    ({"answer": 1, "any": 5}, "at $.any: it does not fit 'anyOf'"),
    ({"answer": 1, "an odd\nname": 5}, "at $.an odd\\nname: type must be null"),
]


@pytest.mark.parametrize(("data", "said"), MISFITS)
async def test_what_does_not_fit_a_json_schema_is_failed_and_kept(data: dict[str, Any], said: str) -> None:
    assert await one(OutputChecks(SCHEMA), data) == Output("failed", data, f"output_schema: {said}")


async def test_what_fits_a_json_schema() -> None:
    checks = OutputChecks(SCHEMA)
    assert checks.json_schema == SCHEMA
    for data in ({"answer": 5}, {"answer": 1, "list": ({"x": 1},), "date": "formats are not checked", "any": None}):
        assert await one(checks, data) == Output("completed", data)
    numbered: dict[Any, Any] = {"answer": 1, 2: 3}
    assert await one(checks, numbered) == Output(
        "failed", numbered, "output_schema: at $: it has fields that the schema does not name"
    )
    assert (await one(checks, Cat(kind="cat"))).status == "failed"


async def test_a_schema_changed_later_is_not_the_one_that_checks() -> None:
    schema = {"properties": {"x": {"type": "integer"}}}
    checks = OutputChecks(schema)
    schema["properties"]["x"]["type"] = "string"
    assert (await one(checks, {"x": 1})).status == "completed"


@pytest.mark.parametrize(
    ("dialect", "refuses"),
    [
        ("http://json-schema.org/draft-03/schema#", True),
        ("http://json-schema.org/draft-04/schema#", True),
        ("http://json-schema.org/draft-07/schema#", True),
        ("http://json-schema.org/draft-07/schema", True),
        ("https://json-schema.org/draft/2019-09/schema", True),
        ("https://json-schema.org/draft/2020-12/schema", False),
    ],
)
async def test_the_dialect_is_the_one_that_the_schema_names(dialect: str, refuses: bool) -> None:
    """A list of schemas under "items" was what "prefixItems" is now."""
    key = "items" if refuses else "prefixItems"
    checks = OutputChecks({"$schema": dialect, "properties": {"x": {key: [{"type": "integer"}]}}})
    assert (await one(checks, {"x": ["a"]})).error_message == "output_schema: at $.x[0]: type must be integer"


async def test_required_in_the_oldest_dialect() -> None:
    schema = {"$schema": "http://json-schema.org/draft-03/schema#", "properties": {"x": {"required": True}}}
    assert (await one(OutputChecks(schema), {})).status == "failed"


class NoJson(BaseModel):
    function: Callable[[], int]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"type": "strin"},
            "at $.type: it must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'",
        ),
        (
            {"properties": {"x": {"minimum": "5"}}},
            "not a valid JSON Schema: at $.properties.x.minimum: type must be number",
        ),
        ({"pattern": "("}, "not a valid JSON Schema: at $.pattern: format must be regex"),
        ({"$schema": "urn:mine"}, "has an unknown dialect, 'urn:mine'"),
        ({"$schema": 5}, "has an unknown dialect"),
        ({"$ref": "#/$defs/nowhere"}, "refers to '#/$defs/nowhere', which it does not contain"),
        ({"properties": {"x": {"items": {"$ref": "http://127.0.0.1:9/x"}}}}, "refers to 'http://127.0.0.1:9/x'"),
        ({"x": {1, 2}}, "output_schema cannot be stored as JSON"),
        (NoJson, "output_schema NoJson has no JSON Schema"),
        (int, "a class derived from pydantic.BaseModel or a JSON Schema"),
        ("{}", "a class derived from pydantic.BaseModel or a JSON Schema"),
        (Answer(answer=1), "a class derived from pydantic.BaseModel or a JSON Schema"),
    ],
)
def test_schemas_that_are_refused(schema: Any, said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        OutputChecks(schema)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"$id": "urn:mine", "$ref": "urn:mine#/$defs/x", "$defs": {"x": {}}},
        {"properties": {"x": {"$ref": "#name"}}, "$defs": {"x": {"$anchor": "name"}}},
        {"properties": {"x": {"$ref": "urn:other"}}, "$defs": {"x": {"$id": "urn:other"}}},
        {"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "not a reference"}},
        {"properties": {"x": True}},
        {},
    ],
)
async def test_references_inside_a_schema(schema: dict[str, Any]) -> None:
    await OutputChecks(schema).outputs({"x": {}})


async def test_data_that_is_not_json_is_refused_where_it_is_looked_into() -> None:
    for checks in (OutputChecks(SCHEMA), OutputChecks(Answer)):
        with pytest.raises(InvalidDataError, match=r"at '\$.answer', set is not a JSON type"):
            await checks.outputs({"answer": {SECRET}})
    with pytest.raises(InvalidDataError, match="the value of unique_by"):
        await OutputChecks(unique_by="x").outputs({"x": {SECRET}})


async def test_accept() -> None:
    async def later(data: dict[str, Any]) -> Any:
        return data["say"]

    for accept in (lambda data: data["say"], later):
        checks = OutputChecks(accept=accept)
        assert await one(checks, {"say": True}) == Output("completed", {"say": True})
        assert await one(checks, {"say": False}) == Output("filtered", {"say": False}, "accept: refused")
        assert await one(checks, {"say": "too short"}) == Output("filtered", {"say": "too short"}, "too short")
        for other in (None, 1, 0, "", [], {}):
            with pytest.raises(InvalidInputError, match="accept returned"):
                await checks.outputs({"say": other})


async def test_what_accept_raises_comes_through() -> None:
    with pytest.raises(KeyError):
        await OutputChecks(accept=lambda data: data["nowhere"]).outputs({})
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

    checks = OutputChecks(SCHEMA, accept, "answer")
    returned = [{"answer": "x"}, {"answer": 1}, {"answer": 9}, Filtered({"answer": 9})]
    outputs = await checks.outputs(returned)
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
