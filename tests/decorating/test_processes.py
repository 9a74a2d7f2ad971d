"""Recorded functions in several processes, of which one is killed and one has forked."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cli.calling import call as call_command
from durability import processes

PROGRAM = str(Path(__file__).with_name("recording_process.py"))


def test_processes_pay_once_and_take_over_from_one_that_was_killed(tmp_path: Path) -> None:
    store, paid = str(tmp_path / "store"), tmp_path / "paid"

    def start(what: str, question: str) -> subprocess.Popen[str]:
        return processes.start([PROGRAM], STORE=store, PAID=str(paid), WHAT=what, QUESTION=question)

    def hang(question: str) -> subprocess.Popen[str]:
        process = start("hang", question)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        return process

    with hang("Paris") as hanging, start("call", "Paris") as waiting:
        hanging.kill()
        assert waiting.communicate(timeout=60) == ("about Paris\n", "")
    with hang("Bern") as hanging:
        hanging.kill()
    variables = {"STARFISH_STORAGE_URI": store, "STORE": store, "PAID": str(paid), "WHAT": "call", "QUESTION": ""}
    assert call_command("resume", "last", "--quiet", environment=variables).status == 0
    assert paid.read_text("utf-8").split() == ["Paris", "Paris", "Bern", "Bern"]
    with start("fork", "Bern") as forking:
        assert forking.communicate(timeout=60) == ("", "")
        assert forking.wait() == 0
    assert paid.read_text("utf-8").split() == ["Paris", "Paris", "Bern", "Bern"], "what resume has stored"
