"""Which store a command is about, which run is meant, and what is said if there is none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cli.calling import call, call_json
from cli.stores import DESERTED, ENDED, LOGGED
from starfish_storage import LocalStorage

READING = (
    ["projects"],
    ["runs"],
    ["show", "x"],
    ["records", "x"],
    ["record", "x"],
    ["errors", "x"],
    ["config", "x"],
    ["watch", "x"],
    ["cancel", "x"],
    ["resume", "x"],
    ["retry", "x"],
)


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_store_that_is_not_there_is_not_made(words: list[str], empty: Path):
    ended = call(*words)
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"error: store at '{empty}/store' cannot be opened: it does not exist;")
    assert "--store or STARFISH_STORAGE_URI" in line
    assert list(empty.iterdir()) == []


def test_a_directory_without_a_store_stays_as_it_is(empty: Path):
    ended = call("--store", ".", "runs")
    assert ended.status == 2
    assert "there is no store in it;" in ended.err
    assert list(empty.iterdir()) == []


def test_a_file_is_no_store_and_a_missing_backup_is_missing(empty: Path):
    (empty / "f.py").write_text("", "utf-8")
    assert "it is not a directory;" in call("--store", "f.py", "runs").err
    assert "it does not exist; name the directory of a backup" in call("restore", "nope").err
    assert "it is not a directory; name the directory of a backup" in call("restore", "f.py").err


@pytest.mark.parametrize("command", ["generate", "resume", "retry", "cancel", "import", "unarchive", "restore"])
def test_commands_that_only_write_do_not_offer_to_write_nothing(command: str):
    assert "--read-only" not in call(command, "--help").out
    assert "--read-only" in call("runs", "--help").out


def test_a_store_whose_database_is_lost_is_not_begun_anew(here: Path):
    (here / "store" / "metadata.db").unlink()
    ended = call("runs")
    assert ended.status == 2
    assert "starfish-storage repair" in ended.err
    assert not (here / "store" / "metadata.db").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["projects"],
        ["--store", "store", "projects"],
        ["projects", "--store", "store"],
        ["--store", "nowhere", "projects", "--store", "{uri}"],
        ["--store", "{uri}", "projects"],
    ],
    ids=" ".join,
)
def test_where_the_store_is_may_be_said_before_and_after_the_command(words: list[str], here: Path):
    uri = (here / "store").as_uri()
    assert len(call_json(*(word.format(uri=uri) for word in words))) == 2


def test_the_environment_is_below_the_options(here: Path):
    uri = (here / "store").as_uri()
    nowhere = {"STARFISH_STORAGE_URI": "file:///nowhere"}
    assert call("runs", environment=nowhere).status == 2
    assert call("runs", "--store", uri, environment=nowhere).status == 0
    assert call("--store", uri, "runs", environment=nowhere).status == 0
    (here / "store").rename(here / "moved")
    assert call("runs", environment={"STARFISH_STORAGE_URI": str(here / "moved")}).status == 0


def test_data_may_lie_elsewhere(here: Path):
    (here / "elsewhere").mkdir()
    for name in ("data", "configs", "rows.jsonl"):
        (here / "store" / name).rename(here / "elsewhere" / name)
    assert call("record", "sum-0", "--data-uri", "elsewhere", "--json").status == 0
    assert call("--data-uri", "elsewhere", "record", "sum-0").status == 0
    assert call("--data-uri", "nowhere", "record", "sum-0", "--data-uri", "elsewhere").status == 0
    assert call("record", "sum-0").status == 2


def test_a_uri_of_another_kind_is_refused(here: Path):
    ended = call("runs", "--store", "s3://bucket/store")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert "'s3://bucket/store'" in ended.err


def test_a_run_is_named_by_its_beginning_or_as_the_last(here: Path):
    for given, meant in ((ENDED, ENDED), ("sums-", LOGGED), ("last", LOGGED)):  # stored last, and by its times before
        assert call_json("show", given)["master_job"]["master_job_id"] == meant


def test_no_run_is_given_the_name_of_the_newest(here: Path):
    (here / "inputs.jsonl").write_text("{}")
    ended = call("generate", "os.path:join", "inputs.jsonl", "--id", "last")
    assert (ended.status, ended.out) == (2, "")
    assert "--id last cannot be used" in ended.err
    assert call("show", "last").status == 0


def test_a_run_that_is_not_there(here: Path):
    for given, remedy in (
        ("capitals", f"may be any of 2: '{DESERTED}', '{ENDED}'. Give more of the id."),
        ("capitols-1", f"did you mean '{ENDED}', '{DESERTED}'? 'starfish-storage runs' lists all runs."),
        ("geography", "it is a project, whose runs 'starfish-storage runs --project geography' lists."),
        (f"the run {ENDED}", f"it is the name of '{ENDED}'; give the id."),
        ("", "'starfish-storage runs' lists all runs."),
    ):
        ended = call("records", given)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err.startswith(f"error: run {given!r} ")
        assert remedy in ended.err
        assert len(ended.err.splitlines()) == 1


def test_the_last_run_of_a_store_without_runs(empty: Path):
    async def make() -> None:
        async with LocalStorage((empty / "store").as_uri()):
            pass

    asyncio.run(make())
    ended = call("records", "last")
    assert ended.err == "error: run 'last' does not exist in this store: the store has no runs yet.\n"


@pytest.mark.parametrize(
    "words",
    [["record", "nope"], ["runs", "--project", "nope"], ["show", "nope"]],
    ids=" ".join,
)
def test_what_does_not_exist_is_said_with_where_to_look(words: list[str], here: Path):
    ended = call(*words)
    assert (ended.status, ended.out) == (2, "")
    assert "'nope' does not exist in this store: 'starfish-storage " in ended.err


@pytest.mark.parametrize(
    "words",
    [["nope"], ["runs", "--nope"], ["runs", "--status", "nope"], ["records"], ["records", "last", "--limit", "-1"]],
    ids=" ".join,
)
def test_bad_usage(words: list[str], here: Path):
    ended = call(*words)
    assert (ended.status, ended.out) == (2, "")
    error, where = ended.err.splitlines()
    assert error.startswith("error: ")
    assert where.startswith("See 'main")
    assert where.endswith("--help'.")


def test_the_store_is_left_as_it_was_found(here: Path):
    before = json.dumps(call_json("runs"))
    call("show", "last")
    call("watch", "last", "--once")
    assert json.dumps(call_json("runs")) == before
