"""``starfish-storage demo`` as people try it: in a terminal, with nothing but the package."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import httpx

from cli.calling import COMMAND, ENVIRONMENT, call


def test_in_a_terminal_it_ends_with_pages_of_a_temporary_store(tmp_path: Path):
    """And never touches the store that the environment names."""
    ours, theirs = pty.openpty()
    environment = {"TMPDIR": str(tmp_path), "BROWSER": "true", "STARFISH_STORAGE_URI": str(tmp_path / "in-use")}
    with subprocess.Popen(
        [*COMMAND, "demo"], env=ENVIRONMENT | environment, cwd=tmp_path, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        out = ""
        while (address := re.search(r"^http://127\S+", out, re.MULTILINE)) is None or "Stop with Ctrl-C" not in out:
            out += os.read(ours, 65536).decode()  # fails when the process has ended
        (said,) = re.findall(r"The store is (\S+)\. Look around:", out)
        assert Path(said).is_relative_to(tmp_path)
        (run,) = re.findall(r"run (gsm8k-\w+): completed", out)
        assert run in httpx.get(address[0]).text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    os.close(ours)
    assert not (tmp_path / "in-use").exists()


def test_it_does_not_kill_a_run_on_a_server():
    ended = call("demo", "--store", "postgresql://db.example/runs")
    assert ended.status == 2
    assert "name a directory with --store" in ended.err
