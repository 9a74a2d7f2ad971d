"""Preference pairs of the outputs of one input, by a field or by what people say, and of records that hold both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from export.saving import save
from export.test_messages import ONE, lines
from generation.runs import open_store
from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import InvalidInputError, NotExportableError, StorageIOError
from starfish_storage.export import PairReport, export, form_named
from starfish_storage.filtering import filter_records
from starfish_storage.generation import generate
from starfish_storage.imports import import_file
from starfish_storage.metadata.outputs_table import OutputsTable
from starfish_storage.testing.samples import save_run
from starfish_storage.testing.suites.suite import refused

RUNS = ["run-1", "run-2"]
ASKED: dict[str, Any] = {"messages": (("user", "question"), ("assistant", "answer"))}
SCORES: dict[str, list[Any]] = {  # of four outputs to each question: two of each run
    "a": [0.1, 3, 2, None],
    "b": [1, 1.0, True, 1],  # all the same
    "c": [None, "high", None, 5],  # one that is known
    "d": [False, True, 2**70, 10**400],
}


def answers(question: str, order: int) -> list[dict[str, Any]]:
    """Two of the answers to a question."""
    told = [
        {"question": question, "answer": f"{question}{order + k}", "score": SCORES[question][order + k]} for k in (0, 1)
    ]
    return [{name: value for name, value in one.items() if value is not None} for one in told]


@pytest.fixture
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """A store in which two runs have answered the same questions: local, or as a test wants it."""
    place = (tmp_path / "store").as_uri()
    if getattr(request, "param", "sqlite") == "postgres":
        place = f"{request.getfixturevalue('postgres_uri')} {place}"
    inputs = [{"question": question} for question in SCORES]
    async with open_store(place) as storage:
        for number, (run, some) in enumerate(zip(RUNS, (inputs, inputs[::-1]), strict=True)):

            async def answer(question: str, order: int = 2 * number) -> list[dict[str, Any]]:
                return answers(question, order)

            await generate(storage, answer, some, project="p", master_job_id=run, progress="quiet", max_concurrency=1)
        yield storage


def said(rows: list[Any]) -> list[tuple[str, str, str]]:
    """Return what was asked, and the two answers, of preference pairs."""
    return [tuple(row[key][-1]["content"] for key in ("prompt", "chosen", "rejected")) for row in rows]  # type: ignore[misc]


@pytest.mark.parametrize("storage", ["sqlite", "postgres"], indirect=True)
async def test_the_best_output_of_an_input_is_paired_with_the_worst(storage: Storage, tmp_path: Path) -> None:
    form = form_named("preferences", "out.jsonl", prefer="score", **ASKED)
    report = await export(storage, tmp_path / "out.jsonl", form, master_job_ids=RUNS)
    # Over both runs, in the order of the first outputs; of equal ones the first.
    assert said(lines(tmp_path / "out.jsonl")) == [("a", "a1", "a0"), ("d", "d3", "d0")]
    assert report.records == 2
    # "c" has one output that is known, and "b" no better one; `1`, `1.0` and `true` are equal.
    assert report.pairs == PairReport(pairs=2, inputs=4, single=1, ties=1, alike=0, without_score=4)
    await export(storage, tmp_path / "again.jsonl", form, master_job_ids=RUNS)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


async def test_all_pairs_of_an_input(storage: Storage, tmp_path: Path) -> None:
    form = form_named("openai-dpo", "out.parquet", prefer="score", pairs="all", **ASKED)
    report = await export(storage, tmp_path / "out.parquet", form, master_job_ids=RUNS)
    assert report.pairs == PairReport(pairs=3 + 6, inputs=4, single=1, ties=1, without_score=4)
    ended = call("check", str(tmp_path / "out.parquet"))
    assert (ended.status, "openai-dpo" in ended.out) == (0, True)


async def test_records_that_share_a_field_are_paired(tmp_path: Path) -> None:
    data: list[dict[str, Any]] = [
        {"q": {"en": "a"}, "question": "a", "answer": "first", "score": 1},
        {"q": {"en": "b"}, "question": "b", "answer": "second", "score": 1},
        {"q": {"en": "a"}, "question": "a", "answer": "third", "score": 2},
    ]
    async with open_store((tmp_path / "imported").as_uri()) as storage:
        (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in data), "utf-8")
        report = await import_file(storage, tmp_path / "rows.jsonl")
        runs: Any = {"master_job_ids": report.master_job_ids}
        form = form_named("preferences", "out.jsonl", prefer="score", pair_by="q", **ASKED)
        found = (await export(storage, tmp_path / "out.jsonl", form, **runs)).pairs
        assert found == PairReport(pairs=1, inputs=2, single=1)
        assert said(lines(tmp_path / "out.jsonl")) == [("a", "third", "first")]
        form = form_named("preferences", "set", prefer="score", pair_by="q", **ASKED)
        assert (await export(storage, tmp_path / "set", form, **runs)).paired == {
            "prefer": "score",
            "pairs": "best",
            "pair_by": "q",
        }
        card = (tmp_path / "set" / "README.md").read_text("utf-8")
        assert "- of each value of q the best with the worst output: more of score is better" in card
        form = form_named("preferences", "no.jsonl", prefer="score", pair_by="q.fr", **ASKED)
        with refused(NotExportableError, "q.fr: the record has no such field"):
            await export(storage, tmp_path / "no.jsonl", form, **runs)


async def test_all_pairs_of_a_field_are_in_one_split(tmp_path: Path) -> None:
    data = [{"question": f"q{n}", "answer": f"a{k}", "score": k} for n in range(9) for k in range(3)]
    async with open_store((tmp_path / "imported").as_uri()) as storage:
        (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in data), "utf-8")
        runs: Any = {"master_job_ids": (await import_file(storage, tmp_path / "rows.jsonl")).master_job_ids}
        how: dict[str, Any] = {"container": "jsonl", "splits": {"train": 0.5, "test": 0.5}, "pairs": "all", **ASKED}
        form = form_named("preferences", "set", prefer="score", pair_by="question", **how)
        report = await export(storage, tmp_path / "set", form, **runs)
        found = {name: {one for one, *_ in said(lines(tmp_path / "set" / f"{name}.jsonl"))} for name in how["splits"]}
        assert (len(found["train"] | found["test"]), found["train"] & found["test"]) == (9, set())
        assert report.splits is not None
        assert report.splits.group_by == "question"
        form = form_named("preferences", "other", prefer="score", pair_by="question", group_by="@record", **how)
        assert form.splitting is not None
        assert form.splitting.group_by == "@record"


async def test_accepted_outputs_are_better_than_rejected_ones(storage: Storage, tmp_path: Path) -> None:
    found = [one async for batch in filter_records(storage, RUNS[0]) for one in batch]
    uids = {json.loads(one.payload or b"")["answer"]: one.record_uid for one in found}
    notes = storage.annotations
    await notes.add(uids["a0"], "verdict", "accepted", author="ann")
    await notes.add(uids["a1"], "verdict", "rejected", author="ann")
    await notes.add(uids["b0"], "verdict", "accepted", author="ann")
    await notes.add(uids["b1"], "verdict", "rejected", author="ann")
    await notes.add(uids["b1"], "verdict", "accepted", author="bob")  # they do not agree
    await notes.add(uids["d0"], "rating", 2, author="bob")
    await notes.add(uids["d1"], "rating", 4, author="bob")
    form = form_named("preferences", "out.jsonl", prefer="@verdict", **ASKED)
    report = await export(storage, tmp_path / "out.jsonl", form, master_job_ids=RUNS[:1])
    assert said(lines(tmp_path / "out.jsonl")) == [("a", "a0", "a1")]
    assert report.pairs == PairReport(pairs=1, inputs=4, single=3, without_score=5)
    form = form_named("preferences", "out.jsonl", prefer="@rating", **ASKED)
    await export(storage, tmp_path / "out.jsonl", form, master_job_ids=RUNS, overwrite=True)
    assert said(lines(tmp_path / "out.jsonl")) == [("d", "d1", "d0")]


async def test_pairs_stand_in_the_split_of_their_input(storage: Storage, tmp_path: Path) -> None:
    form = form_named("preferences", "set", prefer="score", splits={"train": 0.5, "test": 0.5}, **ASKED)
    report = await export(storage, tmp_path / "set", form, master_job_ids=RUNS)
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "- of each input the best with the worst output: more of score is better" in card
    assert report.splits is not None
    assert sum(report.splits.records.values()) == 2


async def test_outputs_that_say_the_same_make_no_pair(storage: Storage, tmp_path: Path) -> None:
    form = form_named(
        "preferences", "out.jsonl", prefer="score", messages=(("user", "question"), ("assistant", "question"))
    )
    report = await export(storage, tmp_path / "out.jsonl", form, master_job_ids=RUNS)
    assert report.pairs == PairReport(inputs=4, single=1, ties=1, alike=2, without_score=4)


async def test_a_wrong_pair_is_refused_with_its_records_and_its_path(storage: Storage, tmp_path: Path) -> None:
    form = form_named(
        "preferences", "out.jsonl", prefer="score", messages=(("user", "answer"), ("assistant", "question"))
    )
    with refused(NotExportableError, "the pair with record"):
        await export(storage, tmp_path / "out.jsonl", form, master_job_ids=RUNS)
    report = await export(storage, tmp_path / "out.jsonl", form, master_job_ids=RUNS, skip_damaged=True)
    assert (report.records, report.skipped_records) == (0, 2)
    assert "chosen: does not begin with the messages" in report.skipped[0].reason
    form = form_named(
        "preferences", "no.jsonl", prefer="score", messages=(("user", "question"), ("assistant", "nothing"))
    )
    with refused(NotExportableError, "nothing: the record has no such field"):
        await export(storage, tmp_path / "no.jsonl", form, master_job_ids=RUNS)
    form = form_named("preferences", "no.jsonl", prefer="score", **ASKED)
    with refused(NotExportableError, "no place for annotations"):
        await export(storage, tmp_path / "no.jsonl", form, master_job_ids=RUNS, with_annotations=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "store"]


async def test_records_that_hold_two_answers(tmp_path: Path) -> None:
    prompt, better, worse = ({"role": role, "content": role} for role in ("user", "assistant", "assistant"))
    worse = worse | {"content": "worse"}
    texts = {"prompt": "user", "chosen": "assistant", "rejected": "worse"}
    async with LocalStorage(tmp_path / "kept") as storage:
        await save_run(storage)
        await save(storage, [texts, texts | {"chosen": [better], "rejected": [worse]}])
        chosen: dict[str, Any] = {"chosen_from": "chosen", "rejected_from": "rejected"}
        form = form_named("preferences", "out.jsonl", messages=(("user", "prompt"),), **chosen)
        await export(storage, tmp_path / "out.jsonl", form, **ONE)
        row = {"prompt": [prompt], "chosen": [better], "rejected": [worse]}
        assert lines(tmp_path / "out.jsonl") == [row, row]
        await save(storage, [{"chosen": [prompt, better], "rejected": [prompt, worse]}])
        form = form_named("preferences", "implicit.jsonl", **chosen)
        await export(storage, tmp_path / "implicit.jsonl", form, where=["!prompt"], **ONE)
        assert lines(tmp_path / "implicit.jsonl") == [row]
        with refused(NotExportableError, "chosen: does not begin"):
            wrong = {"chosen": [prompt, better], "rejected": [{"role": "user", "content": "other"}, worse]}
            await save(storage, [wrong])
            await export(storage, tmp_path / "no.jsonl", form, where=["!prompt"], **ONE)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "nothing says which answer is better"),
        ({"prefer": "score"}, "no message is named"),
        ({"prefer": "score", "chosen_from": "a", "rejected_from": "b", **ASKED}, "nothing says which answer is better"),
        ({"chosen_from": "a", **ASKED}, "nothing says which answer is better"),
        ({"prefer": "@cost", **ASKED}, "use @verdict or @rating"),
        ({"prefer": "score", "pairs": "worst", **ASKED}, "use best or all"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], reason: str) -> None:
    with refused(InvalidInputError, reason):
        form_named("preferences", "out.jsonl", **given)


async def test_pairs_on_the_command_line(storage: Storage, tmp_path: Path) -> None:
    target, store = str(tmp_path / "out.jsonl"), ("--store", str(tmp_path / "store"))
    words = ("export", *RUNS, target, "--messages", "user=question,assistant=answer", "--prefer", "score")
    ended = await asyncio.to_thread(call, *words, *store)
    assert ended.status == 0, ended
    assert "form\tpreferences" in ended.out
    assert "pairs\t2 from 4 inputs; without one: 1 with fewer than two scores, 1 with equal scores" in ended.out
    assert ended.err == "4 outputs cannot be compared: no number stands under score.\n"
    assert (await asyncio.to_thread(call, "check", target)).status == 0
    none = await asyncio.to_thread(call, *words[:-1], "scor", "--overwrite", *store)
    assert none.err.splitlines()[1:] == ["There is no pair of outputs of which one is better: 0 written."]
    printed = await asyncio.to_thread(call, *words, "--overwrite", "--pairs", "all", "--json", *store)
    report = json.loads(printed.out)
    assert report["paired"] == {"prefer": "score", "pairs": "all"}
    assert report["pairs"] == {
        "pairs": 9,
        "inputs": 4,
        "single": 1,
        "ties": 1,
        "alike": 0,
        "without_score": 4,
    }
    assert len([json.loads(line) for line in Path(target).read_text().splitlines()]) == 9


def test_a_disk_that_takes_no_outputs_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageIOError, match="nowhere"):
        OutputsTable(str(tmp_path / "nowhere"))
    table = OutputsTable(str(tmp_path))
    assert list(tmp_path.iterdir()) == []  # it has no name any more
    table.add(b"x", 1.0, b"one")
    assert [[(one.score, table.held(one.number)) for one in group] for group in table.by_input()] == [[(1.0, b"one")]]
    table.close()
    table.close()
