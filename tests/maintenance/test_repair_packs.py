"""Repair of packs: what can be found again is, what cannot fails its record, and sizes and tails are put right."""

from __future__ import annotations

from pathlib import Path

from maintenance import stores
from maintenance.packed_stores import FIRST, change_bytes, execute, line_of, place_of, places
from maintenance.test_verify_packs import packed, template, uri
from starfish_storage import LocalStorage, Record
from starfish_storage.maintenance import plan_repair, repair, verify
from starfish_storage.maintenance.compressing import compress
from starfish_storage.maintenance.packing_report import PackingReport

__all__ = ["packed", "template"]


async def test_a_damaged_range_fails_its_record_alone_and_is_copied_alone(packed: Path) -> None:
    key, place = place_of(packed, 4)
    change_bytes(packed, place, b"R", 30)
    damaged = line_of(packed, place)
    done = repair(uri(packed))
    assert [(step.kind, step.subject) for step in done.steps] == [("fail_record", "r0004")]
    assert done.copies is not None
    assert (Path(done.copies) / key).read_bytes() == damaged
    assert not (Path(done.copies) / FIRST).exists()
    async with LocalStorage(uri(packed)) as storage:
        record = await storage.get_record_metadata("r0004")
        assert record is not None
        assert (record.status, record.output_ref) == ("failed", None)
        assert place.key in str(record.error_message)
    report = verify(uri(packed))
    assert (report.findings, report.dead_bytes) == ((), place.length)


async def test_data_that_stands_elsewhere_in_a_pack_is_found_again(packed: Path) -> None:
    """A row that was damaged; and a pack in which somebody has put a line, so that all behind it has moved."""
    before = await stores.everything(packed)
    key, place = place_of(packed, 7)
    execute(packed, "UPDATE packed_data SET start = 0, length = 9 WHERE key = ?", key)
    plan = plan_repair(uri(packed))
    assert [(step.kind, step.subject) for step in plan.steps] == [("find_data", key)]
    assert plan.steps[0].detail.endswith(f"what was saved stands at {place.key}")
    repair(uri(packed))
    assert places(packed)[key] == place
    assert verify(uri(packed)).findings == ()
    content = (packed / FIRST).read_bytes()
    second = sorted(places(packed).values())[1]
    (packed / FIRST).write_bytes(content[: second.start] + b'{"put":"here"}\n' + content[second.start :])
    done = repair(uri(packed))
    assert {step.kind for step in done.steps} == {"find_data", "set_pack_size"}
    assert verify(uri(packed)).findings == ()
    assert await stores.everything(packed) == before


async def test_a_pack_that_was_cut_short_loses_what_was_cut_off_and_goes_on(packed: Path) -> None:
    content = (packed / FIRST).read_bytes()
    (packed / FIRST).write_bytes(content[:-3])
    done = repair(uri(packed))
    assert [step.kind for step in done.steps] == ["set_pack_size", "cut_tail", "fail_record"]
    assert "are the beginning of a line whose end is lost" in done.steps[1].detail
    async with LocalStorage(uri(packed)) as storage:
        one = Record(record_uid="later", job_id="m1-b", master_job_id="m1", status="completed")
        await storage.save_record(one, {"later": True})
    assert [one.kind for one in verify(uri(packed)).findings if one.kind != "job_count_differs"] == []
    assert (packed / FIRST).read_bytes() == content[: content[:-1].rindex(b"\n") + 1] + b'{"later":true}\n'


async def test_a_size_that_is_too_small_would_cut_off_data_and_is_put_right(packed: Path) -> None:
    before = await stores.everything(packed)
    execute(packed, "UPDATE packs SET size = 500")
    done = repair(uri(packed))
    assert [(step.kind, step.subject) for step in done.steps] == [("set_pack_size", FIRST)]
    async with LocalStorage(uri(packed)) as storage:
        await storage.save_record_data("later", "m1", "m1-a", {"later": True})
    assert await stores.everything(packed) == before


async def test_a_size_that_is_too_small_makes_nobody_cut_off_or_leave_out_data(packed: Path) -> None:
    """Neither the next writer nor who compresses; `verify` tells before and after."""
    before, content = await stores.everything(packed), (packed / FIRST).read_bytes()
    execute(packed, "UPDATE packs SET size = 500")
    report = PackingReport("", "packed", None, dry_run=False)
    async with LocalStorage(uri(packed)) as storage:
        await storage.save_record_data("later", "m1", "m1-a", {"later": True})
        await compress(storage, report)
    ((left, reason),) = report.left
    assert left == FIRST
    assert "and 500 are noted as committed; run 'repair'" in reason
    assert (packed / FIRST).read_bytes() == content
    assert await stores.everything(packed) == before


async def test_a_torn_tail_is_cut_off_and_copied(packed: Path) -> None:
    content = (packed / FIRST).read_bytes()
    (packed / FIRST).write_bytes(content + b'{"torn":')
    done = repair(uri(packed))
    assert [(step.kind, step.subject) for step in done.steps] == [("cut_tail", FIRST)]
    assert done.steps[0].detail == "its last 8 bytes were never committed"
    assert done.copies is not None
    (copy,) = (Path(done.copies) / "data/packs").iterdir()
    assert copy.read_bytes() == b'{"torn":'
    assert (packed / FIRST).read_bytes() == content
    assert verify(uri(packed)).findings == ()


async def test_packed_data_without_its_row_is_attached(packed: Path) -> None:
    async with LocalStorage(uri(packed)) as storage:
        await storage.save_record_data("late", "m1", "m1-a", {"late": True})
        one = Record(record_uid="late", job_id="m1-a", master_job_id="m1", status="pending")
        await storage.log_record_metadata(one)
    assert "attach_data" in [step.kind for step in repair(uri(packed)).steps]
    async with LocalStorage(uri(packed)) as storage:
        record = await storage.get_record_metadata("late")
        assert record is not None
        assert record.output_ref is not None
        assert await storage.get_record_data(record.output_ref) == {"late": True}


async def test_a_pack_that_is_gone_fails_its_records(packed: Path) -> None:
    (packed / FIRST).unlink()
    done = repair(uri(packed))
    assert len([step for step in done.steps if step.kind == "fail_record"]) == stores.RECORDS
    assert done.left == []
    assert [one.kind for one in verify(uri(packed)).findings] == []
