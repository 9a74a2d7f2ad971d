"""A run with a real client is killed, interrupted and continued; afterwards each input was paid for as often as it had
to be, and every answer is there."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from clients.asking_process import ask
from clients.faults import replies, text_of
from durability import processes
from generation.runs import RUN, open_store, sound
from servers.paying import PayingServer

QUESTIONS = ("quick 1", "quick 2", "killed 1", "killed 2", "interrupted 1", "interrupted 2", "late 1", "late 2")


def start(store: str, url: str, way: str, how: str) -> subprocess.Popen[str]:
    return processes.start(["-m", "clients.asking_process", store, url, way, how, *QUESTIONS])


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


@pytest.mark.parametrize(
    ("way", "how"), [("openai-chat", "async"), pytest.param("anthropic-messages", "blocking", marks=pytest.mark.slow)]
)
async def test_a_run_is_killed_interrupted_and_continued(
    tmp_path: Path, paying_server: PayingServer, way: str, how: str
) -> None:
    store, url = tmp_path.as_uri(), paying_server.url
    expected = dict.fromkeys(QUESTIONS[:4], 1)

    paying_server.tell("held", match="killed", times=2)
    with start(store, url, way, how) as process:  # kill -9, with two answers paid for and not yet there
        paying_server.wait_held(2)
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL
    assert paying_server.payments == expected
    paying_server.release()

    paying_server.tell("held", match="interrupted", times=2)
    with start(store, url, way, how) as process:  # Ctrl-C, with two answers paid for, which are waited for
        paying_server.wait_held(2)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        paying_server.release()
        status, out, errors = ended(process)
    assert status == -signal.SIGINT, errors
    assert (out, "6 of 8 inputs are done" in errors) == ("", True), errors
    expected |= {"killed 1": 2, "killed 2": 2, "interrupted 1": 1, "interrupted 2": 1}
    assert paying_server.payments == expected, "only what was in flight when it was killed is paid for again"

    run = await ask(store, url, way, how, *QUESTIONS)
    assert (run.status, run.records) == ("completed", {"completed": len(QUESTIONS)})
    assert paying_server.payments == expected | {"late 1": 1, "late 2": 1}
    await check(store, way)
    sound(store)


async def check(store: str, way: str) -> None:
    """The answer that was paid for last is stored of each question, with what it used."""
    async with open_store(store) as storage:
        said = {question: json.loads(text_of(reply) or "") for question, reply in (await replies(storage, RUN)).items()}
        assert said == {
            question: {"answer": question, "reply": 2 if question.startswith("killed") else 1} for question in QUESTIONS
        }
        state = await storage.ledger.get_run(RUN)
        assert state is not None
        assert state.input_tokens == sum(uncached(len(question), way) for question in QUESTIONS)


def uncached(given: int, way: str) -> int:
    """Return what the API calls input tokens: Anthropic's counts those of the cache apart."""
    return given - given // 2 - given // 4 if way.startswith("anthropic") else given
