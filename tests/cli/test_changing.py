"""A run that is called again with something changed, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from cli.calling import Ended, call, call_json

ANSWERS = "def answer(country):\n    return {'capital': country[::-1]}\n"
WIDTH = 80


def start(place: Path, countries: str, *words: str) -> Ended:
    place.joinpath("capitals.jsonl").write_text("".join(json.dumps({"country": one}) + "\n" for one in countries))
    return call("generate", "answers.py:answer", "capitals.jsonl", "--id", "run-1", *words)


def test_what_has_changed_is_refused_with_the_ways_on(empty: Path) -> None:
    (empty / "answers.py").write_text(ANSWERS)
    (empty / "config.json").write_text('{"model": "small-1", "t": 0.2}')
    assert start(empty, "ab", "-q", "--config", "config.json") == (0, "", "")
    before = call_json("show", "run-1")
    status, out, err = start(empty, "axb", "-q")
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "error: run 'run-1' has changed, in its inputs:",
        "  input 1 is not the same: 'country' differs",
        "Nothing was written. The ways on:",
        "  --on-change continue: keeps all inputs, and does the new ones too",
        "  --on-change fork: makes a new run, which takes over what is done for the",
        "    same input and configuration",
        "  --on-change match: keeps what is done for equal inputs, does new ones, and",
        "    cancels those that are gone",
    ]
    (empty / "config.json").write_text(json.dumps({"model": "small-2", "t": 0.2, "prompt": "x" * 500}))
    status, out, err = start(empty, "ab", "-q", "--config", "config.json", "--on-change", "match")
    assert (status, out) == (2, "")
    assert err.splitlines()[:3] == [
        "error: run 'run-1' has changed, in its configuration:",
        '  config.model: "small-1" -> "small-2"',
        f'  config.prompt added: "{40 * "x"}..."',
    ]
    (empty / "answers.py").write_text(ANSWERS.replace("::-1", "::1"))
    status, out, err = start(empty, "abc", "-q", "--strict-code")
    assert (status, out) == (2, "")
    assert err.splitlines()[0] == "error: run 'run-1' has changed, in its code:"
    assert max(map(len, err.splitlines())) < WIDTH
    assert call_json("show", "run-1")["inputs"] == before["inputs"]


def test_the_ways_on(empty: Path) -> None:
    (empty / "answers.py").write_text(ANSWERS)
    assert start(empty, "ab", "-q").status == 0
    assert start(empty, "abc", "-q") == (0, "", "")
    status, out, err = start(empty, "cxa", "--on-change", "fork", "--json", "--progress", "lines")
    fork = json.loads(out)
    assert (status, fork["inputs"], fork["attempts"]) == (0, {"completed": 3}, 3)
    assert fork["master_job_id"].startswith("run-1-fork-")
    assert f"run 'run-1' has changed, and was forked: run '{fork['master_job_id']}' has 2 of its inputs done" in err
    status, out, err = start(empty, "cxa", "--on-change", "match", "--json", "-q")
    assert (status, json.loads(out)["inputs"]) == (0, {"completed": 3, "cancelled": 1})
    assert "\t3 of 3 done, completed 3" in call("watch", "run-1", "--once").out
    shown = call("show", "run-1").out
    assert "1 new" in shown
    assert "1 gone" in shown
    status, out, err = call("retry", "run-1", "--on-change", "fork")
    assert (status, out) == (2, "")
    assert "call generate" in err
