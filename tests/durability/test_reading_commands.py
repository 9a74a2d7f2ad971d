"""Commands that read need neither a writable nor an empty disk, and with ``--read-only`` none writes to its store."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli.calling import Ended, call
from durability import reading_stores, workload
from durability.file_systems import Mounted
from durability.reading_commands import RUN, called
from migrations.stores import on_disk, unpack
from starfish_storage import LocalStorage, StorageBusyError, maintenance
from starfish_storage.keys import record_key
from starfish_storage.metadata.sqlite.inspection import Inspection
from unit.store_on_disk import bytes_of

TESTS = Path(__file__).parents[1]
OF_THE_DISK = re.compile(r"no space|read-only|permission|errno", re.IGNORECASE)
VARIES = re.compile(
    r"in \d+\.\d s|\([\d,]+ records/s\)|^[\d-]+ [\d:]+Z|files: .*|\d files \([\d,]+ bytes\)", re.MULTILINE
)
KINDS: dict[str, Callable[[Path], object]] = {
    "killed": reading_stores.make_killed,
    "closed": reading_stores.make_closed,
}


def read(user: str, beside: Path, output: Path, store: Path, *options: str) -> dict[str, Ended]:
    command = [sys.executable, "-m", "durability.reading_commands", user, beside, output, store, *options]
    done = subprocess.run(list(map(str, command)), cwd=TESTS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return {name: Ended(*ended) for name, ended in json.loads(done.stdout).items()}


def check(user: str, store: Path, tmp_path: Path, output: Path, *options: str) -> None:
    """Check that commands say of a store what they say of one beside, which can be written."""
    beside = tmp_path / "beside"
    found = read(user, beside, output, store, *options)
    there = called(beside, tmp_path / "there")
    for name, (status, out, err) in found.items():
        assert not OF_THE_DISK.search(out + err), (name, out, err)
        assert (status, err) == (there[name].status, there[name].err), name
        said = VARIES.sub("", out.replace(str(store), str(beside)).replace(str(output), str(tmp_path / "there")))
        assert said == VARIES.sub("", there[name].out), name
    assert (output / "records.jsonl").read_bytes() == (tmp_path / "there/records.jsonl").read_bytes()
    for name in ("copied", "backup"):
        assert bytes_of(output / name / "data") == bytes_of(tmp_path / "there" / name / "data")


EITHER_WAY = pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("killed", (), id="killed"),
        pytest.param("closed", ("--read-only",), id="closed-read-only"),
        pytest.param("killed", ("--read-only",), id="killed-read-only", marks=pytest.mark.slow),
        pytest.param("closed", (), id="closed", marks=pytest.mark.slow),
    ],
)
"""Every command is called twice for each, which takes seconds."""


@pytest.fixture
def store(kind: str, disk: Mounted, tmp_path: Path) -> Path:
    """A store on a disk of its own, and one beside that is the same and can be written."""
    KINDS[kind](tmp_path / "beside")
    return shutil.copytree(tmp_path / "beside", disk.path / "store")


@EITHER_WAY
def test_on_a_full_disk(store: Path, disk: Mounted, tmp_path: Path, options: tuple[str, ...]) -> None:
    reading_stores.fill(disk.path)
    check("self", store, tmp_path, tmp_path / "output", *options)


@EITHER_WAY
def test_on_a_disk_mounted_read_only(store: Path, disk: Mounted, tmp_path: Path, options: tuple[str, ...]) -> None:
    disk.remount("ro")
    check("self", store, tmp_path, tmp_path / "output", *options)


@EITHER_WAY
def test_where_only_others_may_write(store: Path, open_path: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    root = shutil.copytree(store, open_path / "store")
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    output = open_path / "output"
    output.mkdir()
    output.chmod(0o777)
    before = on_disk(root)
    check("nobody", root, tmp_path, output, *options)
    assert on_disk(root) == before


def test_on_purpose_a_store_is_left_as_it_was(tmp_path: Path) -> None:
    store = tmp_path / "store"
    reading_stores.make_closed(store)
    before = on_disk(store), {path: path.stat().st_mtime_ns for path in [store, *store.rglob("*")]}
    ended = called(store, tmp_path / "output", "--read-only")
    ended["collect"] = call("collect", "--dry-run", "--read-only", "--store", str(store))
    assert {name: one.err for name, one in ended.items() if one.status not in (0, 1)} == {}
    assert (on_disk(store), {path: path.stat().st_mtime_ns for path in [store, *store.rglob("*")]}) == before


async def test_what_begins_to_be_written_is_busy_on_purpose(tmp_path: Path) -> None:
    store = tmp_path / "store"
    await asyncio.to_thread(reading_stores.make_closed, store)
    with closing(Inspection(str(store), read_only=True)) as before:
        async with LocalStorage(store) as writer:
            await writer.save_record(workload.record("r1", 7), workload.payload("r1", 7))
            with pytest.raises(StorageBusyError, match="call again"):
                before.data_of(record_key("r1"))
            assert await asyncio.to_thread(maintenance.verify, store, read_only=True)
            with closing(Inspection(str(store), read_only=True)) as beside:
                assert list(beside.rows("every_unreadable_row")) == []


@pytest.mark.parametrize("name", ["v2", "starfish-0.1.3"])
def test_checking_an_older_store_needs_an_upgrade(name: str, disk: Mounted, tmp_path: Path) -> None:
    unpack(name, disk.path / "store")
    words = (["verify"], ["backup", str(tmp_path / "backup")], ["repair", "--dry-run"], ["collect", "--dry-run"])
    for command in words:
        assert "; run 'starfish-storage upgrade STORE'" in call(*command, "--store", str(disk.path / "store")).err
    disk.remount("ro")
    for command in words:
        ended = call(*command, "--store", str(disk.path / "store"))
        assert "; copy it to a disk that can be written, and run 'starfish-storage upgrade STORE' there" in ended.err


def test_a_backup_names_the_damage(disk: Mounted, tmp_path: Path) -> None:
    store = disk.path / "store"
    reading_stores.make_closed(store)
    (store / record_key("r1")).write_text("{}\n")
    (store / "writer.lock").unlink()
    disk.remount("ro")
    ended = call("backup", str(tmp_path / "backup"), "--store", str(store))
    assert ended.status == 2
    assert record_key("r1") in ended.err
    assert "not what was saved" in ended.err
    assert "lock" not in ended.err


WRITING = (
    ["generate", "functions.py:f", "inputs.jsonl"],
    ["resume", RUN],
    ["retry", RUN],
    ["cancel", RUN],
    ["import", "inputs.jsonl"],
    ["unarchive", "run.zip"],
    ["collect"],
    ["repair"],
    ["repair", "--yes"],
    ["restore", "backup"],
)


def test_on_purpose_no_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading_stores.make_killed(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs.jsonl").write_text('{"n": 1}\n')
    shutil.copy(tmp_path / "inputs.jsonl", tmp_path / "run.zip")
    (tmp_path / "functions.py").write_text("def f(n):\n    return {}\n")
    before = on_disk(tmp_path / "store")
    for words in WRITING:
        for given in (["--read-only", *words], [*words, "--read-only"]):
            ended = call(*given)
            assert ended.status == 2, words
            (line,) = ended.err.splitlines()
            assert line == (
                f"error: store at '{tmp_path}/store' can only be read: --read-only was given; leave it out, to write. "
                "Nothing was written."
            )
    assert call("runs", "--read-only").status == 0
    after = on_disk(tmp_path / "store")
    assert {name: content for name, content in after.items() if name != "metadata.db-shm"} == {
        name: content for name, content in before.items() if name != "metadata.db-shm"
    }
    assert call("generate", "functions.py:f", "inputs.jsonl", "--read-only", "--store", "new").status == 2
    assert not (tmp_path / "new").exists()


def test_what_writes_says_why_it_cannot(disk: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading_stores.make_closed(disk.path / "store")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs.jsonl").write_text('{"n": 1}\n')
    disk.remount("ro")
    for words in (["import", "inputs.jsonl"], ["collect", "--days", "0"]):
        ended = call(*words, "--store", str(disk.path / "store"))
        assert ended.status == 2, words
        assert ended.err.startswith(f"error: store at '{disk.path}/store' can only be read: its file system is"), words


def test_a_run_is_refused_at_once_and_in_one_line(
    disk: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "paid.py").write_text("def answer(n, context):\n    context.log_usage(cost=1)\n    return {'n': n}\n")
    store = ("--store", str(disk.path / "store"))
    started = ("paid.py:answer", "inputs.jsonl", "--max-concurrency", "1", "--max-cost", "1", *store)
    assert call("generate", *started, "--id", "run-1", "-q").status == 3
    disk.remount("ro")
    for words in (("generate", *started), ("resume", "run-1", *store), ("retry", "run-1", *store)):
        ended = call(*words)
        assert ended.status == 2, words
        assert ended.err.startswith(f"error: store at '{disk.path}/store' can only be read: its file system is"), words
        assert ended.err.count("\n") == 1, ended.err
