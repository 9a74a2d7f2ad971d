"""What a copy does that is said again, after one of the two stores has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from copying import stores
from copying.stores import whole
from starfish_storage import LocalStorage
from starfish_storage.copying import copy
from starfish_storage.errors import AlreadyExistsError
from starfish_storage.models import utc_now


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
