"""Runs of a program that defines its function itself, as README's does: how they end early, and how they continue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.calling import call, call_json

PROGRAM = """
import asyncio, os
from starfish_storage import generate, open_storage

async def answer(n):
    if n >= 2 and "HANGS" in os.environ:
        print("begun", flush=True)
        await asyncio.sleep(3600)
    return {"n": n}

async def main():
    inputs = [{"n": n} for n in range(4)]
    how = {"max_concurrency": 1, "progress": os.environ["PROGRESS"], "grace": float(os.environ["GRACE"])}
    if "RUN" in os.environ:
        how["master_job_id"] = os.environ["RUN"]
    async with open_storage("store") as storage:
        await generate(storage, answer, inputs, project="p", **how)

if __name__ == "__main__":
    asyncio.run(main())
"""
RUN = "run-1"


@pytest.fixture
def program(empty: Path) -> Path:
    path = empty / "own_program.py"
    path.write_text(PROGRAM, "utf-8")
    return path


def ended(program: Path, *signals: signal.Signals, progress: str = "lines", **variables: str) -> str:
    """Start a program, send it signals while it waits for an answer, and return what it wrote to standard error."""
    environment = os.environ | {"HANGS": "1", "PROGRESS": progress, "GRACE": "3600"} | variables
    words = [sys.executable, str(program)]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=program.parent
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signals[0])
            written = ""
            for one in signals[1:]:
                while "Ctrl-C again" not in written:
                    written += process.stderr.readline()
                process.send_signal(one)
            return written + process.communicate(timeout=60)[1]
        finally:
            process.kill()


def test_a_killed_program_is_started_again_or_its_file_is_named(program: Path):
    ended(program, signal.SIGKILL, RUN=RUN)
    command = f"starfish-storage resume {RUN} FILE.py:answer"
    hint = f"start your program again, or continue with: {command}\n"
    assert f"workers\tnone; {hint}" in call("show", RUN).out
    assert f"no worker is alive: {hint}" in call("watch", RUN, "--once").out
    refused = call("resume", RUN, "-q")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        "error: function '__main__:answer' cannot be used: it belongs to the program that started the run, and this is "
        f"another program; start your program again if it names the run, or: {command}.\n"
    )
    assert f"or: starfish-storage retry {RUN} FILE.py:answer" in call("retry", RUN, "-q").err
    assert call("resume", RUN, "own_program.py:answer", "-q").status == 0
    assert call_json("show", RUN)["inputs"] == {"completed": 4}


def test_a_run_without_an_id_of_its_own_does_not_continue_when_its_program_is_started_again(program: Path):
    ended(program, signal.SIGKILL)
    run = call_json("show", "last")["master_job"]["master_job_id"]
    assert f"workers\tnone; continue with: starfish-storage resume {run} FILE.py:answer\n" in call("show", "last").out


@pytest.mark.parametrize("progress", ["lines", "bar"])
@pytest.mark.parametrize(("presses", "grace"), [(1, "0"), (2, "3600")])
def test_an_interrupted_program_says_how_far_it_is(program: Path, presses: int, grace: str, progress: str):
    written = ended(program, *[signal.SIGINT] * presses, progress=progress, GRACE=grace, RUN=RUN)
    line = f"run {RUN!r} was interrupted: 2 of 4 inputs are done; start the program again to continue\n"
    assert line in written
    assert written.index(line) < written.index("Traceback")
    assert written.endswith("KeyboardInterrupt\n")


def test_an_interrupted_program_without_an_id_of_its_run_is_told_to_resume_it(program: Path):
    written = ended(program, signal.SIGINT, GRACE="0")
    assert "was interrupted: 2 of 4 inputs are done; resume continues it\n" in written


def test_a_run_that_stops_says_why_and_what_continues_it(empty: Path):
    (empty / "refused.py").write_text(
        "class AuthenticationError(Exception):\n    status_code = 401\n\n\n"
        "def answer(n):\n    raise AuthenticationError('your key is refused')\n"
    )
    (empty / "four.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(4)))
    stopped = call("generate", "refused.py:answer", "four.jsonl", "--id", RUN, "--max-concurrency", "1")
    reason = "failing: AuthenticationError: your key is refused"
    assert f"run {RUN!r} stopped ({reason}): 0 of 4 inputs are done; resume continues it\n" in stopped.err
    assert f"stopped\t{reason}\n" in call("show", RUN).out
    assert call("errors", RUN).err == (
        f"No input has failed for good, but 1 attempt failed. The run stopped: {reason}\n"
    )


def test_a_quiet_program_says_nothing(program: Path):
    assert "was interrupted" not in ended(program, signal.SIGINT, progress="quiet", GRACE="0", RUN=RUN)


def test_the_function_that_was_given_is_told_again(program: Path):
    (program.parent / "other.py").write_text(
        "def stopping(n, context):\n    context.log_usage(cost=1)\n    return {'n': n}\n"
    )
    ended(program, signal.SIGKILL, RUN=RUN)
    stopped = call("resume", RUN, "other.py:stopping", "--max-cost", "1", "-q")
    assert stopped.status == 3
    assert stopped.err.endswith(f"Continue with: starfish-storage resume {RUN} other.py:stopping\n")
