"""Collect of packs: what no row names is freed, what one names stays, and readers and writers go on meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durability import processes, workload
from maintenance import stores
from maintenance.packed_stores import FIRST, change_bytes, compress_all, execute, line_of, place_of, places
from maintenance.test_collect import NOW
from maintenance.test_verify_packs import packed, template, uri
from starfish_storage import LocalStorage, Record, StorageFullError, StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance import collect, verify
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.metadata.sqlite.repacking import MovedData

__all__ = ["packed", "template"]


async def kill_data(root: Path, records: int = 20) -> None:
    """Replace the data of some records: what it was is a dead range."""
    async with LocalStorage(uri(root)) as storage:
        for number in range(records):
            record = await storage.get_record_metadata(f"r{number:04}")
            assert record is not None
            await storage.save_record(record, stores.data_of(number + 1000))


def packs_of(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "data/packs").iterdir())


async def test_a_pack_with_much_that_is_dead_is_written_anew(packed: Path) -> None:
    assert collect(uri(packed), grace=NOW).packs_rewritten == 0
    await kill_data(packed)
    before, dead = await stores.everything(packed), verify(uri(packed)).dead_bytes
    size = (packed / FIRST).stat().st_size
    plan = collect(uri(packed), grace=NOW, dry_run=True)
    assert (plan.packs_rewritten, plan.bytes_freed, plan.removed) == (1, dead, [])
    assert packs_of(packed) == ["000001.jsonl"]
    done = collect(uri(packed), grace=NOW)
    assert (done.to_json()["packs_rewritten"], done.to_json()["bytes_freed"]) == (1, dead)
    assert f"rewrote 1 pack ({dead:,} bytes freed)" in str(done)
    assert packs_of(packed) == ["000002.jsonl"]
    assert (packed / "data/packs/000002.jsonl").stat().st_size == size - dead
    assert verify(uri(packed)).findings == ()
    assert await stores.everything(packed) == before
    assert collect(uri(packed), grace=NOW).packs_rewritten == 0


async def test_a_pack_that_is_all_dead_goes_and_its_number_is_never_given_again(packed: Path) -> None:
    """Who still knows a place in it, or has it open, would read another's data."""
    async with LocalStorage(uri(packed)) as storage:
        for run in ("m1", "M2"):
            await storage.delete_master_job(run)
        assert (await storage.measure_size()).unused == (packed / FIRST).stat().st_size
    assert collect(uri(packed), grace=NOW).packs_rewritten == 1
    async with LocalStorage(uri(packed)) as storage:
        assert (await storage.measure_size()).unused == 0
    assert packs_of(packed) == []
    assert verify(uri(packed)).findings == ()
    await stores.make(packed)
    assert packs_of(packed) == ["000002.jsonl"]


async def test_a_pack_that_somebody_appends_to_is_left_alone(packed: Path) -> None:
    async with LocalStorage(uri(packed)) as storage:
        for number in range(30):
            record = await storage.get_record_metadata(f"r{number:04}")
            assert record is not None
            await storage.save_record(record, stores.data_of(number + 1000))
        before = places(packed)
        assert collect(uri(packed), grace=NOW).packs_rewritten == 0
        assert places(packed) == before
    assert collect(uri(packed), grace=NOW).packs_rewritten == 1


async def test_on_a_full_disk_what_is_all_dead_goes_first(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes the room that the others need to be written anew."""
    async with LocalStorage(uri(packed)) as first:
        await first.save_record_data("r0000", "m1", "m1-a", {"takes": "the pack"})
        await kill_data(packed, 30)  # in a second one
        assert packs_of(packed) == ["000001.jsonl", "000002.jsonl"]
        for number in range(30):
            record = await first.get_record_metadata(f"r{number:04}")
            assert record is not None
            await first.save_record(record, stores.data_of(number))
    before = await stores.everything(packed)

    def write_nothing(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(FileOperations, "write_at", write_nothing)
        with pytest.raises(StorageFullError):
            collect(uri(packed), grace=NOW)
    assert packs_of(packed) == ["000001.jsonl"]
    assert collect(uri(packed), grace=NOW).packs_rewritten == 1
    assert await stores.everything(packed) == before


async def test_what_the_journal_names_stays(packed: Path) -> None:
    await kill_data(packed)
    stores.journal(packed, f"{FIRST}:0+5", b'{"a":')
    execute(packed, "INSERT INTO data_journal (key, payload) VALUES ('data/packs/000009.jsonl:0+0', x'')")
    keep = LocalStorage(uri(packed))  # somebody has it open, so that nobody replays the journal
    await keep.setup()
    try:
        stores.journal(packed, f"{FIRST}:0+5", b'{"a":')
        assert collect(uri(packed), grace=NOW).packs_rewritten == 0
        assert FIRST.rpartition("/")[2] in packs_of(packed)
    finally:
        await keep.close()


async def test_damaged_data_stays_where_it_is(packed: Path) -> None:
    """It could be mended by hand; and it must not be declared whole by copying it."""
    await kill_data(packed)
    key, place = place_of(packed, 30)
    change_bytes(packed, place, b"R", 30)
    found = [(one.kind, one.subject) for one in verify(uri(packed)).findings]
    assert collect(uri(packed), grace=NOW).packs_rewritten == 0
    assert places(packed)[key] == place
    assert [(one.kind, one.subject) for one in verify(uri(packed)).findings] == found == [("data_damaged", key)]


async def test_packs_nobody_knows_and_loose_data_go_once_they_are_old(packed: Path) -> None:
    async with LocalStorage(uri(packed)) as storage:
        reference = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
    loose = str(Path(reference).relative_to(packed))
    unknown = "data/packs/000007.jsonl"
    (packed / unknown).write_bytes(b'{"nobody":1}\n')
    report = collect(uri(packed))
    assert (report.removed, report.younger) == ([], 2)
    assert "kept 1 file and 1 line of packs that nothing refers to" in str(report)
    before = await stores.everything(packed)
    assert sorted(collect(uri(packed), grace=NOW, dry_run=True).removed) == sorted([loose, unknown])
    report = collect(uri(packed), grace=NOW)
    assert sorted(report.removed) == sorted([loose, unknown])
    assert "removed 1 file and 1 line of packs (" in str(report)
    assert verify(uri(packed)).findings == ()
    assert await stores.everything(packed) == before


async def test_files_whose_records_lie_in_packs_go(packed: Path) -> None:
    key, _ = place_of(packed, 3)
    (packed / key).parent.mkdir()
    (packed / key).write_bytes(b'{"old":1}\n')
    assert collect(uri(packed), grace=NOW).removed == [key]


async def test_another_stores_packs_are_not_touched(packed: Path, tmp_path: Path) -> None:
    """They have the same names."""
    await stores.make(tmp_path / "other", 4, layout="packed")
    await kill_data(packed)
    stores.move_data(packed, tmp_path / "elsewhere")
    async with LocalStorage(uri(packed), uri(tmp_path / "elsewhere")):
        pass
    (tmp_path / "other/data/packs/000002.jsonl").write_bytes(b'{"other":1}\n')
    with pytest.raises(StoreOpenError, match="hold something else"):
        collect(uri(packed), uri(tmp_path / "other"), grace=NOW)
    assert packs_of(tmp_path / "other") == ["000001.jsonl", "000002.jsonl"]


async def test_readers_and_writers_go_on_meanwhile(packed: Path) -> None:
    await kill_data(packed)
    async with LocalStorage(uri(packed)) as reader, LocalStorage(uri(packed)) as writer:
        references = [str(packed / key) for key in places(packed)]
        for reference in references:
            await reader.get_record_data(reference)
        collecting = asyncio.create_task(asyncio.to_thread(collect, uri(packed), grace=NOW))
        number = 0
        while not collecting.done():
            record = await writer.get_record_metadata(f"r{number % 40:04}")
            assert record is not None
            await writer.save_record(record, stores.data_of(number))
            assert len(await reader.get_records_data(references)) == stores.RECORDS
            number += 1
        await collecting
        assert len(await reader.get_records_data(references)) == stores.RECORDS
    assert [one.kind for one in verify(uri(packed)).findings if one.kind != "job_count_differs"] == []


async def test_what_was_saved_anew_since_it_was_read_is_not_put_back(packed: Path) -> None:
    """What is moved was read before, and the row may say another place by the time of the commit, or be gone."""
    read = [MovedData(key, place, line_of(packed, place)) for key, place in places(packed).items()]
    async with LocalStorage(uri(packed)) as storage:
        record = await storage.get_record_metadata("r0001")
        assert record is not None
        await storage.save_record(record, {"new": True})
        await storage.delete_master_job("m1")
        metadata = storage.metadata
        assert isinstance(metadata, SQLiteMetadataHandler)
        assert await metadata.repacking.move(read) == stores.RECORDS // 2 - 1
        assert record.output_ref is not None
        assert await storage.get_record_data(record.output_ref) == {"new": True}
    assert len(places(packed)) == stores.RECORDS // 2
    assert verify(uri(packed)).damage == []


KILLED = """
import os, signal, sys
from datetime import timedelta
from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance import collect, verify
from starfish_storage.metadata.sqlite.commit import GroupCommit
from starfish_storage.metadata.sqlite.transaction import Transaction

left = 0

def step(original):
    def stepped(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given, **named)
    return stepped

for owner, names in (
    (Transaction, ("begin", "commit")), (GroupCommit, ("_publish",)),
    (FileOperations, ("write_at", "remove_path", "sync")),
):
    for name in names:
        setattr(owner, name, step(getattr(owner, name)))
for left in range(40):
    child = os.fork()
    if not child:
        os._exit(collect(sys.argv[1], grace=timedelta(0)).packs_rewritten)
    _, status = os.waitpid(child, 0)
    assert verify(sys.argv[1]).damage == [], left
    if os.waitstatus_to_exitcode(status) >= 0:
        sys.exit(f"after {left} kills")
"""


async def test_killed_at_any_point_nothing_is_lost_and_the_next_run_goes_on(packed: Path) -> None:
    await kill_data(packed)
    before = await stores.everything(packed)
    status, _, errors = processes.run(["-c", KILLED, str(packed)])
    assert (status, errors[:6]) == (1, "after "), errors
    assert int(errors.split()[1]) >= 10
    assert await stores.everything(packed) == before
    collect(uri(packed), grace=NOW)
    assert len(packs_of(packed)) == 1
    assert verify(uri(packed)).findings == ()


UIDS = ("a", "b", "c", "d", "e", "f")
RUNS = ("m1", "m2")
ACTS = st.one_of(
    st.tuples(st.sampled_from(["save", "save data"]), st.sampled_from(UIDS), st.integers(0, 3)),
    st.tuples(st.just("borrow"), st.sampled_from(UIDS), st.sampled_from(UIDS)),
    st.tuples(st.just("delete"), st.sampled_from(RUNS), st.none()),
    st.tuples(st.sampled_from(["collect", "reopen"]), st.none(), st.none()),
)


@settings(max_examples=6)
@given(st.lists(ACTS, min_size=4, max_size=16))
def test_nothing_that_a_row_needs_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str, object]]
) -> None:
    asyncio.run(carry_out(tmp_path_factory.mktemp("store"), acts))


async def carry_out(root: Path, acts: list[tuple[str, str, object]]) -> None:
    """Do everything, and see after each collection and at the end that all data is what was saved last."""
    storage, known = LocalStorage(uri(root), layout="packed"), dict[str, dict[str, object]]()
    await storage.setup()
    for number, (act, one, other) in enumerate(acts):
        if act == "delete":
            if await storage.get_master_job(one) is not None:
                await storage.delete_master_job(one)
            continue
        if act in ("collect", "reopen"):
            await storage.close()
            if act == "collect":
                collect(uri(root), grace=NOW)
                assert [finding for finding in verify(uri(root)).findings if finding.kind != "job_count_differs"] == []
            await storage.setup()
            await check(storage, known)
            continue
        run = RUNS[UIDS.index(one) % 2]
        if await storage.get_master_job(run) is None:
            await workload.prepare(storage, run, f"{run}-job")
        record = Record(record_uid=one, job_id=f"{run}-job", master_job_id=run, status="completed")
        if act == "borrow":
            lender = await storage.get_record_metadata(str(other))
            if lender is not None and lender.output_ref is not None:
                record.output_ref = lender.output_ref
                await storage.log_record_metadata(record)
            continue
        known[one] = {"number": number, "same": other}
        if act == "save":
            await storage.save_record(record, known[one])
        else:
            record.output_ref = await storage.save_record_data(one, run, f"{run}-job", known[one])
            await storage.log_record_metadata(record)
    await storage.close()
    collect(uri(root), grace=NOW)
    assert [finding for finding in verify(uri(root)).findings if finding.kind != "job_count_differs"] == []
    await storage.setup()
    await check(storage, known)
    await storage.close()


async def check(storage: LocalStorage, known: dict[str, dict[str, object]]) -> None:
    for uid in UIDS:
        record = await storage.get_record_metadata(uid)
        if record is not None and record.output_ref is not None:
            owner = Path(record.output_ref).stem
            assert await storage.get_record_data(record.output_ref) == known[owner]


async def test_what_lives_of_a_compressed_pack_is_written_anew(packed: Path) -> None:
    await compress_all(packed)
    await kill_data(packed)
    before = await stores.everything(packed)
    plan = collect(uri(packed), grace=NOW, dry_run=True)
    assert "what lives of 1 pack will not be compressed any more" in str(plan)
    done = collect(uri(packed), grace=NOW)
    assert (done.packs_rewritten, done.packs_decompressed, plan.packs_decompressed) == (1, 1, 1)
    assert packs_of(packed) == ["000002.jsonl"]
    assert verify(uri(packed)).findings == ()
    assert await stores.everything(packed) == before
