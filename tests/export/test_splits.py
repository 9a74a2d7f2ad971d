"""Exports in splits: each form that has them, opened by the real library; what stands twice in them; the card."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call, call_json
from generation.runs import open_store
from starfish_storage import Storage
from starfish_storage.errors import AlreadyExistsError, InvalidInputError, NotExportableError
from starfish_storage.export import (
    ArrowIpc,
    Csv,
    Form,
    HuggingFace,
    JsonLines,
    Parquet,
    TRLConversations,
    export,
    form_named,
)
from starfish_storage.generation import generate
from starfish_storage.imports import import_file
from starfish_storage.testing.suites.suite import refused

RUNS = ["run-1", "run-2"]
QUESTIONS = 45
SHARES = {"train": 0.7, "test": 0.3}


def answers(question: str, n: int) -> list[dict[str, Any]]:
    """Four answers to a question, of which the last has a field of its own."""
    said = {"question": question, "level": ("easy", "hard")[n % 2]}
    return [{**said, "answer": f"{question} {k}", **({"note": {"n": n}} if k == 3 else {})} for k in range(4)]


@pytest.fixture
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """A store with two runs that ask the same questions: local, or as a test wants it."""
    place = (tmp_path / "store").as_uri()
    if getattr(request, "param", "sqlite") == "postgres":
        place = f"{request.getfixturevalue('postgres_uri')} {place}"
    inputs = [{"question": f"question {n}?", "n": n} for n in range(QUESTIONS)]
    async with open_store(place) as storage:
        for run, some in zip(RUNS, (inputs, reversed(inputs)), strict=True):
            await generate(storage, answers, list(some), project="p", master_job_id=run, progress="quiet")
        yield storage


def opened(directory: Path, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each split, as `datasets` reads them."""
    import datasets

    datasets.disable_progress_bars()
    found: Any = datasets.load_dataset(str(directory), cache_dir=str(cache))
    return {name: list(split) for name, split in found.items()}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


FORMS = [HuggingFace, JsonLines, Parquet, ArrowIpc]


@pytest.mark.parametrize("kind", FORMS)
async def test_no_question_is_trained_on_and_tested(storage: Storage, tmp_path: Path, kind: Any) -> None:
    form: Form = kind(splits=SHARES, seed=3, metadata_key="about")
    report = await export(storage, tmp_path / "set", form, master_job_ids=RUNS)
    rows = opened(tmp_path / "set", tmp_path / "cache")
    assert list(rows) == ["train", "test"]
    train, test = ({row["question"] for row in rows[name]} for name in SHARES)
    assert not train & test
    assert len(train | test) == QUESTIONS
    assert sum(map(len, rows.values())) == report.records == QUESTIONS * 4 * 2
    assert report.splits is not None
    assert report.splits.records == {name: len(some) for name, some in rows.items()}
    assert (report.splits.shares, report.splits.group_by, report.splits.seed) == (SHARES, "@input", 3)
    found = report.duplicates  # the runs give the same answers
    assert found is not None
    assert (found.records, found.over_splits, found.inputs_over_splits, found.left_out) == (180, 0, None, False)
    assert report.bytes == sum(path.stat().st_size for path in (tmp_path / "set").rglob("*") if path.is_file())
    card = (tmp_path / "set" / "README.md").read_text()
    assert "hash of the input that they were made of" in card
    assert f"| `test` | {report.splits.records['test']} |" in card
    assert "180 records are equal to an earlier one, none to one in another split." in card


async def test_files_of_splits_are_replaced_in_one_step(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "set"
    for form, names in (
        (JsonLines(splits=SHARES), ["README.md", "test.jsonl", "train.jsonl"]),
        (Parquet(splits=SHARES), ["README.md", "test.parquet", "train.parquet"]),
        (HuggingFace(), ["README.md", "data"]),
        (JsonLines("gzip", splits=SHARES), ["README.md", "test.jsonl.gz", "train.jsonl.gz"]),
    ):
        await export(storage, target, form, master_job_ids=RUNS, overwrite=True)
        assert sorted(path.name for path in target.iterdir()) == names
    with refused(AlreadyExistsError, "set"):
        await export(storage, target, form, master_job_ids=RUNS)
    (target / "notes.txt").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    (tmp_path / "theirs" / "data").mkdir(parents=True)
    (tmp_path / "theirs" / "README.md").write_text("---\ntags:\n- synthetic\n---\n")
    for place in (target, tmp_path / "mine", tmp_path / "theirs"):
        with refused(InvalidInputError, "no export wrote"):
            await export(storage, place, form, master_job_ids=RUNS, overwrite=True)
    (tmp_path / "mine" / "train.jsonl").write_text("mine too")  # as in many a directory of data
    (tmp_path / "theirs" / "data" / "train-00000-of-00001.parquet").write_text("theirs")
    for place in (tmp_path / "mine", tmp_path / "theirs"):
        with refused(InvalidInputError, "no export wrote"):
            await export(storage, place, form, master_job_ids=RUNS, overwrite=True)
    with refused(NotExportableError, "'nothing'"):
        await export(storage, tmp_path / "other", JsonLines(split_by="nothing"), master_job_ids=RUNS)
    with refused(InvalidInputError, "no row would be in it"):
        await export(storage, tmp_path / "other", JsonLines(splits=SHARES), master_job_ids=RUNS, where=["n=7"])
    assert {path.name for path in tmp_path.iterdir()} <= {"mine", "set", "store", "theirs"}


async def test_rows_that_become_conversations_are_divided_by_their_prompts(storage: Storage, tmp_path: Path) -> None:
    rows = [{"q": f"q{n}", "a": f"a{k}"} for n in range(12) for k in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    runs = (await import_file(storage, tmp_path / "rows.jsonl")).master_job_ids
    said: dict[str, Any] = {"messages": (("user", "q"), ("assistant", "a")), "splits": SHARES}
    for name in ("openai", "messages"):
        how = {} if name == "messages" else {"container": "jsonl"}
        report = await export(storage, tmp_path / name, form_named(name, name, **said, **how), master_job_ids=runs)
        assert report.splits is not None
        assert sum(report.splits.records.values()) == 36
        assert all(count % 3 == 0 for count in report.splits.records.values())
        assert report.duplicates is not None
        assert report.duplicates.prompts_over_splits == 0


async def test_a_name_of_a_file_is_refused_with_the_remedy(storage: Storage, tmp_path: Path) -> None:
    for name in ("set.jsonl", "set.jsonl.gz", "set.parquet", "set.csv/"):
        for form in (JsonLines(splits=SHARES), Parquet(splits=SHARES), HuggingFace()):
            with refused(InvalidInputError, f"such as 'set', and say the form (--form {form.name})"):
                await export(storage, f"{tmp_path}/{name}", form, master_job_ids=RUNS)


async def test_tables_of_splits_have_one_schema(storage: Storage, tmp_path: Path) -> None:
    import pyarrow.parquet

    await export(storage, tmp_path / "set", Parquet(split_by="level"), master_job_ids=RUNS[:1])
    easy, hard = (pyarrow.parquet.read_schema(tmp_path / "set" / f"{name}.parquet") for name in ("easy", "hard"))
    assert easy.equals(hard, check_metadata=True)
    assert json.loads(easy.metadata[b"starfish_storage.division"]) == {"split_by": "level"}
    rows = opened(tmp_path / "set", tmp_path / "cache")
    assert {name: {row["level"] for row in some} for name, some in rows.items()} == {"easy": {"easy"}, "hard": {"hard"}}


async def test_what_splits_by_other_means_leaks_is_said(storage: Storage, tmp_path: Path) -> None:
    form = JsonLines(splits={"train": 0.5, "test": 0.5}, group_by="@record")
    report = await export(storage, tmp_path / "set", form, master_job_ids=RUNS)
    rows = [
        [json.loads(line) for line in (tmp_path / "set" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "test")
    ]
    both = {row["question"] for row in rows[0]} & {row["question"] for row in rows[1]}
    texts = [{json.dumps(row, sort_keys=True) for row in some} for some in rows]
    found = report.duplicates
    assert found is not None
    assert found.inputs_over_splits == len(both) > 40
    assert (found.records, found.over_splits) == (180, len(texts[0] & texts[1]))
    assert found.over_splits > 60
    one = next(one for one in found.named if one.split != one.split_of_equal)
    assert {one.split, one.split_of_equal} == {"train", "test"}
    assert f"{len(both)} inputs stand in more than one split." in (tmp_path / "set" / "README.md").read_text()
    by_run = await export(
        storage, tmp_path / "runs", JsonLines(splits=SHARES, group_by="@run"), master_job_ids=RUNS[:1]
    )
    assert by_run.splits is not None
    assert sorted(by_run.splits.records.values()) == [0, 180]
    assert len(by_run.splits.empty) == 1
    assert f"No record came into the split {by_run.splits.empty[0]}." in (tmp_path / "runs" / "README.md").read_text()


@pytest.mark.parametrize("storage", ["sqlite", "postgres"], indirect=True)
async def test_duplicates_are_left_out(storage: Storage, tmp_path: Path) -> None:
    whole = await export(storage, tmp_path / "whole.jsonl", master_job_ids=RUNS)
    assert (whole.records, whole.duplicates, whole.splits) == (360, None, None)
    report = await export(storage, tmp_path / "out.jsonl", master_job_ids=RUNS, dedupe=True)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert lines == (tmp_path / "whole.jsonl").read_bytes().splitlines()[:180]  # the first ones stay, in their order
    assert report.records == 180
    assert report.duplicates is not None
    assert (report.duplicates.left_out, report.duplicates.records, report.duplicates.over_splits) == (True, 180, 0)
    records = await storage.get_records_for_master_job(RUNS[1])
    assert {one.record_uid for one in report.duplicates.named} == {one.record_uid for one in records}
    form = Csv(metadata_key="about")  # what the store knows of each is not compared
    assert (await export(storage, tmp_path / "out.csv", form, master_job_ids=RUNS, dedupe=True)).records == 180


async def test_rows_are_divided_as_stored_and_compared_as_written(storage: Storage, tmp_path: Path) -> None:
    some: dict[str, Any] = {"master_job_ids": RUNS, "fields": ["answer"], "overwrite": True}
    form = JsonLines(splits=SHARES, group_by="question")
    await export(storage, tmp_path / "set", form, **some)
    train, test = (
        {json.loads(line)["answer"].split("?")[0] for line in (tmp_path / "set" / name).read_text().splitlines()}
        for name in ("train.jsonl", "test.jsonl")
    )
    assert (len(train | test), train & test) == (QUESTIONS, set())
    some |= {"fields": ["level"], "dedupe": True}
    levels = await export(storage, tmp_path / "out.jsonl", **some)
    assert (tmp_path / "out.jsonl").read_text() == '{"level":"easy"}\n{"level":"hard"}\n'
    assert levels.duplicates is not None
    assert (levels.records, levels.duplicates.records) == (2, 358)
    few = await export(storage, tmp_path / "out.jsonl", limit=2, **some)
    assert few.duplicates is not None
    assert (few.records, few.duplicates.records) == (2, 3)  # what comes behind the last one written is not looked at


@pytest.mark.parametrize("container", FORMS)
async def test_conversations_are_divided_by_their_container(storage: Storage, tmp_path: Path, container: Any) -> None:
    spoken = (("user", "question"), ("assistant", "answer"))
    form = TRLConversations(container=container(splits=SHARES), messages=spoken)
    report = await export(storage, tmp_path / "set", form, master_job_ids=RUNS)
    assert report.duplicates is not None
    assert (report.duplicates.records, report.duplicates.prompts_over_splits) == (180, 0)
    rows = opened(tmp_path / "set", tmp_path / "cache")
    train, test = ({row["messages"][0]["content"] for row in rows[name]} for name in SHARES)
    assert (len(train | test), train & test) == (QUESTIONS, set())
    with refused(InvalidInputError, "trl with splits makes a directory"):
        await export(
            storage, tmp_path / "set.jsonl", TRLConversations(container=JsonLines(splits=SHARES), messages=spoken)
        )


async def test_what_people_say_makes_no_difference(storage: Storage, tmp_path: Path) -> None:
    records = await storage.get_records_for_master_job(RUNS[1])
    for record in records:
        await storage.annotations.add(record.record_uid, "verdict", "accepted", author="ann")
    splits = JsonLines(splits=SHARES)
    report = await export(storage, tmp_path / "set", splits, master_job_ids=RUNS, dedupe=True, with_annotations=True)
    assert report.records == 180


async def test_rows_of_files_go_by_their_data(storage: Storage, tmp_path: Path) -> None:
    rows = [{"q": number % 300, "a": "x"} for number in range(1200)]  # four of each, over three batches
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    imported = await import_file(storage, tmp_path / "rows.jsonl", project_id="q")
    report = await export(storage, tmp_path / "set", JsonLines(splits=SHARES), master_job_ids=imported.master_job_ids)
    assert report.splits is not None
    assert 0.2 < report.splits.records["test"] / 1200 < 0.4  # not by batches of 500
    assert report.duplicates is not None
    assert (report.duplicates.records, report.duplicates.over_splits) == (900, 0)


def test_the_command_says_it(tmp_path: Path) -> None:
    rows = [{"q": n // 2, "a": "x", "level": ("easy", "hard")[n % 2]} for n in range(40)]
    rows += [{"level": "easy", "a": "x", "q": 0}, rows[0]]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    place = ("--store", str(tmp_path / "store"))
    assert call("import", str(tmp_path / "rows.jsonl"), *place).status == 0
    target, halves = str(tmp_path / "set"), ("--split", "train=0.5,test=0.5")
    told = call("export", "last", target, *place, "--form", "jsonl", *halves, "--group-by", "q", "--seed", "5")
    assert told.status == 0, told
    words = " ".join(told.out.split())
    assert "divided by q, with the seed 5" in words
    assert "duplicates 2 equal to an earlier record" in words
    counts = {name: len((tmp_path / "set" / f"{name}.jsonl").read_text().splitlines()) for name in ("train", "test")}
    assert f"splits train {counts['train']}, test {counts['test']}" in words
    again = call_json("export", "last", target, *place, "--form", "jsonl", *halves, "--dedupe", "--overwrite")
    assert (again["records"], again["duplicates"]["left_out"], again["duplicates"]["records"]) == (40, True, 2)
    assert again["splits"]["group_by"] == "@input"
    for words, said in (
        ((target, "--overwrite", *halves, "--group-by", "level"), "No record came into"),
        ((f"{target}.jsonl", *halves), "--form jsonl"),
        ((target, "--group-by", "level"), "--split train=0.9,test=0.1"),
        ((target, *halves, "--group-by", "@level"), "@input, @record, @run"),
    ):
        told = call("export", "last", *words, *place, *(() if "." in words[0] else ("--form", "jsonl")))
        assert said in f"{told.out}{told.err}", words
