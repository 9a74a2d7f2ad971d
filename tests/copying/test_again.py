"""What a copy does that is said again, after one of the two stores has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from copying import stores
from copying.stores import whole
from starfish_storage import LocalStorage
from starfish_storage.copying import copy
from starfish_storage.errors import AlreadyExistsError
from starfish_storage.times import utc_now


def store(path: Path) -> LocalStorage:
    return LocalStorage(path.as_uri())


async def test_data_that_has_changed_under_the_same_row_is_copied(tmp_path: Path) -> None:
    """`save_record_data` replaces data, and touches no time of the record's row."""
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target)
        before = await source.get_record_metadata("sum-0")
        await source.save_record_data("sum-0", "sums-1", "sum", {"sum": 3})
        assert await source.get_record_metadata("sum-0") == before
        report = await copy(source, target)
        assert (report.records, report.lost) == (1, 0)
        assert await whole(target) == await whole(source)


async def test_a_record_that_is_newer_in_the_target_stays(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target)
        record = await target.get_record_metadata("sum-0")
        assert record is not None
        await target.save_record(record.model_copy(update={"last_update_time": utc_now()}), {"sum": "newer"})
        with pytest.raises(AlreadyExistsError, match=r"'sum-0'.*newer"):
            await copy(source, target)
        kept = await target.get_record_metadata("sum-0")
        assert kept is not None
        assert await target.get_record_data(str(kept.output_ref)) == {"sum": "newer"}


async def test_an_execution_job_that_is_newer_in_the_target_stays(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target)
        await target.log_execution_job_end("sum", "failed", {}, utc_now(), utc_now())
        with pytest.raises(AlreadyExistsError, match=r"'sum'.*newer"):
            await copy(source, target)
        kept = await target.get_execution_job("sum")
        assert kept is not None
        assert kept.status == "failed"


async def test_a_unique_key_alone_is_copied(tmp_path: Path) -> None:
    """Without it, the run that goes on in the target would not find its duplicates."""
    async with await stores.make(tmp_path / "a") as source, store(tmp_path / "b") as target:
        await copy(source, target)
        expected = await whole(target)
        (row,) = await target.transfer.rows.get_records([uid for kind, uid, *_ in expected if kind == "record"][:1])
        (payload,) = await target.transfer.read_records([row._replace(place=row.record.output_ref)])
        assert payload is None or isinstance(payload, bytes)
        await target.transfer.put_records([row._replace(unique_key="another")], [payload])
        assert await whole(target) != expected
        await copy(source, target)
        assert await whole(target) == expected


async def test_what_is_said_in_both_stores_is_brought_together(tmp_path: Path) -> None:
    """Whichever way it is copied; an edit of one of them stays, and so does what was there before it."""
    async with await stores.make(tmp_path / "a") as here, store(tmp_path / "b") as there:
        await copy(here, there)
        ours, theirs = here.annotations, there.annotations
        mine = await ours.add("sum-0", "verdict", "accepted", author="ann")
        gone = await theirs.add("sum-0", "verdict", "rejected", author="bob")
        edit = await theirs.edit_record("sum-0", {"sum": "edited"}, author="bob")
        report = await copy(here, there)
        assert (report.annotations, report.records, report.versions) == (1, 0, 0)
        assert await theirs.list(["sum-0"]) == sorted((mine, gone, edit), key=lambda one: one.time)
        assert [one.number for one in await there.ledger.list_versions("sum-0")] == [1, 2]
        withdrawn = await theirs.withdraw(gone.annotation_id, author="bob")
        report = await copy(there, here)
        assert (report.annotations, report.records, report.versions) == (2, 1, 1)
        assert await ours.list(["sum-0"]) == sorted((mine, withdrawn, edit), key=lambda one: one.time)
        await ours.withdraw(mine.annotation_id, author="ann")
        await copy(here, there)
        assert await whole(there) == await whole(here)
        record = await here.get_record_metadata("sum-0")
        assert record is not None
        assert await here.get_record_data(str(record.output_ref)) == {"sum": "edited"}


async def test_a_record_that_was_edited_in_both_stores_ends_the_copy(tmp_path: Path) -> None:
    """Neither way is an edit written over; once one is withdrawn, the other one goes over."""
    async with await stores.make(tmp_path / "a") as here, store(tmp_path / "b") as there:
        await copy(here, there)
        await there.annotations.edit_record("sum-0", {"sum": "theirs"}, author="bob")
        edit = await here.annotations.edit_record("sum-0", {"sum": "ours"}, author="ann")
        for source, target in ((here, there), (there, here)):
            expected = await whole(target)
            with pytest.raises(AlreadyExistsError, match=r"'sum-0'.*edited in the target.*withdraw the edit"):
                await copy(source, target)
            assert {key: one for key, one in (await whole(target)).items() if key[0] == "record"} == {
                key: one for key, one in expected.items() if key[0] == "record"
            }
        await here.annotations.withdraw(edit.annotation_id, author="ann")
        await copy(here, there)
        assert [one.number for one in await there.ledger.list_versions("sum-0")] == [1, 2]
