"""Which split a record gets: what must stay together does, and the shares are met."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage.codec import canonical_hash, encode
from starfish_storage.conversations.shapes import conversation_shapes
from starfish_storage.errors import InvalidInputError
from starfish_storage.export.records import ExportedRecord, RecordSource, Refusal
from starfish_storage.export.splitting import MOST_SPLITS, Dividing, SplitOptions, split_of

HALVES = {"train": 0.5, "test": 0.5}


def record(uid: str, data: dict[str, Any], question: object = None, run: str = "run-1") -> ExportedRecord:
    digest = None if question is None else canonical_hash({"q": question})
    given = None if question is None else {"q": question, "sample": uid}
    return ExportedRecord(uid, encode(data, ""), None, None, RecordSource(f"job-{uid}", run, digest, given))


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    weights = draw(st.lists(st.integers(1, 20), min_size=2, max_size=5))
    return {f"split_{number}": weight / sum(weights) for number, weight in enumerate(weights)}


@given(
    splits=shares(),
    seed=st.integers(0, 2**64),
    questions=st.lists(st.integers(0, 15), min_size=1, max_size=60),
    data=st.data(),
)
def test_what_came_of_one_input_is_never_in_two_splits(
    splits: dict[str, float], seed: int, questions: list[int], data: st.DataObject
) -> None:
    records = [
        record(f"r{number}", {"n": number, "topic": question % 4}, question, f"run-{number % 3}")
        for number, question in enumerate(questions)
    ]
    shuffled = data.draw(st.permutations(records))
    for group_by, key in (
        ("@input", lambda one: one.source.input_digest),
        ("@input.q", lambda one: one.source.input["q"]),
        ("topic", lambda one: one.payload.split(b"topic")[1]),
        ("@run", lambda one: one.source.master_job_id),
    ):
        found: dict[object, set[str]] = {}
        for order in (records, shuffled, records[: len(records) // 2]):
            split = split_of(SplitOptions(splits, group_by=group_by, seed=seed))
            for one in order:
                found.setdefault(key(one), set()).add(split(one))
        assert all(len(names) == 1 for names in found.values()), group_by
        assert set().union(*found.values()) <= set(splits)


@pytest.mark.parametrize("group_by", ["@input", "@record", "q"])
@pytest.mark.parametrize("seed", [0, 7])
def test_shares_are_met(group_by: str, seed: int) -> None:
    splits = {"train": 0.7, "validation": 0.1, "test": 0.2}
    split = split_of(SplitOptions(splits, group_by=group_by, seed=seed))
    count = 5_000
    found = Counter(split(record(f"r{number}", {"q": number}, number)) for number in range(count))
    for name, share in splits.items():
        spread = math.sqrt(count * share * (1 - share))
        assert abs(found[name] - count * share) < 4 * spread, (name, found[name])


def test_another_seed_divides_otherwise() -> None:
    records = [record(f"r{number}", {}, number) for number in range(200)]
    one, other = (list(map(split_of(SplitOptions(HALVES, seed=seed)), records)) for seed in (1, 2))
    assert 60 < sum(a == b for a, b in zip(one, other, strict=True)) < 140


def test_the_draw_of_a_seed_stays_what_it_was() -> None:
    """Who exports again next year must not find in train what was tested on."""
    by_uid = split_of(SplitOptions({"train": 0.9, "test": 0.1}, group_by="@record", seed=1))
    assert [number for number in range(60) if by_uid(record(f"r{number}", {})) == "test"] == [0, 21, 25, 42, 43, 57]
    tested = [7, 11, 15, 16, 24, 38, 39, 42, 43, 51]
    by_input = split_of(SplitOptions({"train": 0.9, "test": 0.1}))
    assert [number for number in range(60) if by_input(record("r", {}, number)) == "test"] == tested
    rows = split_of(SplitOptions({"train": 0.9, "test": 0.1}))
    assert [number for number in range(60) if rows(record("r", {"é": [number, 0.5]})) == "test"] == [
        21,
        22,
        27,
        30,
        33,
        46,
        53,
    ]


def test_rows_without_an_input_go_by_their_data() -> None:
    split = split_of(SplitOptions(HALVES))
    for number in range(40):
        rows = [
            record(f"a{number}", {"n": number, "m": 2**70}),
            record(f"b{number}", {"m": 2**70, "n": number}),  # keys in another order
            record(f"c{number}", {"n": number, "m": 2**70, "said": [number]})._replace(annotations_key="said"),
        ]
        assert len(set(map(split, rows))) == 1
    assert {split(record("a", {"n": number})) for number in range(40)} == set(HALVES)  # though they have one uid


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ASKING: dict[str, Any] = {
    "openai": lambda q, a: {"messages": [said("system", "Be brief."), said("user", q), said("assistant", a)]},
    "sharegpt": lambda q, a: {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]},
    "alpaca": lambda q, a: {"instruction": "Answer.", "input": q, "output": a},
    "trl-prompt-completion": lambda q, a: {"prompt": [said("user", q)], "completion": [said("assistant", a)]},
    "preferences": lambda q, a: {"prompt": q, "chosen": a, "rejected": "I cannot say."},
    "trl": lambda q, a: {"chosen": [said("user", q), said("assistant", a)], "rejected": [said("user", q)]},
    "openai-dpo": lambda q, a: {
        "input": {"messages": [said("user", q)], "tools": []},
        "preferred_output": [said("assistant", a)],
        "non_preferred_output": [said("assistant", "no")],
    },
}


@pytest.mark.parametrize("shape", [shape.name for shape in conversation_shapes()])
def test_conversations_of_files_go_by_what_they_ask(shape: str) -> None:
    split = split_of(SplitOptions(HALVES))
    found = [
        {split(record(f"r{n}{k}", ASKING[shape](f"question {n}", f"answer {k}"))) for k in range(5)} for n in range(40)
    ]
    assert all(len(names) == 1 for names in found)
    assert set().union(*found) == set(HALVES)


def test_a_field_within_fields_keeps_together() -> None:
    split = split_of(SplitOptions(HALVES, group_by="source.0.url"))
    rows = [[record(f"r{n}", {"n": n, "source": [{"url": url}]}, n) for n in range(20)] for url in "abcdefgh"]
    assert [len(set(map(split, some))) for some in rows] == [1] * 8
    assert {split(some[0]) for some in rows} == set(HALVES)
    at = split_of(SplitOptions(HALVES, group_by="@@id"))
    assert len({at(record(f"r{n}", {"@id": "x"}, n)) for n in range(20)}) == 1


def test_a_field_of_the_input_keeps_together() -> None:
    options = SplitOptions(HALVES, group_by="@input.q")
    assert options.keeps_inputs_together
    split = split_of(options)
    rows = [[record(f"r{n}", {"n": n}, question) for n in range(10)] for question in range(20)]
    assert [len(set(map(split, some))) for some in rows] == [1] * 20
    assert {split(some[0]) for some in rows} == set(HALVES)
    with pytest.raises(InvalidInputError, match="record 'r1' has no input with the field 'q'"):
        split(record("r1", {"q": 1}))


def test_a_record_without_the_field_is_refused_by_name() -> None:
    step = Dividing(SplitOptions(HALVES, group_by="topic"), "parquet")
    assert not step.needs_source
    kept, refusal = step.reshape([record("r1", {"topic": None}), record("r2", {})])
    assert isinstance(kept, ExportedRecord)
    assert isinstance(refusal, Refusal)
    assert str(refusal.error).startswith("record 'r2' cannot be exported as parquet: it has no field 'topic' that says")


@pytest.mark.parametrize("name", ["a-b", "", "../x", "all", "é", "a b", None, 1, "x" * 101, "a..b"])
def test_what_cannot_name_a_split_is_refused(name: object) -> None:
    split = split_of(SplitOptions(split_by="level"))
    with pytest.raises(InvalidInputError, match=r"record 'r1'.*'level'"):
        split(record("r1", {"level": name}))
    with pytest.raises(InvalidInputError, match=r"record 'r2'.*'level'"):
        split(record("r2", {"text": "x"}))
    assert split(record("r3", {"level": "train"})) == "train"
    with pytest.raises(InvalidInputError, match="case"):
        split(record("r4", {"level": "Train"}))


def test_a_field_with_too_many_values_names_no_splits() -> None:
    split = split_of(SplitOptions(split_by="id"))
    assert [split(record("r", {"id": f"n{number}"})) for number in range(MOST_SPLITS)][-1] == f"n{MOST_SPLITS - 1}"
    with pytest.raises(InvalidInputError, match=f"more than {MOST_SPLITS}"):
        split(record("r", {"id": "one_more"}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"splits": {}}, "no split"),
        ({"splits": {"train": 0.5}}, "make 0.5"),
        ({"splits": {"train": 1.5, "test": -0.5}}, "'train'"),
        ({"splits": {"train": "1"}}, "'train'"),
        ({"splits": {"train": True}}, "'train'"),
        ({"splits": {"a/b": 1.0}}, "'a/b'"),
        ({"splits": {"test": 0.5, "Test": 0.5}}, "case"),
        ({"splits": {"train": 1.0}, "split_by": "x"}, "not both"),
        ({"splits": HALVES, "group_by": "@runs"}, "@run"),
        ({"splits": HALVES, "group_by": "@input."}, "@input.FIELD"),
        ({"splits": HALVES, "group_by": ""}, "''"),
        ({"group_by": "topic"}, "group_by says"),
        ({"split_by": "x", "group_by": "topic"}, "no shares"),
        ({"split_by": "x", "seed": 7}, "a seed says"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        SplitOptions(**options)
