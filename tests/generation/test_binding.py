"""Which parameter gets what, and which inputs do not fit."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypedDict

import pytest
from pydantic import AfterValidator, BaseModel, Field

from starfish_storage import InvalidInputError
from starfish_storage.generation.calling import BoundFunction

if TYPE_CHECKING:
    from nowhere import Elsewhere  # pyright: ignore[reportMissingImports]

CONTEXT = object()
INPUT = {"question": "2+2", "level": 3}


class Context:
    """Stands for the job's context."""


class Row(TypedDict):
    question: str
    level: int


async def called(function: Any, run_config: dict[str, Any] | None = None) -> Any:
    bound = BoundFunction(function, 2, context_type=Context)
    try:
        bound.check(INPUT if run_config is None else run_config)
        return await bound.call(INPUT if run_config is None else run_config, CONTEXT, [])
    finally:
        bound.close()


BINDINGS: list[tuple[Any, Any]] = [
    (lambda row: row, INPUT),
    (lambda question: question, "2+2"),
    (lambda question, level: (question, level), ("2+2", 3)),
    (lambda level, question: (question, level), ("2+2", 3)),
    (lambda question, level=9, more=5: (question, level, more), ("2+2", 3, 5)),
    (lambda question, /, level: (question, level), ("2+2", 3)),
    (lambda more=5, level=9, /: (more, level), (5, 3)),
    (lambda row, /: row, INPUT),
    (lambda row, *, level: (row, level), (INPUT, 3)),
    (lambda row, *, more=5: (row, more), (INPUT, 5)),
    (lambda *, level: level, 3),
    (lambda: "nothing", "nothing"),
    (lambda *args: args, ()),
    (lambda **rest: rest, INPUT),
    (lambda question, **rest: (question, rest), ("2+2", {"level": 3})),
    (lambda row, **rest: (row, rest), (INPUT, {})),
    (lambda *args, **rest: (args, rest), ((), INPUT)),
    (lambda row, context: (row, context), (INPUT, CONTEXT)),
    (lambda context, row: (row, context), (INPUT, CONTEXT)),
    (lambda context: context, CONTEXT),
    (lambda context=None: context, CONTEXT),
    (lambda question, *, context: (question, context), ("2+2", CONTEXT)),
    (lambda context, /, question: (question, context), ("2+2", CONTEXT)),
    (lambda context, **rest: (context, rest), (CONTEXT, INPUT)),
    (lambda topic="cats": topic, "cats"),
    (functools.partial(lambda row, level: (row, level), level=7), (INPUT, 3)),
    (functools.partial(lambda row, more: (row, more), more=7), (INPUT, 7)),
    (functools.partial(lambda first, row: (first, row), "first"), ("first", INPUT)),
    (operator.itemgetter("level"), 3),
    (dict, INPUT),
    (sorted, ["level", "question"]),  # nobody can rename its parameter
    (min, "level"),  # no signature: the whole input
]


@pytest.mark.parametrize("number", range(len(BINDINGS)))
async def test_parameters_get_what_they_are_named_after(number: int) -> None:
    function, expected = BINDINGS[number]
    assert await called(function) == expected


async def test_the_context_goes_to_the_parameter_annotated_so() -> None:
    def by_class(row: dict[str, Any], job: Context) -> Any:
        return row, job

    def optional(row: dict[str, Any], job: Optional[Context] = None) -> Any:  # noqa: UP045
        return row, job

    def union(row: dict[str, Any], job: Context | None = None) -> Any:
        return row, job

    def unresolved(row: Elsewhere, job: Context) -> Any:  # the hints of this one cannot be found out
        return row, job

    def unresolved_union(row: Elsewhere, job: Optional[Context] = None) -> Any:  # noqa: UP045
        return row, job

    for function in (by_class, optional, union, unresolved, unresolved_union):
        assert await called(function) == (INPUT, CONTEXT)


async def test_a_context_of_another_kind_is_an_ordinary_parameter() -> None:
    Other = type("Context", (), {})  # noqa: N806

    def answer(question: str, other: Any) -> Any:
        return question, other

    answer.__annotations__["other"] = Other
    assert await called(answer, {"question": "q", "other": 1}) == ("q", 1)


async def test_the_context_is_known_by_its_whole_name_too() -> None:
    same = type("Context", (), {"__module__": "starfish_storage.generation.context"})

    def answer(job: Any) -> Any:
        return job

    answer.__annotations__["job"] = same
    bound = BoundFunction(answer, 1)
    assert await bound.call(INPUT, CONTEXT, []) is CONTEXT


async def test_data_is_data_a_field_named_context_wins() -> None:
    given = {"context": "a passage", "question": "q"}
    assert await called(lambda question, context: (question, context), given) == ("q", "a passage")

    def both(context: str, job: Context) -> Any:
        return context, job

    assert await called(both, given) == ("a passage", CONTEXT)

    def annotated(context: str, question: str) -> Any:
        return context, question

    assert await called(annotated, given) == ("a passage", "q")
    with pytest.raises(InvalidInputError, match="no field for its parameter 'context'"):
        await called(annotated, {"question": "q"})


async def test_a_field_named_as_the_annotated_context_is_left_out() -> None:
    def answer(question: str, job: Context, **rest: Any) -> Any:
        return question, job, rest

    assert await called(answer, {"question": "q", "job": 1, "more": 2}) == ("q", CONTEXT, {"more": 2})


async def test_a_mapping_may_be_the_whole_input_even_with_a_default() -> None:
    def plain(row: dict[str, Any] | None = None) -> Any:
        return row

    def mapping(row: Mapping[str, Any] = INPUT) -> Any:
        return row

    def typed(row: Row) -> Any:
        return row

    for function in (plain, mapping, typed):
        assert await called(function, {"a": 1}) == {"a": 1}


def one_text(question: str) -> Any:
    return question


def one_optional_text(question: str | None) -> Any:
    return question


def one_list(questions: list[str]) -> Any:
    return questions


def two(question: Any, level: Any) -> Any:
    return question, level


def with_any(question: Any) -> Any:
    return question


def with_a_number(level: int) -> Any:
    return level


class OfAModule:
    def method(self, question: Any) -> Any:
        return question


@pytest.mark.parametrize(
    "function",
    [
        *(one_text, one_optional_text, one_list, two, with_any, with_a_number, OfAModule().method),
        *(lambda row, *, more: (row, more), lambda question: question, lambda question, /: question),
        *(lambda question, context: question, lambda question, **rest: (question, rest)),
        functools.partial(lambda question, more: (question, more), more=1),
    ],
)
async def test_a_parameter_without_a_field_is_named_with_the_fields_and_the_remedy(function: Any) -> None:
    bound = BoundFunction(function, 1)
    with pytest.raises(InvalidInputError) as caught:
        bound.check({"prompt": "s3cret", "n": 1})
    with pytest.raises(InvalidInputError) as again:
        await bound.call({"prompt": "s3cret", "n": 1}, None, [])
    message = str(caught.value)
    assert message == str(again.value)
    assert "the input has no field for its parameter" in message
    assert "'prompt', 'n'" in message
    assert "Rename" in message
    assert "s3cret" not in message


TEXT = {"text": "2+2"}


async def test_a_text_reaches_the_only_parameter_unless_that_stands_for_an_input() -> None:
    def mapping(question: dict[str, Any]) -> Any:
        return question

    def either(question: str | None) -> Any:
        return question

    def unresolved(question: Optional[str], other: Elsewhere = None) -> Any:  # noqa: UP045
        return question

    for function in (one_text, either, with_any, lambda question: question, lambda question, /, *, more=1: question):
        assert await called(function, TEXT) == "2+2"
    assert await called(lambda question, **rest: (question, rest), TEXT) == ("2+2", {})
    for function in (mapping, lambda row: row, lambda item: item):
        assert await called(function, TEXT) == TEXT
    assert await called(lambda text: text, TEXT) == "2+2"
    refused: list[Any] = [with_a_number, one_list, two, unresolved]
    for function in refused:
        with pytest.raises(InvalidInputError, match="no field for its parameter"):
            await called(function, TEXT)
    for other in ({"text": 5}, {"text": "2+2", "n": 1}):
        with pytest.raises(InvalidInputError, match="no field for its parameter 'question'"):
            await called(one_text, other)


def refuse(text: str) -> str:
    raise ValueError(f"{text} will not do")


class Question(BaseModel):
    question: str
    level: Annotated[int, Field(ge=1)]


@dataclasses.dataclass
class QuestionToo:
    question: str
    level: int


async def test_an_annotation_makes_a_value_of_its_kind_and_refuses_what_does_not_fit() -> None:
    def model(asked: Question) -> Any:
        return asked

    def optional(asked: Question | None) -> Any:
        return asked

    def plain(asked: QuestionToo) -> Any:
        return asked

    def inner(asked: Question, more: list[Question]) -> Any:
        return asked, more

    def fields(level: int, when: datetime, share: float, *, kind: Literal["a", "b"] = "a") -> Any:
        return level, when, share, kind

    def refusing(text: Annotated[str, AfterValidator(refuse)]) -> Any:
        return text

    def bounded(level: Annotated[int, Field(le=3)]) -> Any:
        return level

    assert await called(model) == await called(optional) == Question(question="2+2", level=3)
    assert await called(plain) == QuestionToo("2+2", 3)
    one = {"question": "q", "level": "3"}
    got = Question(question="q", level=3)
    assert await called(inner, {"asked": one, "more": [one]}) == (got, [got])
    given = {"level": "7", "when": "2026-01-31T12:00:00Z", "share": 0.5, "kind": "b"}
    assert await called(fields, given) == (7, datetime(2026, 1, 31, 12, tzinfo=UTC), 0.5, "b")
    bad: list[tuple[Any, dict[str, Any], str]] = [
        (model, {"question": "s3cret", "level": 0}, "at level: greater_than_equal (input should be greater than or"),
        (model, {"question": None}, "string_type (input should be a valid string), at level: missing (field required)"),
        (inner, {"asked": one, "more": [one, 5]}, "parameter 'more': at 1: model_type"),
        (fields, given | {"level": "s3cret"}, "parameter 'level': int_parsing"),
        (fields, given | {"kind": "s3cret"}, "parameter 'kind': literal_error"),
        (bounded, {"level": 4}, "parameter 'level': less_than_equal (input should be less than or equal to 3)"),
        (refusing, {"text": "s3cret"}, "parameter 'text': value_error."),
    ]
    for function, wrong, reason in bad:
        with pytest.raises(InvalidInputError) as caught:
            BoundFunction(function, 1).check(wrong)
        assert reason in str(caught.value)
        assert "s3cret" not in str(caught.value)


def broken(value: int) -> int:
    raise KeyError(value)


async def test_a_validator_that_is_broken_refuses_the_input() -> None:
    def answer(level: Annotated[int, AfterValidator(broken)]) -> Any:
        return level

    with pytest.raises(InvalidInputError, match="parameter 'level': its validator raised KeyError"):
        BoundFunction(answer, 1).check({"level": 5})


async def test_what_pydantic_knows_nothing_of_is_not_validated() -> None:
    class Strange:
        pass

    def strange(question: Strange, level: Elsewhere) -> Any:
        return question, level

    def strange_too(question: Strange, level: dict[str, Any]) -> Any:
        return question, level

    strange_too.__annotations__["question"] = Strange
    strange_too.__annotations__["level"] = dict[str, Any]
    assert await called(strange) == ("2+2", 3)
    assert await called(strange_too) == ("2+2", 3)


def test_of_many_fields_some_are_listed() -> None:
    with pytest.raises(InvalidInputError, match="'f7' and 12 more"):
        BoundFunction(two, 1).check({f"f{number}": 0 for number in range(20)})
    with pytest.raises(InvalidInputError, match="fields are: none"):
        BoundFunction(two, 1).check({})


@pytest.mark.parametrize("function", [lambda row: row, lambda inner: inner, lambda **rest: rest])
async def test_changing_the_input_changes_only_a_copy(function: Any) -> None:
    given = {"inner": {"list": [1, {"x": 1}]}}
    got = await called(function, given)
    inner = got.get("inner", got)
    inner["list"][1]["x"] = 2
    inner["list"].append(3)
    got["more"] = 1
    assert given == {"inner": {"list": [1, {"x": 1}]}}
