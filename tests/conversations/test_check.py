"""The command that checks files of conversations, of every form that rows are read from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.calling import call
from conversations.rows import ANSWER, ASK, RIGHT
from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.checking import PlacedFault, check_file

RIGHT_ROW = {"messages": [ASK, ANSWER]}
EMPTY = {"messages": [ASK, ANSWER | {"content": ""}]}


def lines(path: Path, *rows: object) -> str:
    """Write rows as JSON Lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return str(path)


def test_a_right_file_is_said_to_be_right(tmp_path: Path):
    file = lines(tmp_path / "train.jsonl", RIGHT_ROW, RIGHT_ROW)
    assert call("check", file) == (0, f"file\t{file}\nform\topenai\nrows\t2\n", "")
    assert call("check", file, "--form", "trl").out.splitlines()[1] == "form\ttrl"
    report = json.loads(call("check", file, "--json").out)
    counts = {"rows": 2, "faulty_rows": 0, "faults": 0, "first_faults": [], "unlike": 0}
    assert report == {"path": file, "form": "openai", **counts}


def test_faults_are_named_with_their_row_and_their_path(tmp_path: Path):
    file = lines(tmp_path / "train.jsonl", RIGHT_ROW, EMPTY, {"messages": [ASK]}, RIGHT_ROW)
    with open(file, "a", encoding="utf-8") as torn:
        torn.write('{"messages": [')
    ended = call("check", file)
    assert ended.status == 1
    *told, torn_line = ended.out.splitlines()
    assert told == [
        "row\tat\tfault",
        f"line 2 of '{file}'\tmessages[1].content\tis empty",
        f"line 3 of '{file}'\tmessages[0]\tis the last message, but of the role user: use assistant",
    ]
    assert torn_line.startswith(f"\t\tline 5 of '{file}' is not JSON, at column ")
    assert ended.err == "3 of 5 rows of the form openai cannot be trained on: 3 faults.\n"
    cut = call("check", file, "--limit", "1", "--form", "openai")
    assert cut.status == 1
    assert cut.out.count("\n") == 2
    assert "3 faults, of which 2 are not shown: --limit 0 shows all." in cut.err
    report = json.loads(call("check", file, "--json", "--limit", "0").out)
    assert (report["rows"], report["faulty_rows"], report["faults"], len(report["first_faults"])) == (5, 3, 3, 3)
    assert report["first_faults"][0] == {
        "place": f"line 2 of '{file}'",
        "path": "messages[1].content",
        "reason": "is empty",
    }


def test_files_of_every_form_are_checked(tmp_path: Path):
    (tmp_path / "rows.json").write_text(json.dumps([RIGHT["sharegpt"][0], RIGHT["sharegpt"][1]]), "utf-8")
    (tmp_path / "alpaca.csv").write_text(
        'instruction,input,output\nSay hi.,,hi\nSay "[]".,,[]\nSay nothing.,,\n', "utf-8"
    )
    cell = json.dumps([ASK, ANSWER]).replace('"', '""')
    (tmp_path / "chat.csv").write_text(f'messages\n"{cell}"\n', "utf-8")
    found = {path.name: check_file(path) for path in sorted(tmp_path.iterdir())}
    assert {name: (one.form, one.rows) for name, one in found.items()} == {
        "alpaca.csv": ("alpaca", 3),
        "chat.csv": ("openai", 1),
        "rows.json": ("sharegpt", 2),
    }
    assert {name: [fault.path for fault in one.first_faults] for name, one in found.items()} == {
        "alpaca.csv": ["output"],
        "chat.csv": [],
        "rows.json": [],
    }


def test_nulls_of_a_table_are_keys_that_a_row_lacks(tmp_path: Path):
    # As other writers leave them: every message has all keys, null where it does not have them.
    rows: list[Any] = [RIGHT["openai"][3], RIGHT["openai"][0], EMPTY | {"tools": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    report = check_file(tmp_path / "train.parquet")
    assert report.form == "openai"
    place = f"row 3 of '{tmp_path}/train.parquet'"
    assert report.first_faults == [PlacedFault(place, "messages[1].content", "is empty")]
    # In JSON Lines, a null was written by somebody.
    file = lines(tmp_path / "train.jsonl", {"messages": [ASK, ANSWER | {"name": None}]})
    assert check_file(file).faults == 1


def test_all_splits_of_a_dataset_are_checked(tmp_path: Path):
    for name, rows in (("train", [RIGHT_ROW] * 2), ("test", [RIGHT_ROW, EMPTY])):
        (tmp_path / "set" / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "data" / f"{name}-00000-of-00001.parquet")
    report = check_file(tmp_path / "set")
    assert (report.form, report.rows, report.faults) == ("openai", 4, 1)
    assert "test-00000" in report.first_faults[0].place
    packed = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    assert call("check", packed).err == "1 of 4 rows of the form openai cannot be trained on: 1 fault.\n"


def test_memory_is_flat_however_many_faults_there_are(tmp_path: Path):
    file = lines(tmp_path / "train.jsonl", *[EMPTY] * 3000)
    told: list[int] = []
    report = check_file(file, "openai", most_faults=10, progress=told.append)
    assert (report.faults, len(report.first_faults), told) == (3000, 10, [1000, 2000, 3000])


def test_rows_that_are_bad_or_mixed_are_held_to_what_most_look_like(tmp_path: Path):
    # Of no row can be seen by its values what it is meant to be: by its keys it can.
    broken = [{"messages": value} for value in ("hi", [], None, [ASK, "hi"], [{"content": "hi"}])] * 3
    file = lines(tmp_path / "broken.jsonl", *broken)
    ended = call("check", file)
    assert (ended.status, ended.out.count("\n")) == (1, 1 + 15)
    assert ended.err == (
        "15 of 15 rows of the form openai cannot be trained on: 15 faults.\n"
        "The form openai comes closest to the first rows, though 15 do not have it: --form names another.\n"
    )
    pair = {"chosen": "a", "rejected": "b"}
    file = lines(tmp_path / "mixed.jsonl", pair, RIGHT_ROW, {"question": "?"}, RIGHT_ROW | {"id": 7})
    report = check_file(file)
    assert (report.form, report.rows, report.faulty_rows, report.unlike) == ("trl", 4, 2, 2)
    assert [fault.place for fault in report.first_faults] == [f"line 1 of '{file}'", f"line 3 of '{file}'"]
    assert check_file(file, "preferences").unlike == 0  # nothing was guessed
    # Cells of a table are read as most rows need it.
    cell = json.dumps([ASK, ANSWER]).replace('"', '""')
    (tmp_path / "chat.csv").write_text(f'messages\n"{cell}"\nhi\n', "utf-8")
    report = check_file(tmp_path / "chat.csv")
    assert (report.form, report.faulty_rows, report.first_faults[0].place) == (
        "openai",
        1,
        f"the row at line 3 of '{tmp_path}/chat.csv'",
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "holds no rows: there is nothing to check"),
        ([{"question": "?"}, {"answer": "!"}], r"look like none of the shapes .*--form"),
    ],
)
def test_a_file_that_is_none_of_conversations_is_refused(rows: list[Any], reason: str, tmp_path: Path):
    file = lines(tmp_path / "train.jsonl", *rows)
    with pytest.raises(InvalidInputError, match=reason):
        check_file(file)
    ended = call("check", file)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("error: ")


def test_a_file_whose_name_says_nothing_is_refused_with_the_remedy(tmp_path: Path):
    file = lines(tmp_path / "train.txt", RIGHT_ROW)
    assert "--from" in call("check", file).err
    assert call("check", file, "--from", "jsonl").status == 0
