"""A lost or damaged database of a packed store: each row gets the line again that it knows the digest of."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import stores
from maintenance.packed_stores import FIRST, change_bytes, execute, line_of, place_of, places
from maintenance.test_collect_packs import kill_data
from maintenance.test_rebuild import damage
from maintenance.test_verify_packs import packed, template, uri
from starfish_storage import LocalStorage, Record
from starfish_storage.maintenance import repair, verify

__all__ = ["packed", "template"]


@pytest.mark.parametrize("damage", ["missing", "emptied", "truncated"])
async def test_packs_and_row_log_give_back_everything(packed: Path, damage: str) -> None:
    await kill_data(packed)
    before, dead = await stores.everything(packed), verify(uri(packed)).dead_bytes
    path = packed / "metadata.db"
    match damage:
        case "missing":
            path.unlink()
        case "emptied":
            path.write_bytes(b"")
        case _:
            path.write_bytes(path.read_bytes()[:20000])
    assert not verify(uri(packed)).is_sound
    known = (packed / FIRST).read_bytes()
    assert repair(uri(packed)).left == []
    report = verify(uri(packed))
    assert (report.findings, report.dead_bytes) == ((), dead)
    assert await stores.everything(packed) == before
    assert (packed / FIRST).read_bytes() == known
    assert execute(packed, "SELECT value FROM settings WHERE name = 'layout'") == [("packed",)]
    async with LocalStorage(uri(packed), layout="packed") as storage:  # it goes on with its pack
        one = Record(record_uid="later", job_id="m1-b", master_job_id="m1", status="completed")
        await storage.save_record(one, {"later": True})
    assert place_of(packed, 1)[1].pack == next(reversed(places(packed).values())).pack


async def test_records_that_have_saved_the_same_have_a_line_each(packed: Path) -> None:
    async with LocalStorage(uri(packed)) as storage:
        for uid in ("same1", "same2", "same3"):
            one = Record(record_uid=uid, job_id="m1-b", master_job_id="m1", status="completed")
            await storage.save_record(one, {"answer": 42})
    (packed / "metadata.db").unlink()
    repair(uri(packed))
    assert len(set(places(packed).values())) == stores.RECORDS + 3
    assert verify(uri(packed)).findings == ()


async def test_what_is_torn_or_lost_in_a_pack_is_passed_over(packed: Path) -> None:
    """Bytes of a dead range that a power cut has made zeros stand before the line that follows."""
    content = (packed / FIRST).read_bytes()
    first, second = sorted(places(packed).values())[:2]
    (packed / FIRST).write_bytes(bytes(first.length) + content[first.length :] + b'{"torn')
    before = line_of(packed, second)
    (packed / "metadata.db").unlink()
    done = repair(uri(packed))
    assert [step.kind for step in done.steps] == ["rebuild_database", "cut_tail", "fail_record"]
    assert verify(uri(packed)).damage == []
    assert line_of(packed, second) == before
    assert len(places(packed)) == stores.RECORDS - 1


async def test_files_stay_files(packed: Path) -> None:
    """As of a run that was unpacked: its lines are still in the pack."""
    key, place = place_of(packed, 3)
    (packed / key).parent.mkdir()
    (packed / key).write_bytes(line_of(packed, place))
    other, _ = place_of(packed, 4)
    (packed / other).parent.mkdir(exist_ok=True)
    (packed / other).write_bytes(b'{"of":"earlier"}\n')
    before = await stores.everything(packed)
    (packed / "metadata.db").unlink()
    repair(uri(packed))
    assert key not in places(packed)
    assert other in places(packed)
    assert execute(packed, "SELECT value FROM settings WHERE name = 'layout'") == [("mixed",)]
    assert await stores.everything(packed) == before


async def test_what_only_the_damaged_database_knows_is_kept(packed: Path) -> None:
    """Where loose data lies, and data of which no digest was kept; and what a power cut left in the journal alone."""
    async with LocalStorage(uri(packed)) as storage:
        reference = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
    loose = str(Path(reference).relative_to(packed))
    (key, _), (last, place) = place_of(packed, 3), place_of(packed, 39)
    execute(packed, "UPDATE records SET data_sha256 = NULL WHERE record_uid = 'r0003'")
    (packed / "rows.jsonl").unlink()
    known = places(packed)
    stores.journal(packed, place.key, line_of(packed, place))
    content = (packed / FIRST).read_bytes()
    (packed / FIRST).write_bytes(content[: place.start] + bytes(place.length) + content[place.end :])
    damage(packed)
    repair(uri(packed))
    assert places(packed) == known
    assert {key, last, loose} <= known.keys()
    assert (packed / FIRST).read_bytes() == content
    assert verify(uri(packed)).damage == []


async def test_an_old_journal_does_not_write_over_what_rows_need(packed: Path) -> None:
    """As of a database that was put back from an old copy, damaged: the range has other lines by now."""
    first, (_, lost) = min(places(packed).values()), place_of(packed, 39)
    stores.journal(packed, f"{FIRST}:{first.start}+{lost.length}", line_of(packed, lost))
    change_bytes(packed, lost, b"R", 30)
    content = (packed / FIRST).read_bytes()
    damage(packed)
    assert [step.kind for step in repair(uri(packed)).steps] == ["rebuild_database", "fail_record"]
    assert (packed / FIRST).read_bytes() == content
    assert verify(uri(packed)).findings == ()
