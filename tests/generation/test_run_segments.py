"""What a run was made of is stored whenever somebody goes on with it, and its attempts and records name it."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from generation.runs import NEVER, RUN, attempts, job_id, numbers, start
from starfish_storage.export import HuggingFace, JsonLines, export
from starfish_storage.export.provenance import collect_provenance, identity_of
from starfish_storage.generation import load_function, resume, retry
from starfish_storage.interface import Storage
from starfish_storage.runs.segment_history import stretches

SECRET = "sk-1234567890abcdef"
PASSWORD = "correct-horse"
EMPTY: dict[str, Any] = {}


def accept(directory: Path) -> Any:
    """Return a function of a file of the user's own."""
    (directory / "own_checks.py").write_text("def good(output): return True\n")
    return load_function(f"{directory}/own_checks.py:good")


async def breaks(n: int) -> dict[str, Any]:
    if n:
        raise ValueError("no")
    return {"n": n}


async def works(n: int) -> dict[str, Any]:
    return {"n": n, "again": True}


@pytest.mark.filterwarnings("ignore::starfish_storage.redaction.SecretRedactedWarning")
async def test_each_start_is_a_segment_and_attempts_name_theirs(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MY_API_KEY", SECRET)
    monkeypatch.setattr(sys, "argv", ["asking.py", f"--api-key={SECRET}", "--token", SECRET, "-p", PASSWORD])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(platform, "node", lambda: "host-of-mine")
    config = {"model": "m", "api_key": SECRET}
    await start(storage, breaks, numbers(2), config=config, retry=NEVER)
    assert [one.segment for one in await attempts(storage, 1)] == [1]
    await retry(storage, RUN, works, output_schema={"type": "object"}, accept=accept(tmp_path), progress="quiet")
    await retry(storage, RUN, recheck=True, output_schema=EMPTY)
    await start(storage, works, numbers(2), config=config, retry=NEVER)  # it has finished
    first, second = await storage.ledger.list_segments(RUN)
    assert [one.segment for one in await attempts(storage, 0)] == [1]
    assert [one.segment for one in await attempts(storage, 1)] == [1, 2]
    assert first.identity["function"]["name"] == f"{__name__}:breaks"
    assert first.identity["config"] == second.identity["config"] == {"model": "m", "api_key": "[redacted]"}
    assert first.identity["options"]["attempts"] == 1
    assert SECRET not in json.dumps([first.identity, second.identity])
    stored = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert stored
    found = [content for content in stored if SECRET.encode() in content or PASSWORD.encode() in content]
    assert not found, "nor in the row log, nor in the database"
    assert " ".join(first.identity["command"]) == "asking.py --api-key=[redacted] --token [redacted] -p [redacted]"

    uids = [f"{await job_id(storage, n)}-0" for n in (0, 1)]
    assert await storage.ledger.find_segments(uids) == {uids[0]: 1, uids[1]: 2}
    await export(storage, tmp_path / "out.jsonl", JsonLines(metadata_key="about"), master_job_ids=[RUN])
    exported = [json.loads(line)["about"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {one["uid"]: one["segment"] for one in exported} == {uids[0]: 1, uids[1]: 2}
    provenance = await collect_provenance(storage, [RUN])
    told = json.loads(identity_of(provenance)["starfish_storage.segments"])[RUN]
    assert [(one["segments"], one["function"], len(one["code"])) for one in told] == [
        ("1", f"{__name__}:breaks", 64),
        ("2", f"{__name__}:works", 64),
    ]
    await export(storage, tmp_path / "set", HuggingFace(), master_job_ids=[RUN])
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "### Segments" in card
    changed = f"- 2: function: {__name__}.breaks -> {__name__}.works"
    assert changed in card.replace("\\", "")
    assert first.identity["host"] == "host-of-mine"
    for hidden in ("host-of-mine", "asking.py", str(Path(__file__).parent), str(tmp_path)):
        assert hidden not in card
    (run,) = provenance.runs
    assert run.segments[1].changes[0] == f"function: {__name__}.breaks -> {__name__}.works"
    assert 'options.output_schema.type added: "object"' in run.segments[1].changes


async def test_segments_that_are_alike_are_one_stretch(storage: Storage):
    await start(storage, breaks, numbers(2), retry=NEVER)
    for _ in range(3):
        await retry(storage, RUN, breaks, progress="quiet")
    await retry(storage, RUN, breaks, max_cost=5, progress="quiet")
    segments = await storage.ledger.list_segments(RUN)
    one, more = stretches(segments)
    host = segments[0].identity["host"]
    assert (one.numbers, one.where, one.changes) == ("1-4", f"4 starts on {host}", [])
    assert (more.numbers, more.where, more.changes) == ("5", host, ["options.max_cost: null -> 5"])


async def test_a_run_that_was_interrupted_goes_on_in_a_new_segment(storage: Storage):
    await start(storage, breaks, numbers(3), max_failures=1, max_concurrency=1, retry=NEVER)
    await resume(storage, RUN, works, progress="quiet")
    segments = [[one.segment for one in await attempts(storage, n)] for n in range(3)]
    assert {number for made in segments for number in made} == {1, 2}
    assert len(await storage.ledger.list_segments(RUN)) == 2
