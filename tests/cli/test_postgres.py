"""Commands about a store in PostgreSQL, named by the environment or by options; its password is never shown."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from cli.calling import Ended, call
from servers.postgres import PostgresServer

ANSWERS = """
def answer(country: str):
    if country == "Atlantis":
        raise LookupError(f"no {country}")
    return {"capital": country[::-1]}
"""


class Caller:
    """Calls commands, and sees to it that the password is nowhere.

    Args:
        uri: the URI of the store, with the password.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.password = str(urlsplit(uri).password)
        self.shown = uri.replace(f":{self.password}@", "@")

    def __call__(self, *words: str, status: int = 0, **environment: str) -> Ended:
        ended = call(*words, environment=environment)
        assert ended.status == status, ended
        assert self.password not in ended.out + ended.err
        return ended

    def here(self, *words: str, status: int = 0) -> Ended:
        """Call a command about the store, which the environment names."""
        return self(*words, status=status, STARFISH_STORAGE_URI=self.uri)


@pytest.fixture
def say(postgres_uri: str) -> Caller:
    return Caller(postgres_uri)


@pytest.fixture
def work(empty: Path, say: Caller, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a function and its inputs; the environment names the store."""
    (empty / "answers.py").write_text(ANSWERS, "utf-8")
    lines = [json.dumps({"country": country}) for country in ("France", "Japan", "Atlantis")]
    (empty / "capitals.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    monkeypatch.setenv("STARFISH_STORAGE_DATA_URI", "shared")
    yield empty
    assert say.password not in "".join(path.read_text("utf-8") for path in empty.rglob("*.json"))


def test_every_command_finds_the_store_of_the_environment(
    work: Path, say: Caller, postgres_server: PostgresServer
) -> None:
    here = say.here
    ended = here("generate", "answers.py:answer", "capitals.jsonl", "--id", "run-1", "--retries", "0", status=1)
    assert "retry run-1" in ended.err
    assert here("watch", "last", "--once", status=1).out
    assert here("errors", "last").out.splitlines()[1].startswith("1\tLookupError")
    assert len(here("records", "run-1").out.splitlines()) == 4
    record = json.loads(here("records", "run-1", "--json").out)[0]["record_uid"]
    assert json.loads(here("record", record, "--json").out)
    assert json.loads(here("config", "run-1", "--json").out)["inputs"] == str(work / "capitals.jsonl")
    assert json.loads(here("show", "run-1", "--json").out)["master_job"]["storage_uri"] == say.shown
    assert here("runs").out.count("run-1") == 1
    assert here("projects").out.count("capitals") == 2
    assert "1 failed" in here("retry", "run-1", status=1).out
    assert "has already finished" in here("resume", "run-1", status=2).err
    assert "has already finished" in here("cancel", "run-1", status=2).err
    here("verify")
    schema = say.uri.rpartition("=")[2]
    stored = postgres_server.execute(f'SELECT * FROM "{schema}".master_jobs')
    assert stored
    assert not any(say.password in cell for row in stored for cell in row)


def test_a_store_that_is_named_on_the_command_line_needs_its_data_there(work: Path, say: Caller) -> None:
    ended = say("generate", "answers.py:answer", "capitals.jsonl", "--store", say.uri, status=2)
    assert "data_uri" in ended.err
    named = ("--store", say.uri, "--data-uri", "shared")
    say("generate", "answers.py:answer", "capitals.jsonl", "--id", "run-1", "--max-cost", "0", *named, status=3)
    told = say("resume", "run-1", "--max-cost", "0", *named, status=3).err
    shared = (work / "shared").as_uri()
    assert f"starfish-storage resume run-1 --store '{say.shown}' --data-uri {shared}" in told


def test_a_local_store_does_not_get_the_data_of_the_environment(
    here: Path, say: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFISH_STORAGE_DATA_URI", "/nowhere")
    say("record", "sum-0", "--store", "store")
    say("record", "sum-0", status=2, STARFISH_STORAGE_URI="store")
    say("verify", "--store", "store")


def test_looking_makes_no_store(work: Path, say: Caller, postgres_server: PostgresServer) -> None:
    ended = say.here("runs", status=2)
    assert ended.err.startswith(f"error: store at {say.shown!r} ")
    assert "it does not exist" in ended.err
    schema = say.uri.rpartition("=")[2]
    assert not postgres_server.execute(f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'")


@pytest.mark.parametrize("words", [("runs",), ("generate", "answers.py:answer", "capitals.jsonl", "--quiet")])
def test_a_server_that_cannot_be_reached_is_told_soon(work: Path, say: Caller, words: tuple[str, ...]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"postgresql://me:{say.password}@127.0.0.1:{unused.getsockname()[1]}/runs"
        began = time.monotonic()
        ended = say(*words, status=2, STARFISH_STORAGE_URI=nobody)
    assert time.monotonic() - began < 10
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("error: 'postgresql://me@127.0.0.1")


def test_a_wrong_user_is_told_at_once(work: Path, say: Caller) -> None:
    parts = urlsplit(say.uri)
    stranger = urlunsplit(parts._replace(netloc=f"stranger:{say.password}@{parts.netloc.rpartition('@')[2]}"))
    ended = say("runs", status=2, STARFISH_STORAGE_URI=stranger)
    assert len(ended.err.splitlines()) == 1
