"""Runs of a program that defines its function itself, as README's does: how they end early, and how they continue."""

from __future__ import annotations

import os
import re
import shlex
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


def ended(program: Path, *signals: signal.Signals, progress: str = "lines", reads: str = "", **variables: str) -> str:
    """Start a program, send it signals while it waits for an answer, and return what it wrote to standard error."""
    environment = os.environ | {"HANGS": "1", "PROGRESS": progress, "GRACE": "3600"} | variables
    words = [sys.executable, str(program)]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=program.parent
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == (reads or "begun\n")
            assert not reads or process.stdout.readline() == "begun\n"
            process.send_signal(signals[0])
            written = ""
            for one in signals[1:]:
                while "Ctrl-C again" not in written:
                    written += process.stderr.readline()
                process.send_signal(one)
            return written + process.communicate(timeout=60)[1]
        finally:
            process.kill()


def test_a_killed_program_is_resumed_from_the_command_line_in_any_directory(
    program: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    ended(program, signal.SIGKILL)
    run = call_json("show", "last")["master_job"]["master_job_id"]
    command = f"starfish-storage resume {run}"
    assert f"workers\tnone; continue with: {command}\n" in call("show", run).out
    assert f"no worker is alive: continue with: {command}\n" in call("watch", run, "--once").out
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    store = str(program.parent / "store")
    program.rename(program.parent / "moved.py")
    refused = call("resume", run, "-q", "--store", store)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        f"error: function 'own_program.py:answer' cannot be used: its file '{program}' is not there; put it back, or: "
        f"starfish-storage resume {run} --store file://{store} FILE.py:answer.\n"
    )
    (program.parent / "moved.py").rename(program)
    assert call("resume", run, "-q", "--store", store).status == 0
    assert call_json("show", run, "--store", store)["inputs"] == {"completed": 4}


def test_a_program_that_was_moved_is_found_in_the_current_directory(program: Path, monkeypatch: pytest.MonkeyPatch):
    ended(program, signal.SIGKILL, RUN=RUN)
    moved = program.parent / "moved"
    moved.mkdir()
    program.rename(moved / program.name)
    monkeypatch.chdir(moved)
    assert call("resume", RUN, "-q", "--store", str(program.parent / "store")).status == 0


STARTS = {
    "plainly": "asyncio.run(main())",
    "caught": "try:\n    asyncio.run(main())\nexcept Exception:\n    pass",
    "in a thread": (
        "import threading\none = threading.Thread(target=lambda: asyncio.run(main()))\none.start()\none.join()"
    ),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_program_that_would_start_a_run_when_it_is_imported_is_refused_first(
    program: Path, start: str, monkeypatch: pytest.MonkeyPatch
):
    program.write_text(PROGRAM.replace('if __name__ == "__main__":\n    asyncio.run(main())', start))
    ended(program, signal.SIGKILL, RUN=RUN)
    for name, value in {"PROGRESS": "quiet", "GRACE": "0"}.items():
        monkeypatch.setenv(name, value)
    before = call("runs", "--json").out
    for words in (["resume", RUN], ["retry", RUN], ["resume", RUN, "own_program.py:answer"]):
        refused = call(*words, "-q")
        assert (refused.status, refused.out) == (2, "")
        assert refused.err.endswith(
            f"importing '{program}' opens a store to write into it; put what starts a run below "
            "`if __name__ == '__main__':`.\n"
        )
    assert call("runs", "--json").out == before


def test_a_program_that_resumes_by_name_in_itself_or_in_a_process_is_not_imported_again(program: Path):
    program.write_text(
        PROGRAM.replace('if __name__ == "__main__":\n    asyncio.run(main())\n', "")
        + "    if 'HANGS' in os.environ: return\n"
        + "imports = []\nprint('imported', __name__, flush=True)\n"
        + "async def again(run):\n"
        + "    async with open_storage('store') as storage:\n"
        + "        await resume(storage, run, progress='quiet')\n"
        + "def worker(run):\n    asyncio.run(again(run))\n"
        + "if __name__ == '__main__':\n"
        + "    import multiprocessing, sys\n"
        + "    if len(sys.argv) == 1:\n        asyncio.run(main())\n"
        + "    elif sys.argv[1] == 'here':\n        worker(sys.argv[2])\n"
        + "    else:\n"
        + "        one = multiprocessing.get_context('spawn').Process(target=worker, args=sys.argv[2:])\n"
        + "        one.start(); one.join(); sys.exit(one.exitcode)\n"
    )
    program.write_text(program.read_text().replace("import generate,", "import generate, resume,"))
    for how, imported in (("here", ["__main__"]), ("process", ["__main__", "__mp_main__"])):
        ended(program, signal.SIGKILL, RUN=how, reads="imported __main__\n")
        again = subprocess.run(
            [sys.executable, str(program), how, how], cwd=program.parent, capture_output=True, text=True, check=True
        )
        assert [line.split()[1] for line in again.stdout.splitlines()] == imported
        assert call_json("show", how)["inputs"] == {"completed": 4}


@pytest.mark.parametrize("progress", ["lines", "bar"])
@pytest.mark.parametrize(("presses", "grace"), [(1, "0"), (2, "3600")])
def test_an_interrupted_program_says_how_far_it_is(program: Path, presses: int, grace: str, progress: str):
    written = ended(program, *[signal.SIGINT] * presses, progress=progress, GRACE=grace, RUN=RUN)
    command = f"starfish-storage resume {RUN} --store {program.parent / 'store'}"
    line = f"run {RUN!r} was interrupted: 2 of 4 inputs are done; start the program again to continue, or: {command}\n"
    assert line in written
    assert written.index(line) < written.index("Traceback")
    assert written.endswith("KeyboardInterrupt\n")


def test_an_interrupted_program_without_an_id_of_its_run_tells_the_command_that_continues_it(
    program: Path, monkeypatch: pytest.MonkeyPatch
):
    written = ended(program, signal.SIGINT, GRACE="0")
    (command,) = re.findall(r"was interrupted: 2 of 4 inputs are done; continue with: starfish-storage (.+)\n", written)
    monkeypatch.chdir("/")
    assert call(*shlex.split(command), "-q").status == 0
    assert call_json("show", "last", *shlex.split(command)[2:])["inputs"] == {"completed": 4}


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
