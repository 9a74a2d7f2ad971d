"""``starfish-storage import``."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from cli.calling import call, call_json, interrupt, run


@pytest.fixture
def lines(empty: Path) -> Path:
    path = empty / "answers.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    return path


@pytest.mark.parametrize("command", ["resume", "retry"])
def test_an_imported_run_has_no_function_to_run(command: str, lines: Path):
    assert call("import", "answers.jsonl").status == 0
    ended = call(command, "last")
    assert ended.status == 2
    assert "was imported row by row: there is no function to run" in ended.err


def test_a_form_that_cannot_be_inferred_names_the_option(lines: Path):
    ended = call("import", str(lines.rename(lines.with_suffix(".docx"))))
    assert ended.status == 2
    assert "pass form= (--from), one of " in ended.err


def test_a_file_becomes_a_run(lines: Path):
    ended = call("import", "answers.jsonl")
    assert ended.status == 0, ended
    fields = dict(line.split("\t") for line in ended.out.splitlines())
    assert fields == {
        "source": "answers.jsonl",
        "form": "jsonl",
        "project": "answers",
        "run": fields["run"],
        "records": "2",
        "new records": "2",
    }
    (job,) = call_json("runs")
    assert (job["master_job_id"], job["status"], job["records"]) == (
        fields["run"],
        "completed",
        {"completed": 2},
    )
    assert call_json("config", "last")["import"]["source"]["name"] == "answers.jsonl"
    assert [record["status"] for record in call_json("records", "last")] == ["completed"] * 2
    assert call_json("record", call_json("records", "last")[-1]["record_uid"])["data"] == {"a": 1}
    assert call("show", "last").status == 0

    again = call("import", "answers.jsonl")
    assert (again.status, again.err) == (0, "Already imported: nothing was added.\n")


def test_json_and_options(lines: Path):
    (lines.parent / "b.txt").write_text("a;b\n1;[2]\n3\n")
    words = [
        "b.txt",
        "--from",
        "csv",
        "--delimiter",
        ";",
        "--json-cells",
        "--skip-bad",
        "--project",
        "p",
        "--name",
        "n",
    ]
    ended = call("import", *words, "--store", "elsewhere", "--json")
    assert ended.status == 0, ended
    report = json.loads(ended.out)
    assert (report["records"], report["skipped"], report["project_ids"]) == (1, 1, ["p"])
    assert len(report["bad_rows"]) == 1
    assert ended.err.startswith("Left out 1 bad row; the first: the row at line 3 of 'b.txt' has 1 cell, but")
    (job,) = json.loads(call("runs", "--store", "elsewhere", "--json").out)
    assert job["name"] == "n"


def test_errors(lines: Path):
    lines.write_text('{"a": 1}\nno JSON\n')
    ended = call("import", "answers.jsonl")
    assert (ended.status, ended.out) == (2, "")
    assert "error: line 2 of 'answers.jsonl' is not JSON, at column 1. Nothing was imported" in ended.err
    assert call("import", "none.jsonl").status == 2
    assert "--from" in call("import", "answers.jsonl", "--from", "xml").err
    (lines.parent / "a.xml").write_text("{}")
    assert "cannot infer the form of 'a.xml'" in call("import", "a.xml").err


def test_as_a_process(lines: Path):
    ended = run("import", "answers.jsonl", "--quiet", directory=lines.parent)
    assert (ended.status, ended.err) == (0, "")
    assert "new records\t2" in ended.out


def test_interrupted(lines: Path):
    lines.write_text("".join(f'{{"n": {n}}}\n' for n in range(20_000)))
    directory = lines.parent
    begun = directory / "store" / "metadata.db"
    ended = interrupt("import", "answers.jsonl", directory=directory, when=begun, number=signal.SIGINT)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err.endswith("Interrupted. Run the same command again to continue.\n")
    lines.write_text('{"n": 1}\n')
    assert call("import", "answers.jsonl").status == 0


def test_what_other_tools_have_stored(empty: Path):
    assets = Path(__file__).parents[1] / "imports" / "assets"
    ended = call("import", str(assets / "curator"), "--project", "p")
    assert ended.status == 0, ended
    fields = dict(line.split("\t") for line in ended.out.splitlines())
    assert (fields["form"], fields["project"], fields["records"]) == ("curator", "p", "10")
    run = next(job["master_job_id"] for job in call_json("runs") if job["status"] == "completed_with_errors")
    assert call_json("errors", run)[0]["kind"] == "CuratorError"
    assert call("import", f"{assets}/curator/").err == "Already imported: nothing was added.\n"

    assert call("import", str(assets / "pipelines"), "--from", "distilabel").status == 0
    assert "from what is in it" in call("import", str(assets.parent)).err


@pytest.mark.parametrize("words", [("--delimiter", ";"), ("--json-cells",)], ids=" ".join)
def test_an_option_of_another_form_is_refused(words: tuple[str, ...], empty: Path):
    (empty / "a.jsonl").write_text('{"n": 1}\n', "utf-8")
    refused = call("import", "a.jsonl", *words)
    assert (refused.status, refused.out) == (2, "")
    assert f"{words[0]} is for --from csv, and not for jsonl" in refused.err
    assert sorted(empty.iterdir()) == [empty / "a.jsonl"]
