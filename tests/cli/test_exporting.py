"""`export`: what it writes, what it says, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow.parquet
import pytest

from cli.calling import call, call_json, in_a_terminal, run
from cli.stores import ENDED


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_it_writes_what_was_asked_for_and_says_so(here: Path):
    target = here / "out.jsonl"
    ended = call("export", ENDED, str(target))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[:3] == [f"file\t{target}", "form\tjsonl", "records\t2"]
    assert [line["country"] for line in lines(target)] == ["France", "Japan"]
    report = call_json("export", ENDED, str(target), "--overwrite", "--all-statuses")
    assert (report["records"], report["without_data"], report["master_job_ids"]) == (4, 2, [ENDED])


def test_conditions_and_samples_choose_records(here: Path):
    target = here / "out.jsonl"
    for words, countries in {
        ("--where", "country~JAP"): ["Japan"],
        ("--where", "country>G", "--where", "capital"): ["Japan"],
        ("--where", "@attempts>=1", "--where", "country<G"): ["France"],
        ("--where", "country~a", "--sample", "1", "--sample-seed", "1"): None,
    }.items():
        report = call_json("export", ENDED, str(target), "--overwrite", *words)
        found = [line["country"] for line in lines(target)]
        assert report["records"] == len(found)
        assert found == countries if countries is not None else len(found) == 1
    ended = call("export", ENDED, str(target), "--overwrite", "--where", "@attempts>9")
    assert (ended.status, ended.err, target.read_bytes()) == (0, "No records match: 0 written.\n", b"")
    ended = call("export", ENDED, str(here / "other.jsonl"), "--where", "@costs>1")
    assert ended.status == 2
    assert "@cost, " in ended.err
    assert not (here / "other.jsonl").exists()


@pytest.mark.parametrize("words", [["--project", "geography"], ["capitals-1", "capitals-2"]], ids=" ".join)
def test_several_runs_go_into_one_file(here: Path, words: list[str]):
    ended = call("export", *words, str(here / "out.csv"), "--json")
    report = json.loads(ended.out)
    assert (report["records"], report["master_job_ids"]) == (3, ["capitals-1", "capitals-2"])
    left = {"master_job_id": "capitals-2", "status": "running", "inputs_left": 5, "inputs": 6}
    assert report["unfinished"] == [left]
    assert ended.err == (
        "run capitals-2 is not complete: it is running, with 5 of 6 inputs left. Export it again when it is.\n"
    )


def test_metadata_and_messages(here: Path):
    target = here / "out.jsonl"
    words = ("--metadata", "--messages", "user=country,assistant=capital", "--system", "Answer.")
    assert call("export", ENDED, str(target), *words, "-q") == (0, "", "")
    first = lines(target)[0]
    assert first["messages"] == [
        {"role": "system", "content": "Answer."},
        {"role": "user", "content": "France"},
        {"role": "assistant", "content": "ecnarF"},
    ]
    metadata = first["metadata"]
    assert isinstance(metadata, dict)
    assert (metadata["input"], metadata["cost"], metadata["attempts"]) == ({"country": "France"}, 0.25, 1)


def test_conversations_are_written_as_their_file_ends(here: Path):
    words = ("--with-input", "--input-key", "asked", "--messages", "user=asked.country,assistant=capital", "-q")
    for name in ("out.jsonl", "out.parquet"):
        assert call("export", ENDED, name, *words) == (0, "", "")
    assert pyarrow.parquet.read_table("out.parquet").to_pylist() == lines(here / "out.jsonl")
    spoken = [{"role": "user", "content": "France"}, {"role": "assistant", "content": "ecnarF"}]
    assert lines(here / "out.jsonl")[0] == {"messages": spoken}
    ended = call("export", ENDED, "dataset", "--form", "trl", *words[:5], "--split", "train=0.5,test=0.5", "--json")
    assert (json.loads(ended.out)["form"], sorted(os.listdir("dataset"))) == ("trl", ["README.md", "data"])
    splits = ("--split", "train=0.5,test=0.5", "--group-by", "country", "--compression", "gzip", "-q")
    for directory, form in (("rows", ("--form", "jsonl")), ("chats/", ("--form", "trl", "--container", "jsonl"))):
        spoken = words[:5] if directory == "chats/" else ()
        assert call("export", ENDED, directory, *form, *spoken, *splits).status == 0
        files = sorted(path.name for path in (here / directory).glob("*.jsonl*"))
        assert sum(gzip.decompress((here / directory / name).read_bytes()).count(b"\n") for name in files) == 2
        assert {*files} <= {"train.jsonl.gz", "test.jsonl.gz"}


def test_what_is_damaged_ends_it_or_is_named(here: Path):
    target = here / "out.jsonl"
    data = {
        json.loads(path.read_bytes())["country"]: path
        for path in (here / "store" / "data").rglob("*.json")
        if b"country" in path.read_bytes()
    }
    data["France"].write_text('{"country": "Gaul"}\n')
    ended = call("export", ENDED, str(target))
    assert (ended.status, ended.out) == (2, "")
    assert data["France"].stem in ended.err
    assert not target.exists()
    ended = call("export", ENDED, str(target), "--skip-damaged")
    assert ended.status == 1
    assert "skipped\t1" in ended.out.splitlines()
    assert f"left out {data['France'].stem}: " in ended.err
    assert [line["country"] for line in lines(target)] == ["Japan"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out.jsonl"], "no run is named"),
        (["nobody", "out.jsonl"], "'nobody' does not exist"),
        (["last", "out.xls"], "out.xls"),
        (["last", "out.jsonl", "--system", "x"], "no message is named"),
        (["last", "out.parquet", "--split", "train=1", "--form", "parquet"], "such as 'out', and say the form"),
        (["last", "out.csv", "--split", "train=1", "--form", "csv"], "--split is for --form jsonl"),
        (["last", "out", "--split", "train=x"], "train=0.9"),
        (["last", "out", "--split", "train=0.5"], "must make 1"),
        (["last", "out", "--split", "train=0.5, train=0.5"], "'train' twice"),
        (["last", "out", "--split", "all=1"], "all splits together"),
        (["last", "out", "--split", "a=.5,b=.5", "--group-by", "@input.nope"], "has no input with the field 'nope'"),
        (["last", "out.parquet.gz"], "out.parquet.gz"),
        (["last", "out.jsonl", "--compression", "zstd"], "'out.jsonl' does not say so: end it in .zst"),
        (["last", "out.jsonl.gz", "--compression", "zstd"], "means gzip, and not zstd"),
        (["last", "out", "--form", "jsonl", "--split", "a=1", "--compression", "lz4"], "use one of gzip, zstd"),
        (["last", "out.jsonl", "--fields", "capitol"], "no record that was read has the field 'capitol'"),
        (["last", "out.jsonl", "--messages", "boss=country"], "boss"),
        (["last", "out.csv", "--messages", "user=country", "--form", "csv"], "--messages"),
        (["last", "out.csv", "--seed", "5"], "--seed is for --form jsonl"),
        (["last", "out.csv", "--split", "a=.5,b=.5"], "--split is for --form jsonl"),
        (["last", "out.csv", "--messages", "user=n"], "--messages is for --form messages"),
        (["last", "out.jsonl", "--messages", "user=n", "--raw-cells"], "--messages and --raw-cells do not fit"),
        (["last", "out.csv", "--form", "openai", "--messages", "user=n"], "and not as csv"),
        (["last", "out.parquet", "--form", "jsonl"], "means parquet, and not jsonl"),
        (["capitals-1", "out.jsonl", "--form", "trl", "--messages-from", "country"], "country: this is text"),
        (["last", "out.jsonl", "--metadata-key", "zz"], "--metadata-key names the key of --metadata"),
        (["last", "out.jsonl", "--all-statuses", "--status", "failed"], "--all-statuses and --status"),
        (["last", "out.jsonl", "--status", "done"], "'done'"),
        (["--project", "nothing", "out.jsonl"], "'nothing' does not exist"),
        (["last", "nowhere/out.jsonl"], "its directory does not exist"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_cannot_be_done_is_refused(here: Path, words: list[str], said: str):
    before = sorted(here.iterdir())
    ended = call("export", *words)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert sorted(here.iterdir()) == before


def test_as_a_process_it_overwrites_only_what_it_may(here: Path):
    words = ("export", "last", "out.jsonl.gz")
    assert run(*words, directory=here).status == 0
    ended = run(*words, directory=here)
    assert ended.status == 2
    assert "already exists" in ended.err
    assert "--overwrite" in ended.err


def test_that_nothing_was_exported_is_told(here: Path):
    ended = call("export", "sums-1", "none.jsonl", "--status", "duplicate")
    assert (ended.status, ended.err.splitlines()[-1]) == (0, "No records match: 0 written.")
    ended = call("export", ENDED, "failed.jsonl", "--status", "failed")
    assert ended.err == "No records with data match (without data: 2): 0 written.\n"
    assert call("export", "sums-1", "none.jsonl", "--status", "duplicate", "--overwrite", "-q") == (0, "", "")


def test_a_form_that_cannot_be_inferred_names_the_option(here: Path):
    for path, name in (("q.unknown", "q.unknown"), ("there/", "there")):
        told = call("export", ENDED, path).err
        assert f"cannot infer the form of '{name}' from its name" in told
        assert "or pass form= (--form), such as huggingface for a directory." in told


def test_inputs_fields_and_a_limit(here: Path):
    target = here / "out.jsonl"
    words = ("--with-input", "--input-key", "of", "--fields", "of.country,capital,capitol", "--limit", "1")
    ended = call("export", ENDED, str(target), *words)
    assert lines(target) == [{"of.country": "France", "capital": "ecnarF"}]
    assert ended.out.splitlines()[4:] == ["limit\t1", "fields\tof.country, capital, capitol"]
    assert ended.err == "No record has the field 'capitol': did you mean 'capital'?\n"
    assert call("export", ENDED, str(target), "--with-input", "--overwrite").status == 0
    assert lines(target)[0]["country"] == "France"


@pytest.mark.parametrize("words", [["--seed", "3"], ["--sample-seed", "3"], ["--seed", "9", "--sample-seed", "3"]])
def test_one_seed_draws_all_that_is_drawn(here: Path, words: list[str]):
    assert call_json("export", ENDED, "out.jsonl", "--sample", "1", *words)["sample_seed"] == 3
    if "9" not in words:
        report = call_json("export", ENDED, "dataset", "--split", "a=1", "--sample", "1", *words)
        assert (report["sample_seed"], report["splits"]["seed"]) == (3, 3 if "--seed" in words else 0)


def test_a_search_chooses_records(here: Path):
    target = here / "out.jsonl"
    ended = call("export", ENDED, str(target), "--search", "country:japan OR nothing")
    assert [line["country"] for line in lines(target)] == ["Japan"]
    assert "found by\tcountry:japan OR nothing" in ended.out.splitlines()
    ended = call("export", ENDED, str(here / "other.jsonl"), "--search", "-japan")
    assert ended.status == 2
    assert not (here / "other.jsonl").exists()


def test_records_go_to_the_standard_output_and_what_is_said_to_the_other(here: Path):
    ended = call("export", ENDED, "-")
    assert [json.loads(line)["country"] for line in ended.out.splitlines()] == ["France", "Japan"]
    assert ended.err.splitlines()[:3] == ["file\t-", "form\tjsonl", "records\t2"]
    ended = call("export", ENDED, "-", "--form", "csv", "--json")
    assert ended.out.splitlines()[0] == '\ufeff"country","capital","note"'
    assert json.loads(ended.err)["form"] == "csv"
    for words, said in ((["--form", "huggingface"], "name a directory"), (["--overwrite"], "--overwrite is for files")):
        ended = call("export", ENDED, "-", *words)
        assert (ended.status, ended.out) == (2, "")
        assert said in ended.err
    for words in (["--compression", "gzip"], ["--form", "parquet"]):
        status, shown = in_a_terminal("export", ENDED, "-", *words, directory=here)
        assert (status, "not text: send it" in shown) == (2, True), shown
    assert sorted(path.name for path in here.iterdir()) == ["store"]


def test_objects_that_are_not_alike_are_written_as_asked_for(here: Path):
    (here / "calls.jsonl").write_text('{"a": {"x": 1}, "m": {"k": 1}}\n{"a": {"y": "z"}, "m": {"l": 2.5}}\n')
    run_id = call_json("import", "calls.jsonl")["master_job_ids"][0]
    ended = call("export", run_id, "out.parquet", "--map", "m")
    assert ended.err.splitlines()[-1] == (
        "$.a is written as JSON text, 2 values: objects of which some have keys that others lack"
    )
    report = call_json("export", run_id, "out.arrow", "--map", "m,a")
    assert [conflict["written_as"] for conflict in report["conflicts"]] == ["JSON text"]
    assert report["conflicts"][0]["reason"] == "as the values of a map, values of different kinds"
    assert call_json("export", run_id, "set", "--form", "huggingface", "--pad")["conflicts"] == []
    assert call_json("export", run_id, "plain", "--form", "huggingface", "--plain-json")["conflicts"] != []
    assert (here / "plain" / "README.md").read_text().count("dtype: string") == 2
    for words, said in (
        (["late.parquet", "--map", "b"], "no record has an object in 'b'"),
        (["b.parquet", "--map", "a["], "is no path"),
        (["c.csv", "--pad"], "--pad is for --form"),
    ):
        ended = call("export", run_id, *words)
        assert (ended.status, said in ended.err) == (2, True), ended.err
        assert not (here / words[0]).exists()
