"""The language of conditions: every condition can be written, and means what it says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage.errors import InvalidInputError
from starfish_storage.filtering import COMPARISONS, FACTS, Condition, conditions_of
from starfish_storage.filtering.condition import VERDICTS

NAMES = st.text(min_size=1).filter(lambda name: not name.startswith("@"))


@given(NAMES, st.sampled_from(sorted(COMPARISONS)), st.text())
def test_every_condition_is_read_as_it_is_written(field: str, comparison: str, value: str) -> None:
    condition = Condition(field, comparison, "" if comparison in ("there", "lacks") else value)
    assert Condition.parse(str(condition)) == condition


@given(st.text())
def test_any_text_is_a_condition_or_is_refused(text: str) -> None:
    try:
        condition = Condition.parse(text)
    except InvalidInputError:
        return
    assert Condition.parse(str(condition)) == condition


DATA: dict[str, Any] = {
    "n": 3,
    "zero": 0,
    "big": 10**30,
    "score": 0.5,
    "yes": True,
    "null": None,
    "text": "Tea for two",
    "date": "2026-01-31",
    "quoted": "12",
    "tags": ["News", "7"],
    "deep": {"er": [{"x": 1}]},
    "a.b": "dotted",
    "@id": "x",
    "a=b": 1,
    "empty": "",
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("n=3", True),
        ("n=3.0", True),
        ("n=4", False),
        ("n==3", True),
        ("n!=3", False),
        ("n!=x", True),
        ("none!=3", True),
        ("n>=3", True),
        ("n>3", False),
        ("n<=3", True),
        ("n<3", False),
        ("n<1e9", True),
        ("n>x", False),
        ("big>=1e29", True),
        ("big=1000000000000000000000000000000", True),
        ("score > 0.4", True),
        ("score>=nan", False),
        ("yes=true", True),
        ("yes=True", False),
        ("yes>=0", False),
        ("null=null", True),
        ("null", False),
        ("!null", True),
        ("none", False),
        ("!none", True),
        ("empty", True),
        ("empty=", True),
        ('empty=""', True),
        ("none=", False),
        ("text~TEA", True),
        ("text!~TEA", False),
        ("none!~x", True),
        ("none~x", False),
        ("text=Tea for two", True),
        ('text="Tea for two"', True),
        ("date>=2026-01-01", True),
        ("date<2026-01-01", False),
        ("quoted>=9", True),
        ("tags=News", True),
        ("tags=news", False),
        ("tags=7", True),
        ("tags~news", True),
        ("tags.0=News", True),
        ("tags.9=News", False),
        ("deep.er.0.x=1", True),
        ("deep~er", True),
        ("a.b=dotted", True),
        ("@@id=x", True),
        ('"a=b"=1', True),
        ("@length:text=11", True),
        ("@length:tags>=3", False),
        ("@length:n>=0", False),
        ("!@length:n", True),
        ("zero", True),
        ("zero>=0", True),
    ],
)
def test_what_fits(text: str, fits: bool) -> None:
    assert Condition.parse(text).fits_data(DATA) == fits
    assert Condition.parse(text).fits_data(None) == (text.startswith("!") or "!=" in text or "!~" in text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "=3", "!", "!n=3", '"n"3', "@costs>1", "@", '"@costs">1', "!@verdikt", "@verdict=no", "\x00=\x00"[:0]],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Condition.parse(text)


@pytest.mark.parametrize(
    "where",
    [5, None, [5], [b"n=3"], [None], [Condition("n", "min", 3)], [Condition(3, "is")], [Condition("n", ["is"])]],  # type: ignore[arg-type]
)
def test_what_is_no_list_of_conditions_is_refused(where: Any) -> None:
    with pytest.raises(InvalidInputError):
        conditions_of(where)


def test_what_is_known_beside_the_data_has_a_name() -> None:
    assert [Condition.parse(f"{fact}>=1").fact for fact in FACTS] == list(FACTS)
    assert [Condition.parse(text).fact for text in ("@@cost>=1", "cost>=1", "@length:x>=1")] == [None] * 3
    with pytest.raises(InvalidInputError, match="list of conditions"):
        conditions_of("n=3")
    with pytest.raises(InvalidInputError, match="comparison"):
        conditions_of([Condition("n", "like", "3")])


def test_an_unknown_verdict_is_refused_with_those_that_there_are() -> None:
    for text in ("@verdict=acepted", "@verdict!=Accepted", "@verdict="):
        with pytest.raises(InvalidInputError, match="accepted, rejected, conflicting, unreviewed"):
            Condition.parse(text)
    for one in VERDICTS:
        assert Condition.parse(f"@verdict={one}").fits(one)
    assert Condition.parse("@verdict~cept").fits("accepted")
