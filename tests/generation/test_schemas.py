"""What fits an output's schema, a pydantic model's or a JSON Schema; nothing that is said quotes the data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from generation.checking import one, outputs_of
from starfish_storage import InvalidInputError
from starfish_storage.generation.outcomes import OutputChecks
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
    await outputs_of(OutputChecks(schema), {"x": {}})


async def test_what_a_model_dumps_fits_it_when_it_is_checked_again() -> None:
    class Odd(BaseModel):
        number: Annotated[int, PlainSerializer(lambda value: f"number {value}"), BeforeValidator(lambda text: 5)]
        count: int = 0

    checks = OutputChecks(Odd)
    (made,) = await outputs_of(checks, Odd(number=5))
    assert made.data is not None
    assert made.data == {"number": "number 5", "count": 0}
    assert await checks.check_again(made.data) == made
    assert (await checks.check_again({"number": "number 5", "count": "0"})).status == "failed"
