"""`export` that is interrupted: in both passes of a table, and where nobody reads what it writes."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cli.calling import COMMAND, ENVIRONMENT
from starfish_storage import LocalStorage
from starfish_storage.testing.samples import a_record, at, save_run

SECONDS = 10.0  # about one on idle processors; tests/export/test_destination.py counts the pieces written after
DATA = {"steps": [{"a": k, "b": [{"c": "x"}] * 3} for k in range(100)]}  # 5 kB, and slow to make a table of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("interrupted") / "store"
    asyncio.run(_make(path))
    return path


async def _make(path: Path) -> None:
    async with LocalStorage(path.as_uri(), durability="process") as storage:
        await save_run(storage)
        records = [a_record(f"r{n:04}", status="completed", start_time=at(n)) for n in range(1500)]
        await storage.save_records([(record, DATA) for record in records])


def read_on(terminal: int, text: bytes, shown: threading.Event) -> None:
    """Read what a terminal is to show, to its end: a program that nobody reads waits. Tell when a text is there."""
    seen = b""
    with suppress(OSError):  # what Linux says at the end
        while read := os.read(terminal, 4096):
            seen += read
            if text in seen:
                shown.set()
    os.close(terminal)


@pytest.mark.parametrize("phase", ["exporting", "writing"])
def test_a_table_leaves_nothing_in_both_passes(store: Path, tmp_path: Path, phase: str):
    target = tmp_path / "out.parquet"
    target.write_text("mine")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--store", str(store), "export", "last", str(target), "--overwrite"],
        env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = threading.Event()
    reading = threading.Thread(target=read_on, args=(ours, phase.encode(), shown))
    reading.start()
    with process:
        assert shown.wait(60)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert process.wait(timeout=60) == 128 + signal.SIGINT
        assert time.monotonic() - begun < SECONDS
    reading.join()
    assert target.read_text() == "mine"
    assert os.listdir(tmp_path) == ["out.parquet"]


def test_a_reader_that_takes_nothing_holds_nobody(store: Path, tmp_path: Path):
    process = subprocess.Popen(
        [*COMMAND, "--store", str(store), "export", "last", "-"],
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        process.stdout.read(1)  # it has begun, and the pipe is full soon
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert process.wait(timeout=60) == 128 + signal.SIGINT
        assert time.monotonic() - begun < SECONDS
    assert os.listdir(tmp_path) == []


def test_a_reader_that_leaves_ends_it_quietly(store: Path, tmp_path: Path):
    process = subprocess.Popen(
        [*COMMAND, "--store", str(store), "export", "last", "-", "--form", "csv", "--limit", "100"],
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert os.listdir(tmp_path) == []
