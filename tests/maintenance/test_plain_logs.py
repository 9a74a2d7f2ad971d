"""Row logs whose records are compared without being replayed: `verify` finds what a replay of them finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from generation.runs import RUN, start
from maintenance.test_verify import kinds
from starfish_storage import open_storage
from starfish_storage.metadata.sqlite import log_comparison
from starfish_storage.metadata.sqlite.rebuild import Rebuilding

Lines = list[bytes]
DIFFERS = [("row_log_differs", "rows.jsonl")]


async def answer(n: int) -> list[dict[str, Any]]:
    return [{"n": n}, {"n": -n}]


def record_lines(lines: Lines) -> list[int]:
    return [number for number, line in enumerate(lines) if line.startswith(b'["save_record"')]


def changed(line: bytes, **values: str) -> bytes:
    """Return the line of a record with other values."""
    row: list[Any] = json.loads(line)
    for name, value in values.items():
        row[{"job_id": 2, "status": 4, "last_update_time": 8}[name]] = value
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def one_twice(lines: Lines) -> Lines:
    """One record has the line of another one: as many lines as there are records."""
    first, second, *_ = record_lines(lines)
    lines[first] = lines[second]
    return lines


def changed_later(lines: Lines) -> Lines:
    return [
        *lines,
        changed(lines[record_lines(lines)[0]], status="failed", last_update_time="2020-01-01T00:00:00.000000Z"),
    ]


def changed_later_and_newer(lines: Lines) -> Lines:
    return [
        *lines,
        changed(lines[record_lines(lines)[0]], status="failed", last_update_time="2999-01-01T00:00:00.000000Z"),
    ]


def of_another_job(lines: Lines) -> Lines:
    first = record_lines(lines)[0]
    lines[first] = changed(lines[first], job_id="nobody's")
    return lines


def torn(lines: Lines) -> Lines:
    last = record_lines(lines)[-1]
    lines[last] = lines[last][:-20]
    return lines


def without_header(lines: Lines) -> Lines:
    return lines[1:]


def deleted(lines: Lines) -> Lines:
    uid = json.loads(lines[record_lines(lines)[0]])[1]
    return [*lines, json.dumps(["delete_record", uid]).encode() + b"\n"]


def as_it_is(lines: Lines) -> Lines:
    return lines


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    async with open_storage(str(root)) as storage:
        await start(storage, answer)
        assert (await storage.count_records_for_master_job(RUN))["completed"] > 1
    return root


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (as_it_is, []),
        (one_twice, DIFFERS),
        (changed_later, DIFFERS),
        (changed_later_and_newer, []),
        (of_another_job, DIFFERS),
        (torn, DIFFERS),
        (without_header, DIFFERS),
        (deleted, []),
    ],
)
async def test_a_log_is_judged_as_its_replay_is(
    root: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Lines], Lines], found: list[tuple[str, str]]
) -> None:
    log = root / "rows.jsonl"
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))
    assert kinds(root) == found
    monkeypatch.setattr(log_comparison, "_is_plain_and_whole", lambda *_: False)
    assert kinds(root) == found


async def test_records_of_a_plain_log_are_not_replayed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replayed: Lines = []

    def replay(self: Rebuilding, lines: Iterable[bytes]) -> None:
        def noted() -> Iterable[bytes]:
            for line in lines:
                replayed.append(line)
                yield line

        of_log(self, noted())

    of_log = Rebuilding.replay
    monkeypatch.setattr(Rebuilding, "replay", replay)
    assert kinds(root) == []
    assert replayed
    assert not record_lines(replayed)
