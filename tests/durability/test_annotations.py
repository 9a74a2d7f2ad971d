"""Several processes annotate and edit one record, and one of them is killed: nothing acknowledged is lost, or half."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from durability.processes import first_to_write, start
from starfish_storage import open_storage
from starfish_storage.maintenance import verify
from starfish_storage.runs import holding
from starfish_storage.testing.samples import MASTER_JOB, RECORD, a_record, save_run

ROUNDS, BEFORE_THE_KILL = 8, 3


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_kill_while_two_edit_loses_nothing(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    uri, data = tmp_path.as_uri(), ""
    if engine == "postgres":
        uri, data = request.getfixturevalue("postgres_uri"), tmp_path.as_uri()
    async with open_storage(uri, data or None) as storage:
        await save_run(storage)
        await storage.save_record(a_record(), {"original": True})
    said = await asyncio.to_thread(_edit_and_kill, uri, data)

    async with open_storage(uri, data or None) as storage:
        found = await storage.annotations.list([RECORD])
        there = {one.annotation_id: one for one in found}
        for edit, version, verdict in said:
            assert (there[edit].kind, there[edit].value) == ("edit", {"version": int(version)})
            assert there[verdict].kind == "verdict"
        edits = [one for one in found if one.kind == "edit"]
        assert len(edits) - len(said) in (0, 1)  # one more may have been made, and not been acknowledged
        versions = await storage.ledger.list_versions(RECORD)
        assert [one.number for one in versions] == list(range(1, len(edits) + 2))
        assert [one.is_current for one in versions] == [False] * len(edits) + [True]
        texts = [await storage.ledger.get_version_data(RECORD, one.number) for one in versions]
        assert texts[0] == {"original": True}
        made = [(text["by"], text["number"]) for text in texts[1:] if text is not None]
        assert len(set(made)) == len(edits)
        assert [author for author, _ in made] == [one.author for one in edits]
        assert {one.author for one in holding(found) if one.kind == "verdict"} == {"ann", "bob"}
        assert (await storage.annotations.count(MASTER_JOB)).edited == 1
    assert verify(uri, data or None).damage == []


def _edit_and_kill(uri: str, data: str) -> list[list[str]]:
    """Let two processes edit, kill one when it has edited some times, and return what both were told."""
    arguments = ["-m", "durability.annotation_process", uri, data, RECORD]
    with start([*arguments, "ann", "1000"]) as ann, start([*arguments, "bob", str(ROUNDS)]) as bob:
        assert ann.stdout is not None
        lines = [ann.stdout.readline() for _ in range(BEFORE_THE_KILL) if first_to_write([ann]) is ann]
        ann.send_signal(signal.SIGKILL)
        told, err = bob.communicate(timeout=60)
        assert (bob.returncode, err) == (0, "")
        lines += [*ann.stdout.read().splitlines(), *told.splitlines()]
        assert ann.wait() == -signal.SIGKILL
    # The last line of the killed one may be torn.
    return [words for line in lines if len(words := line.split()) == 3 and len(words[2]) == 32]
