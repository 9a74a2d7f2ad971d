"""The commands that move runs: copy, archive and unarchive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.calling import call, call_json, rows, run
from cli.stores import DESERTED, ENDED, LOGGED
from maintenance import stores as plain
from servers.postgres import PostgresServer
from starfish_storage.cli.counting import counted

pytestmark = pytest.mark.usefixtures("here")


def runs_of(store: str) -> set[str]:
    return {row["run"] for row in rows(call("runs", "--store", store).out)}


def test_a_copy_says_what_it_did():
    ended = call("copy", "other")
    assert (ended.status, ended.err) == (0, "")
    assert "2 projects, 3 runs, 13 inputs, 8 records" in ended.out
    assert "8 attempts, 1 step; inputs and records that were there already: 0" in ended.out
    assert ended.out.startswith(f"{Path.cwd()}/store copied to {Path.cwd()}/other in ")
    assert runs_of("other") == {ENDED, DESERTED, LOGGED}
    again = call_json("copy", "other")
    assert (again["records"], again["unchanged"], again["lost"], again["named"]) == (0, 21, 0, [])
    assert list(again) == [
        "source", "target", "projects", "master_jobs", "execution_jobs", "records", "attempts", "steps", "versions",
        "segments", "annotations", "unchanged", "bytes", "lost", "named", "seconds",
    ]  # fmt: skip
    for words in (("runs",), ("errors", ENDED), ("records", ENDED)):
        here, there = call_json(*words), call_json(*words, "--store", "other")
        assert json.dumps(there).replace("/other", "/store") == json.dumps(here)
    assert call("verify", "--store", "other").status == 0


def test_only_what_is_named():
    assert call("copy", "a", "--run", "last").status == 0
    assert runs_of("a") == {LOGGED}
    assert call("copy", "b", "--run", "sums", "--run", ENDED).status == 0
    assert runs_of("b") == {LOGGED, ENDED}
    assert call("copy", "c", "--project", "geography").status == 0
    assert runs_of("c") == {DESERTED, ENDED}
    refused = call("copy", "d", "--project", "nowhere")
    assert (refused.status, refused.out) == (2, "")
    assert "error: project 'nowhere' does not exist" in refused.err


def test_a_dry_run_makes_nothing(here: Path):
    ended = call("copy", "other", "--dry-run")
    assert ended.status == 0
    assert ended.out.startswith("Dry run; this would happen: ")
    assert "8 records" in ended.out
    assert not (here / "other").exists()
    call("copy", "other", "--run", ENDED)
    assert call_json("copy", "other", "--dry-run")["master_jobs"] == 2
    assert runs_of("other") == {ENDED}


def test_data_that_lies_elsewhere():
    assert call("copy", "rows", "--data-uri-to", "files").status == 0
    assert call("copy", "back", "--store", "rows", "--data-uri", "files").status == 0
    assert call_json("copy", "back")["unchanged"] == 21
    assert call("copy", "never", "--store", "rows").status == 2


def test_into_postgres(postgres_uri: str, postgres_server: PostgresServer):
    ended = call("copy", postgres_uri, "--data-uri-to", "files")
    assert (ended.status, ended.err) == (0, "")
    assert postgres_server.password not in ended.out
    assert call_json("copy", "back", "--store", postgres_uri, "--data-uri", "files")["records"] == 8
    assert call_json("copy", "back")["unchanged"] == 21


def test_what_cannot_be_copied():
    nowhere = call("copy", "other", "--store", "nowhere")
    assert (nowhere.status, nowhere.out) == (2, "")
    assert "it does not exist" in nowhere.err
    assert not Path("other").exists()
    same = call("copy", "store")
    assert same.status == 2
    assert "both source and target" in same.err


@pytest.mark.parametrize(
    "words",
    [
        ("store/sub",),
        ("store/data/sub",),
        ("link/sub",),
        ("store/sub", "--dry-run"),
        ("store/sub", "--data-uri-to", "elsewhere"),
        ("other", "--data-uri-to", "store/data/sub"),
        ("other", "--data-uri-to", "store"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("before", [(), ("--read-only",)], ids=" ".join)
def test_nothing_is_made_in_the_store_itself(before: tuple[str, ...], words: tuple[str, ...], here: Path):
    (here / "link").symlink_to(here / "store")
    there = sorted(here.rglob("*"))
    refused = call(*before, "copy", *words)
    assert (refused.status, refused.out) == (2, "")
    assert "lies in the source" in refused.err or "both stores have their data at" in refused.err
    assert sorted(here.rglob("*")) == there
    assert call("verify").status == 0


def test_nothing_is_made_in_the_data_of_a_store_that_lies_elsewhere(here: Path):
    assert call("copy", "rows", "--data-uri-to", "files").status == 0
    there = sorted(here.rglob("*"))
    for words in (("files/sub",), ("rows/sub",), ("other", "--data-uri-to", "files/data/sub")):
        refused = call("copy", *words, "--store", "rows", "--data-uri", "files")
        assert (refused.status, refused.out) == (2, "")
        assert "lies in the source" in refused.err
        assert sorted(here.rglob("*")) == there


def test_a_store_that_is_only_read_is_copied():
    assert call("--read-only", "copy", "other").status == 0
    assert runs_of("other") == {ENDED, DESERTED, LOGGED}


def test_damage_gives_1_if_it_is_skipped(here: Path):
    (path,) = (here / "store").glob("data/*/sum-0.json")
    plain.flip_bit(path, 2)
    stopped = call("copy", "other")
    assert stopped.status == 2
    assert "sum-0" in stopped.err
    assert "--skip-damaged" in stopped.err
    skipped = call("copy", "other", "--skip-damaged")
    assert skipped.status == 1
    assert "1 record copied without data" in skipped.out
    assert "sum-0" in skipped.out
    assert call("verify", "--store", "other").status == 0
    assert call("archive", LOGGED, "run.zip").status == 2
    assert not (here / "run.zip").exists()
    assert call("archive", LOGGED, "run.zip", "--skip-damaged").status == 1


def test_an_archive_opens_elsewhere(here: Path):
    ended = call("archive", "capitals-1", "run.zip")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(f"{here}/run.zip: run capitals-1 with 6 inputs and 6 records in ")
    refused = call("archive", "capitals-1", "run.zip")
    assert refused.status == 2
    assert "--overwrite" in refused.err
    told = call_json("archive", "capitals-1", "run.zip", "--overwrite")
    assert (told["master_job_id"], told["records"], told["path"]) == (ENDED, 6, f"{here}/run.zip")
    taken = call("unarchive", "run.zip", "--store", "other")
    assert (taken.status, taken.err) == (0, "")
    assert taken.out.startswith(f"run.zip copied to {here}/other in ")
    assert runs_of("other") == {ENDED}
    assert call_json("unarchive", "run.zip")["unchanged"] == 12
    assert call("verify", "--store", "other").status == 0
    assert sorted(path.name for path in here.iterdir()) == ["other", "run.zip", "store"]


def test_commands_that_look_after_a_store_refuse_an_archive_and_record_names_no_place_in_its_copy(here: Path):
    assert call("archive", "capitals-1", "run.zip").status == 0
    for words in (["verify"], ["repair", "--dry-run"], ["collect", "--dry-run"], ["backup", "copy"], ["pack"]):
        refused = call(*words, "--store", "run.zip")
        assert (refused.status, refused.out) == (2, "")
        assert "an archive of a run can only be read; copy it into a store with 'unarchive'" in refused.err
    uid = call_json("records", ENDED, "--status", "completed")[0]["record_uid"]
    assert call_json("record", uid)["place"]["path"].startswith(f"{here}/store/data/")
    for command in ("record", "show"):
        shown = call_json(command, uid, "--store", "run.zip")
        assert (shown["place"], shown["data"] is not None) == (None, True)
        assert ".partial" not in call(command, uid, "--store", "run.zip").out


def test_a_file_that_is_no_archive_is_refused(here: Path):
    (here / "run.zip").write_bytes(b"not a zip file")
    refused = call("unarchive", "run.zip")
    assert (refused.status, refused.out) == (2, "")
    assert "it is no zip file" in refused.err
    assert call("unarchive", "none.zip").status == 2
    call("archive", "capitals-1", "run.zip", "--overwrite")
    bomb = call("unarchive", "run.zip", "--most-bytes", "1000")
    assert bomb.status == 2
    assert "--most-bytes" in bomb.err


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]):
    moments = iter([0.0, 5.0, 11.0, 11.0, 12.0, 30.0, 30.0])
    with counted("copying", clock=lambda: next(moments)) as progress:
        for done in (100, 200, 300, 400):
            progress(done, 1000)
    assert capsys.readouterr().err == "copying: 200 of 1,000 records\ncopying: 400 of 1,000 records\n"


def test_as_a_process(here: Path):
    ended = run("copy", "other", directory=here)
    assert (ended.status, ended.err) == (0, "")
    assert "8 records" in ended.out
