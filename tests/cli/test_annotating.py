"""Saying something of records, and reading what was said."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli import stores
from cli.calling import call, call_json, rows
from starfish_storage import LocalStorage

SUM = "sum-0"


@pytest.fixture(autouse=True)
def store(empty: Path) -> Path:
    """A store where commands look for it."""
    asyncio.run(stores.make(empty / "store"))
    return empty / "store"


def said(*words: str) -> list[dict[str, Any]]:
    """Call ``annotate``, and return what it prints as JSON."""
    ended = call("annotate", *words, "--json")
    assert (ended.status, ended.err) == (0, ""), ended
    return [json.loads(line) for line in ended.out.splitlines()]


def test_a_record_is_judged_and_shown() -> None:
    me = getpass.getuser()
    assert call("show", stores.LOGGED).out.count("annotations") == 0
    given = said(
        SUM, "--accept", "--label", "short", "--label", "größer", "--rate", "4", "--comment", "<b>fine</b>\x1b[31m"
    )
    assert {one["author"] for one in given} == {me}
    assert [one["value"] for one in given] == ["accepted", "short", "größer", 4.0, "<b>fine</b>\x1b[31m"]
    (bob,) = said(SUM, "--reject", "--author", "bob")
    assert call_json("annotations", SUM) == call_json("annotations", stores.LOGGED) == [*given, bob]
    listed = rows(call("annotations", stores.LOGGED, "--kind", "verdict", "--kind", "rating").out)
    told = [(one["author"], one["value"]) for one in listed]
    assert told == [(me, "accepted"), (me, "4"), ("bob", "rejected")]
    assert [one["value"] for one in call_json("annotations", SUM, "--author", "bob")] == ["rejected"]
    assert [one["kind"] for one in call_json("annotations", SUM, "--value", "short")] == ["label"]
    shown = call("record", SUM).out
    assert "# Annotations" in shown
    assert "\x1b" not in shown
    assert call_json("record", SUM)["annotations"] == [*given, bob]
    counts = call_json("show", stores.LOGGED)["annotations"]
    assert (counts["conflicting"], counts["labels"], counts["mean_rating"]) == (1, {"größer": 1, "short": 1}, 4.0)
    assert "1 conflicting; 1 rated; 1 commented; labelled" in call("show", stores.LOGGED).out


def test_what_was_said_is_taken_back() -> None:
    first, second = said(SUM, "--accept"), said(SUM, "--reject")
    assert call_json("annotations", SUM) == second
    undone = call("annotate", "--undo", second[0]["annotation_id"])
    assert "withdrew" in undone.out
    assert call_json("annotations", SUM) == first
    every = call_json("annotations", SUM, "--all")
    assert [one["withdrawn"] is None for one in every] == [True, False]
    refused = call("annotate", "--undo", first[0]["annotation_id"], "--author", "bob")
    assert (refused.status, "can withdraw it" in refused.err) == (2, True)
    assert call("annotate", "--undo", "nothing").status == 2
    plainly = call("annotate", SUM, "--rate", "3", "--reject", "--label", "so so").out
    for words in ("rating 3 (", "verdict rejected (", "label 'so so' ("):
        assert f"said of {SUM}: {words}" in plainly, plainly


def test_a_record_is_edited(empty: Path) -> None:
    (empty / "edit.json").write_text('{"sum": 3}')
    (edit,) = said(SUM, "--edit", "edit.json", "--author", "ann")
    assert edit["value"] == {"version": 1}
    assert call_json("record", SUM)["data"] == {"sum": 3}
    versions = call_json("record", SUM, "--versions")
    assert [(one["number"], one["attempt"], one["is_current"], one["data"]) for one in versions] == [
        (1, 1, False, {"sum": 2}), (2, 1, True, {"sum": 3}),
    ]  # fmt: skip
    seen = versions[0]["data_sha256"]
    (empty / "edit.json").write_text('{"sum": 4}')
    refused = call("annotate", SUM, "--edit", "edit.json", "--replaces", seen)
    assert (refused.status, "somebody has changed it" in refused.err) == (2, True)
    said("--undo", edit["annotation_id"], "--author", "ann")
    assert call_json("record", SUM)["data"] == {"sum": 2}


def test_many_are_judged_by_a_script(empty: Path) -> None:
    uids = [one["record_uid"] for one in call_json("records", stores.ENDED)]
    (empty / "uids").write_text("\n".join([*uids, "", "nowhere"]))
    ended = call("annotate", "--from", "uids", "--accept", "--json")
    assert ended.status == 1
    assert "'nowhere' does not exist" in ended.err
    assert sorted(json.loads(line)["record_uid"] for line in ended.out.splitlines()) == sorted(uids)
    lines = [
        {"record_uid": uids[0], "kind": "label", "value": "x", "author": "bob"},
        {"record_uid": SUM, "kind": "rating", "value": 1},
    ]
    (empty / "lines").write_text("\n".join(map(json.dumps, lines)))
    assert [one["author"] for one in said("--from", "lines", "--author", "ann")] == ["bob", "ann"]


REFUSED: list[tuple[tuple[str, ...], str]] = [
    ((), "nothing is said"),
    ((SUM,), "--accept"),
    ((SUM, "--accept", "--reject"), "do not fit together"),
    ((SUM, "--rate", "nan"), "rating is not finite"),
    ((SUM, "--label", ""), "label is empty"),
    ((SUM, "--accept", "--author", " "), "author is empty"),
    (("nowhere", "--accept"), "'nowhere' does not exist"),
    ((SUM, "--edit", "no.json"), "is not JSON"),
    ((SUM, "other", "--edit", "list.json"), "name one UID"),
    ((SUM, "--edit", "list.json"), "cannot be stored"),
    ((SUM, "--accept", "--replaces", "x"), "--replaces is for --edit"),
    (("--from", "lines.json"), "line 1 needs the members record_uid"),
    ((SUM, "--accept", "--read-only"), "read-only"),
]


def test_what_cannot_be_said_is_refused(empty: Path) -> None:
    (empty / "no.json").write_text("{")
    (empty / "list.json").write_text("[1]")
    (empty / "lines.json").write_text('{"record_uid": "sum-0"}')
    for words, reason in REFUSED:
        ended = call("annotate", *words)
        assert (ended.status, ended.out) == (2, "")
        assert reason in ended.err
    assert call_json("annotations", SUM) == []


def test_annotations_of_what_is_not_there_are_refused() -> None:
    ended = call("annotations", "nowhere")
    assert (ended.status, "record or run 'nowhere' does not exist" in ended.err) == (2, True)


def test_exports_of_what_is_accepted(empty: Path, store: Path) -> None:
    """The record that one accepted and another rejected is left out."""

    async def judge() -> str:
        async with LocalStorage(store) as storage:
            found = await storage.get_records_for_master_job(stores.ENDED, ["completed"])
            (first, second), add = (one.record_uid for one in found), storage.annotations.add
            await add(first, "verdict", "accepted", author="ann")
            await add(second, "verdict", "accepted", author="ann")
            await add(second, "verdict", "rejected", author="bob")
            return first

    first = asyncio.run(judge())
    ended = call("export", stores.ENDED, "a.jsonl", "--accepted-only", "--with-annotations", "--metadata")
    assert "1, which somebody has accepted and nobody rejected" in ended.out
    (line,) = map(json.loads, (empty / "a.jsonl").read_text().splitlines())
    assert (line["metadata"]["uid"], line["metadata"]["verdict"], line["metadata"]["annotations"]) == (
        first,
        "accepted",
        1,
    )
    assert [(one["kind"], one["verdict"], one["author"]) for one in line["annotations"]] == [
        ("verdict", "accepted", "ann")
    ]
    ended = call("export", stores.ENDED, "d.jsonl", "--where", "!missing", "--sample", "1", "--sample-seed", "7")
    assert re.search(r"chosen by\s+!missing\nsample\s+1 of each run at most, with the seed 7", ended.out)
    report = call_json("export", stores.ENDED, "b.jsonl", "--with-annotations", "--annotations-key", "said")
    assert (report["records"], report["accepted_only"]) == (2, False)
    assert all("said" in json.loads(line) for line in (empty / "b.jsonl").read_text().splitlines())
    assert call("export", stores.ENDED, "c.jsonl", "--annotations-key", "said").status == 2


def test_verify_notes_what_it_found(store: Path) -> None:
    """Damage too; not with --read-only, and not in a database that is damaged."""

    async def last() -> Any:
        async with LocalStorage(store) as storage:
            return await storage.ledger.last_verification()

    assert call("verify", "--read-only").status == 0
    assert asyncio.run(last()) is None
    assert call("verify").status == 0
    first = asyncio.run(last())
    assert (first.findings, first.report["is_sound"]) == (0, True)
    next((store / "data").glob("*/sum-0.json")).write_bytes(b"{")
    found = call("verify", "--json")
    second = asyncio.run(last())
    assert (found.status, second.findings, second.report) == (1, 1, json.loads(found.out))
    assert first.end_time < second.start_time < second.end_time
