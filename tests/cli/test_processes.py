"""Commands as the processes that people and scripts start: exit statuses, signals, pipes, completion."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.calling import COMMAND, ENVIRONMENT, in_a_terminal, interrupt, run
from cli.stores import ENDED

# Slow, so that it is in flight when the signal comes.
SLOW = """
import pathlib, time

def answer(number):
    if number == 3:
        pathlib.Path("begun").touch()
        time.sleep(0.3)  # a call of a model that takes its time; nothing waits for this to be over
    return {"number": number}
"""


@pytest.fixture
def slow(empty: Path) -> Path:
    (empty / "slow.py").write_text(SLOW, "utf-8")
    (empty / "numbers.jsonl").write_text("".join(f'{{"number": {n}}}\n' for n in range(2000)), "utf-8")
    return empty


def test_the_entry_point_is_the_module(here: Path):
    script = Path(sys.executable).parent / "starfish-storage"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("starfish-storage ")
    assert run("--version", directory=here).out == done.stdout
    assert run(directory=here).status == 2
    ended = run("runs", "--nope", directory=here)
    assert ended.err.splitlines()[1] == "See 'starfish-storage runs --help'."


def test_text_in_a_pipe_has_no_colours(here: Path):
    for words in (["runs"], ["show", ENDED], ["records", ENDED], ["errors", ENDED], ["config", ENDED]):
        ended = run(*words, directory=here, FORCE_COLOR="1")
        assert (ended.status, ended.err) == (0, "")
        assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    "words", [["records", ENDED], ["records", ENDED, "--json"], ["show", ENDED], ["config", ENDED]], ids=" ".join
)
def test_nobody_reads(words: list[str], here: Path):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [*COMMAND, *words], cwd=here, env=ENVIRONMENT, stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "words",
    [
        ["records", ENDED, "--json"],
        ["config", ENDED],
        ["verify"],
        ["verify", "--json"],
        ["export", ENDED, "out.jsonl"],
        ["copy", "other"],
        ["generate", "slow.py:answer", "numbers.jsonl", "--json", "-q"],
        ["--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_the_output_goes_to_a_full_disk_or_nowhere(words: list[str], here: Path):
    (here / "slow.py").write_text("def answer(number):\n    return {}\n", "utf-8")
    (here / "numbers.jsonl").write_text('{"number": 1}\n', "utf-8")
    command = [*COMMAND, *words]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=here, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: the output cannot be written: No space left on device\n")
    shutil.rmtree(here / "other", ignore_errors=True)
    (here / "out.jsonl").unlink(missing_ok=True)
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(closed, cwd=here, env=ENVIRONMENT, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_long_output_goes_to_a_full_disk(here: Path):
    """What is longer than the buffer of the output fails when it is written, and not when that is flushed."""
    (here / "slow.py").write_text('def answer(number):\n    return {"text": "x" * 100_000}\n', "utf-8")
    (here / "numbers.jsonl").write_text('{"number": 1}\n', "utf-8")
    assert run("generate", "slow.py:answer", "numbers.jsonl", "-q", directory=here).status == 0
    uid = json.loads(run("records", "last", "--json", directory=here).out)[0]["record_uid"]
    with open("/dev/full", "wb") as full:
        command = [*COMMAND, "record", uid, "--full", "--json"]
        done = subprocess.run(command, cwd=here, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: the output cannot be written: No space left on device\n")


def test_an_ascii_pipe_gets_all_characters(here: Path):
    ended = run("config", ENDED, directory=here, PYTHONUTF8="0", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert json.loads(ended.out)["prompt"] == f"für {ENDED}"


@pytest.mark.parametrize(
    ("number", "status", "told"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_a_run_is_interrupted_and_resumed(number: signal.Signals, status: int, told: str, slow: Path):
    words = ("generate", "slow.py:answer", "numbers.jsonl", "--id", "run-1", "--max-concurrency", "1", "-q")
    ended = interrupt(*words, directory=slow, when=slow / "begun", number=number)
    assert ended == (status, "", f"{told}. Continue with: starfish-storage resume run-1\n")
    assert json.loads(run("show", "last", "--json", directory=slow).out)["master_job"]["status"] == "cancelled"
    ended = run("resume", "run-1", "-q", "--max-concurrency", "50", directory=slow)
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(run("show", "last", "--json", directory=slow).out)["records"] == {"completed": 2000}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_watching_is_interrupted(number: signal.Signals, status: int, here: Path):
    with subprocess.Popen(
        [*COMMAND, "watch", "last", "--interval", "0.1"],
        cwd=here,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "running" in process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert errors.strip() == ""


@pytest.mark.parametrize("words", [["runs"], ["show", ENDED], ["watch", ENDED], ["config", ENDED]], ids=" ".join)
def test_people_get_tables_and_colours(words: list[str], here: Path):
    status, out = in_a_terminal(*words, directory=here)
    assert status == (1 if "watch" in words else 0)
    assert "\x1b[" in out
    assert "\t" not in out
    if words[0] in ("runs", "watch"):
        assert "\x1b[33mcompleted_with_errors\x1b[0m" in out
        _, out = in_a_terminal(*words, directory=here, NO_COLOR="1")
        assert "\x1b[33m" not in out
        assert "completed_with_errors" in out


def test_json_in_a_terminal_is_json(here: Path):
    _, out = in_a_terminal("runs", "--json", directory=here)
    assert [job["master_job_id"] for job in json.loads(out)][-1] == ENDED


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("starfish-storage re", {"resume", "retry", "records", "record", "repair", "restore", "restore-version"}),
        ("starfish-storage up", {"upgrade"}),
        ("starfish-storage records cap", {"capitals-1", "capitals-2"}),
        ("starfish-storage --store store show ", {"capitals-1", "capitals-2", "sums-1", "last"}),
        ("starfish-storage --store nowhere show ca", set()),
        ("starfish-storage records last --status f", {"filtered", "failed"}),
        ("starfish-storage check train.jsonl --form openai", {"openai", "openai-dpo"}),
    ],
)
def test_the_shell_completes(words: str, expected: set[str], here: Path):
    ended = run(
        directory=here,
        _STARFISH_STORAGE_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert {line.partition(",")[2] for line in ended.out.splitlines() if line} == expected
    assert not (here / "nowhere").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_can_be_installed(shell: str, here: Path):
    # Click asks bash for its version, to warn of an old one.
    ended = run(directory=here, _STARFISH_STORAGE_COMPLETE=f"{shell}_source")
    assert "_STARFISH_STORAGE_COMPLETE" in ended.out
    assert ended.status == 0
