"""What commands say of a store: as text for people and scripts, as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from cli.calling import call, call_json, in_a_terminal, rows
from cli.stores import DESERTED, ENDED, LOGGED
from starfish_storage import GenerationJob, GenerationMasterJob, Project, Record, sync
from starfish_storage.cli.output import show_json, show_text
from starfish_storage.runs import ErrorGroup, RunState, Step, StepTotal

pytestmark = pytest.mark.usefixtures("here")


def uids(*words: str) -> list[str]:
    return [row["record_uid"] for row in call_json("records", ENDED, *words)]


def test_projects():
    assert [(row["project"], row["name"]) for row in rows(call("projects").out)] == [
        ("geography", "Geography"),
        ("sums", "Sums"),
    ]
    first = call_json("projects")[0]
    assert list(first) == list(Project.model_fields)
    assert first["created_when"] == "2026-01-31T12:00:00.000000Z"


def test_runs_are_listed_newest_first():
    found = rows(call("runs").out)
    assert [row["run"] for row in found] == [DESERTED, LOGGED, ENDED]
    assert [(row["completed"], row["failed"], row["cost"]) for row in found] == [
        ("1", "0", "$0.25"),  # counted now: the master job's own counts are those of the last refresh
        ("1", "0", ""),
        ("2", "2", "$1.75"),
    ]
    listed = call_json("runs")
    assert all(list(job) == [*GenerationMasterJob.model_fields, "run", "records"] for job in listed)
    assert list(listed[0]["run"]) == [field.name for field in fields(RunState)]
    assert listed[1]["run"] is None
    assert listed[2]["records"] == {"completed": 2, "duplicate": 1, "failed": 2, "filtered": 1}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--project", "sums"], [LOGGED]),
        (["--status", "completed_with_errors"], [ENDED]),
        (["--status", "completed", "--status", "running"], [DESERTED, LOGGED]),
        (["--limit", "0"], [DESERTED, LOGGED, ENDED]),
        (["--limit", "3"], [DESERTED, LOGGED, ENDED]),
    ],
)
def test_runs_of_a_project_or_in_a_status(words: list[str], expected: list[str]):
    assert [job["master_job_id"] for job in call_json("runs", *words)] == expected


def test_what_is_left_out_is_told():
    ended = call("runs", "--limit", "2", "--json")
    assert [job["master_job_id"] for job in json.loads(ended.out)] == [DESERTED, LOGGED]
    assert ended.err == "There are more than 2; --limit 0 shows all.\n"
    ended = call("records", ENDED, "--limit", "2", "--offset", "1")
    assert len(rows(ended.out)) == 2
    assert ended.err == "There are more than 2; --limit 0 shows all, --offset 3 the next.\n"


@pytest.mark.parametrize("words", [("runs", "--limit"), ("records", ENDED, "--limit"), ("records", ENDED, "--offset")])
def test_a_number_that_is_too_large_is_named(words: tuple[str, ...]):
    ended = call(*words, "9223372036854775807")
    assert ended.status == 2
    assert "9223372036854775807 is not in the range 0<=x<=9223372036854775806" in ended.err
    assert call(*words, "9223372036854775806").status == 0


def test_a_list_of_nothing_is_a_list():
    assert call_json("records", ENDED, "--status", "pending") == []
    assert call("errors", LOGGED).out == "inputs\tkind\texample\tinput of the example\n"


def test_records():
    found = call_json("records", ENDED)
    assert all(list(record) == list(Record.model_fields) for record in found)
    assert [record["status"] for record in found] == [
        "duplicate",
        "failed",
        "failed",
        "filtered",
        "completed",
        "completed",
    ]
    assert [row["record"] for row in rows(call("records", ENDED).out)] == [record["record_uid"] for record in found]


def test_records_are_searched_and_paged():
    everything = uids()
    assert uids("--status", "failed", "--status", "filtered") == everything[1:4]
    assert uids("--error", "ATLANTIS") == everything[2:3]
    assert uids("--error", "answer", "--offset", "1") == everything[2:3]
    for offset in range(7):
        assert uids("--limit", "0", "--offset", str(offset)) == everything[offset:]
    assert uids("--limit", "6") == everything
    assert uids("--status", "failed", "--offset", "1") == everything[2:3]


def test_records_that_fit_conditions():
    everything = uids()
    assert uids("--where", "@error") == everything[:4]  # of the duplicate too: what it is one of
    assert uids("--where", "@error~ATLANTIS") == uids("--where", "@error", "--error", "atlantis") == everything[2:3]
    assert uids("--where", "country=Japan") == [uid for uid in everything if uid in uids("--where", "country=Japan")]
    assert uids("--where", "country", "--offset", "1") == uids("--where", "country")[1:]
    assert uids("--status", "failed", "--where", "!country") == everything[1:3]
    drawn = uids("--sample", "3", "--sample-seed", "5")
    assert len(drawn) == len(set(drawn)) == 3
    assert drawn == uids("--sample", "6", "--sample-seed", "5")[:3]
    ended = call("records", ENDED, "--where", "=")
    assert (ended.status, "is no condition" in ended.err) == (2, True)


def test_errors():
    (group,) = call_json("errors", ENDED)
    assert list(group) == [field.name for field in fields(ErrorGroup)]
    assert (group["kind"], group["inputs"]) == ("TimeoutError", 2)
    (row,) = rows(call("errors", ENDED).out)
    # Of what is stored, nothing may steer the terminal, or break a line in two.
    assert row["example"] in {f"{country}: \\x1b[31mno answer\\u202e" for country in ("Atlantis", "Utopia")}


def hostile(text: str) -> dict[str, str]:
    return {"answer": f"{text}\x1b[31m\u202e"}


def test_nothing_in_the_data_of_a_record_steers_the_terminal(tmp_path: Path):
    store = tmp_path / "store"
    run = sync.generate(hostile, ["Why?"], store=store, project="p", progress="quiet")
    with sync.open_storage(store) as storage:
        (record,) = storage.iter_records(run.master_job_id)
    _, shown = in_a_terminal("--store", str(store), "record", record.record_uid, directory=tmp_path, NO_COLOR="1")
    assert r"Why?\u001b[31m\u202e" in shown
    assert "\u202e" not in shown


def test_no_failures_are_told():
    ended = call("errors", LOGGED)
    assert (rows(ended.out), ended.err) == ([], "No failures.\n")
    assert call_json("errors", LOGGED) == []


def test_that_nothing_was_found_is_told():
    ended = call("records", ENDED, "--where", "country=Nowhere")
    assert (rows(ended.out), ended.err) == ([], "No such records.\n")
    assert call_json("records", ENDED, "--where", "country=Nowhere") == []
    ended = call("search", "nothinglikethis")
    assert (rows(ended.out), ended.err) == ([], "No record holds that.\n")


def test_the_wrong_command_for_an_id_names_what_it_looked_for():
    ended = call("record", "sum")
    assert ended.status == 2
    assert "this is an input; see it with: starfish-storage show sum." in ended.err
    ended = call("show", "zzz")
    assert ended.status == 2
    assert ended.err.startswith("error: project, run, input or record 'zzz' does not exist")


def test_the_configuration():
    assert call_json("config", ENDED) == {"model": "small-1", "prompt": f"für {ENDED}"}
    assert json.loads(call("config", ENDED).out) == {"model": "small-1", "prompt": f"für {ENDED}"}


def test_a_record_with_its_origin():
    uid = uids("--status", "completed")[-1]  # the first of the run, whose answer was a paid step
    found = call_json("record", uid)
    assert list(found) == [
        "record",
        "data",
        "segment",
        "annotations",
        "place",
        "job",
        "attempts",
        "steps",
        "input_tokens",
        "output_tokens",
        "cost",
    ]
    assert found["data"] == {"country": "France", "capital": "ecnarF", "note": "é\x9b\u202e"}
    assert list(found["job"]) == list(GenerationJob.model_fields)
    assert found["job"]["run_config"] == {"country": "France"}
    (attempt,) = found["attempts"]
    assert attempt["usage"] == [
        {"model": "small-1", "input_tokens": 10, "output_tokens": 5, "cost": 0.25, "counts": {}}
    ]
    assert [(step["name"], step["result"]) for step in found["steps"]] == [("ask", {"result": "Paris"})]
    assert (found["input_tokens"], found["output_tokens"], found["cost"]) == (10, 5, 0.25)
    text = call("record", uid).out
    assert f"record\t{uid}\nstatus\tcompleted\n" in text
    assert "# Data\n{\n" in text
    assert "# Paid steps\nstep\tcall\treply\tstatus\tattempt\tsaved\tcost\treason\nask\t1\t1\tkept\t1\t" in text
    assert '\n# Result of ask\n"Paris"\n' in text
    assert "cost\t$0.25\n" in text
    assert "\x9b" not in text
    assert "\u202e" not in text


def test_a_record_that_failed_at_last():
    uid = uids("--error", "Atlantis")[0]
    found = call_json("record", uid)
    assert found["data"] is None
    text = call("record", uid).out
    assert "error\tTimeoutError: Atlantis gave no answer\n" in text
    assert "# Where the last attempt failed\nTraceback (most recent call last):\n" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("character", "\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_what_turns_or_breaks_lines_is_escaped(character: str, capsys: pytest.CaptureFixture[str]):
    show_text(f"a{character}b")
    show_json(f"a{character}b")
    escaped = f"a\\u{ord(character):04x}b"
    assert capsys.readouterr().out == f'{escaped}\n"{escaped}"\n'


def test_a_record_that_needed_two_attempts():
    found = call_json("record", uids("--status", "completed")[0])
    assert [(one["number"], one["status"]) for one in found["attempts"]] == [(1, "failed"), (2, "completed")]
    assert found["cost"] == 0.5
    assert "TimeoutError: no answer in time" in call("record", found["record"]["record_uid"]).out


def test_a_record_whose_data_is_lost(here: Path):
    uid = uids("--status", "completed")[0]
    (file,) = here.glob(f"store/data/*/{uid}.json")
    file.unlink()
    ended = call("record", uid)
    assert (ended.status, ended.out) == (2, "")
    assert "lost" in ended.err
    assert "verify" in ended.err


@pytest.mark.parametrize(
    ("id", "kind", "names"),
    [
        ("geography", "project", {"project", "master_jobs"}),
        (
            ENDED,
            "master_job",
            {
                "master_job",
                "run",
                "inputs",
                "records",
                "conversions",
                "workers",
                "live_workers",
                "time",
                "failure",
                "segments",
                "annotations",
                "calls",
                "timeline",
                "limit",
            },
        ),
        ("sum", "execution_job", {"job", "attempts", "steps", "input_tokens", "output_tokens", "cost", "records"}),
        (
            "sum-0",
            "record",
            {
                "record",
                "data",
                "segment",
                "annotations",
                "place",
                "job",
                "attempts",
                "steps",
                "input_tokens",
                "output_tokens",
                "cost",
            },
        ),
    ],
)
def test_show_finds_what_an_id_names(id: str, kind: str, names: set[str]):
    found = call_json("show", id)
    assert (found["kind"], set(found) - {"kind"}) == (kind, names)
    first_line = call("show", id).out.splitlines()[0]
    assert first_line.split("\t") == [{"master_job": "run", "execution_job": "input"}.get(kind, kind), id]


@pytest.mark.parametrize(("run", "of"), [(ENDED, "attempts"), (LOGGED, "records")])
def test_show_says_what_a_run_did_over_time(run: str, of: str):
    found = call_json("show", run)
    timeline, records = found["timeline"], found["records"]
    number = found["run"]["attempts"] if of == "attempts" else sum(records.values())
    assert (timeline["of"], timeline["counted"], timeline["total"]) == (of, number, number)
    assert sum(sum(one["counts"].values()) for one in timeline["buckets"]) == number > 0
    if of == "attempts":
        assert sum(one["cost"] for one in timeline["buckets"]) == pytest.approx(found["run"]["cost"])
    (line,) = [line for line in call("show", run).out.splitlines() if line.startswith("over time")]
    assert "█" in line
    assert f"{number} {of}"[:-1] in line


def test_show_says_that_nobody_works_on_a_run():
    assert f"workers\tnone; continue with: starfish-storage resume {DESERTED}\n" in call("show", DESERTED).out
    assert call_json("show", DESERTED)["live_workers"] == 0
    assert "workers" not in call("show", ENDED).out


def test_steps_of_a_run_and_replies_of_an_input():
    (total,) = rows(call("steps", ENDED).out)
    assert total == {
        "step": "ask",
        "kept": "1",
        "rejected": "0",
        "forgotten": "0",
        "tokens in": "10",
        "tokens out": "5",
        "cost": "$0.25",
    }
    (as_json,) = call_json("steps", ENDED)
    assert list(as_json) == [field.name for field in fields(StepTotal)]
    (job,) = {one["job_id"] for one in call_json("records", ENDED) if call_json("record", one["record_uid"])["steps"]}
    (reply,) = call_json("steps", ENDED, "--input", job)
    assert list(reply) == [field.name for field in fields(Step)]
    assert (reply["name"], reply["status"], reply["result"]) == ("ask", "kept", {"result": "Paris"})
    text = call("steps", ENDED, "--input", job).out
    assert '# Result of ask\n"Paris"\n' in text
    assert call("steps", DESERTED).err == "No steps.\n"
    ended = call("steps", DESERTED, "--input", job)
    assert ended.status == 2
    assert f"input '{job}' does not exist in this store: see the inputs that failed with:" in ended.err
