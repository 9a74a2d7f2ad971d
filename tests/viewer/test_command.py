"""``starfish-storage view`` as people start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cli.calling import COMMAND, ENVIRONMENT, call
from starfish_storage.viewer.serving import bound

from .markup import Page
from .viewing import PLAIN, RUN, make


@contextmanager
def started(
    *words: str, environment: Mapping[str, str] | None = None, command: Sequence[str] = COMMAND
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start the command; give the process and its first line."""
    with subprocess.Popen(
        [*command, "view", "--no-open", *words],
        env=ENVIRONMENT | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().rstrip("\n")
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_first_line_is_the_address_and_a_signal_ends_it(made: str, how: signal.Signals):
    with started("--store", made) as (process, line):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", line)
        with httpx.Client(base_url=line) as client:
            assert RUN in client.get("/").text
            assert f"--store {made}" in client.get(f"/run?id={RUN}").text  # commands can be pasted
            process.send_signal(how)  # with a connection that is still open
            assert process.wait(20) == 0
        assert process.communicate() == ("", "Stop with Ctrl-C.\n")


def test_the_first_page_is_there_without_what_other_pages_need(made: str):
    code = "import sys\nfrom starfish_storage.cli import main\ntry:\n    main()\nfinally:\n    print(*sys.modules)"
    with started("--store", made, command=(sys.executable, "-c", code)) as (process, line):
        assert RUN in httpx.get(line, verify=PLAIN).text
        process.send_signal(signal.SIGTERM)
        loaded = set(process.communicate(timeout=20)[0].split())
    ours = {name.removeprefix("starfish_storage.") for name in loaded}
    assert {name for name in ours if name.startswith("viewer.pages.")} == {"viewer.pages.sheet", "viewer.pages.store"}
    assert not ours & {"copying", "export", "generation", "imports", "maintenance", "publishing"}
    assert not loaded & {"asyncpg", "httpx", "jsonschema", "markdown_it", "obstore", "pandas", "pyarrow", "rich"}
    assert not loaded & {"tenacity", "webbrowser"}


def test_an_address_for_others_has_a_token(made: str):
    with started("--store", made, "--host", "0.0.0.0") as (_, line):
        assert re.fullmatch(r"http://[^/]+:\d+/\?token=[\w-]{40,}", line)
        port, token = re.findall(r":(\d+)/\?token=(.*)", line)[0]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
            assert client.get("/").status_code == 401
            assert RUN in client.get("/", params={"token": token}).text
            assert client.get("/").status_code == 200


def test_what_cannot_be_opened(made: str, tmp_path: os.PathLike[str]):
    assert "it does not exist" in call("view", "--no-open", "--store", f"{tmp_path}/none").err
    assert not os.path.exists(f"{tmp_path}/none")
    with bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        ended = call("view", "--no-open", "--store", made, "--port", str(port))
    assert ended.status == 2
    assert "Choose others with --host and --port" in ended.err
    assert "cannot listen" in call("view", "--no-open", "--store", made, "--host", "no.such.host.invalid").err


def test_an_archive_is_shown_and_leaves_nothing(made: str, tmp_path: Path):
    file, room = tmp_path / "run.zip", tmp_path / "room"
    room.mkdir()
    assert call("archive", RUN, str(file), "--store", made).status == 0
    assert RUN in call("runs", "--store", str(file)).out
    refused = call("restore-version", "uid", "1", "--store", str(file))
    assert "can only be read; copy it into a store with 'unarchive'" in refused.err
    with started(str(file), environment={"TMPDIR": str(room)}) as (process, line):
        with httpx.Client(base_url=line) as client:
            first = client.get("/").text
            assert RUN in first
            assert "This is an archive, and can only be read." in first
            record = Page(client.get(f"/records?run={RUN}&field=n&compare=is&value=1").text)
            (address,) = [place for place in record.links if place.startswith("/record?")]
            assert "It is" in client.get(address).text
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert list(room.iterdir()) == []
    file.write_bytes(file.read_bytes().replace(b"small-1", b"small-2")[:-30])
    assert "it is no zip file, or is cut short" in call("view", "--no-open", str(file)).err
    assert "named twice" in call("view", "--no-open", str(file), "--store", made).err


def test_what_it_needs_is_named(made: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ended = call("view", "--no-open", "--store", made)
    assert (ended.status, ended.out) == (2, "")
    assert "pip install 'starfish-storage[viewer]'" in ended.err


def test_a_review_is_written_and_only_where_that_can_be(made: str, store: str, tmp_path: os.PathLike[str]):
    import asyncio

    asyncio.run(make(store, 1))
    with (
        started("--store", store, "--review", "--author", "Ada") as (_, line),
        httpx.Client(base_url=line, follow_redirects=True) as client,
    ):
        form = Page(client.get(f"/review?run={RUN}").text).form("Accept a")
        sent = form.fields | form.buttons["Accept a"]
        assert client.post(form.action, data=sent, headers={"Origin": line.rstrip("/")}).status_code == 200
        assert "waits for your verdict" in client.get(f"/review?run={RUN}").text
    assert "accepted" in call("annotations", RUN, "--store", store).out
    with open(f"{tmp_path}/run.zip", "wb") as archive:
        archive.write(b"PK\x03\x04")
    for words, reason in (
        (["--author", "Ada", "--store", made], "it needs --review"),
        (["--review", "--author", "x" * 300, "--store", made], "1 to 100 letters"),
        (["--review", "--read-only", "--store", made], "--read-only was given"),
        (["--review", f"{tmp_path}/none"], "it does not exist"),
        (["--review", f"{tmp_path}/run.zip"], "An archive can only be read"),
    ):
        ended = call("view", "--no-open", *words)
        assert ended.status == 2
        assert reason in ended.err
