"""The contract of `save_record` and `save_records`: data and metadata in one step, all or none."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest

from starfish_storage.errors import (
    IdCollisionError,
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidStatusError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.testing.samples import MASTER_JOB, RECORD, a_record, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, refused

Pair = tuple[Record, Any]

BAD_PAIRS: dict[str, tuple[type[StorageError], Pair]] = {
    "unknown job": (ParentNotFoundError, (a_record("bad", "no-job"), {})),
    "unknown master job": (ParentNotFoundError, (a_record("bad", master_job_id="no-master"), {})),
    "not JSON": (InvalidDataError, (a_record("bad"), {"a": math.nan})),
    "no object": (InvalidDataError, (a_record("bad"), [1])),
    "hostile id": (InvalidIdError, (a_record("../bad"), {})),
    "hostile job id": (InvalidIdError, (a_record("bad", "../job"), {})),
    "case only": (IdCollisionError, (a_record("GOOD-0"), {})),
    "unknown status": (InvalidStatusError, (a_record("bad").model_copy(update={"status": "bad"}), {})),
    "no time": (InvalidInputError, (a_record("bad").model_copy(update={"start_time": None}), {})),
}
"""By name: a pair that makes a batch fail, and how."""


def good_pairs(version: int) -> list[Pair]:
    """Return pairs that can be saved, with data of this version."""
    return [(a_record(f"good-{number}", status="completed"), {"version": version}) for number in range(3)]


class AtomicRecordTests(StorageSuite):
    """Saving records with their data."""

    async def test_a_record_is_saved_with_its_data(self, storage: Storage, store: StoreUnderTest) -> None:
        """The reference is returned, set in the record, and stored."""
        await save_run(storage)
        record = a_record()
        reference = await storage.save_record(record, {"answer": 42})
        assert record.output_ref == reference
        assert await storage.get_record_metadata(RECORD) == record
        assert await storage.get_record_data(reference) == {"answer": 42}
        assert store.raw_read(store.key(reference)) is not None
        assert await storage.save_record_data(RECORD, MASTER_JOB, "job", {"answer": 43}) == reference

    async def test_its_own_earlier_reference_does_not_matter(self, storage: Storage) -> None:
        """The data is saved under the record's uid, whatever the record said before."""
        await save_run(storage)
        record = a_record(output_ref="data/00/elsewhere.json")
        reference = await storage.save_record(record, {"a": 1})
        assert record.output_ref == reference
        assert "elsewhere" not in reference

    async def test_saving_again_updates_both(self, storage: Storage) -> None:
        """It is an upsert."""
        await save_run(storage)
        first = await storage.save_record(a_record(status="pending"), {"version": 1})
        second = await storage.save_record(a_record(status="filtered"), {"version": 2})
        assert first == second
        assert await storage.get_records_for_master_job(MASTER_JOB) == [a_record(status="filtered", output_ref=first)]
        assert await storage.get_record_data(first) == {"version": 2}

    async def test_many_are_saved_in_one_step(self, storage: Storage) -> None:
        """References come in the order of the pairs, which may come from a generator."""
        await save_run(storage)
        records = [a_record(f"r{number}") for number in range(300)]
        references = await storage.save_records((record, {"uid": record.record_uid}) for record in records)
        assert [record.output_ref for record in records] == references
        assert [data["uid"] for data in await storage.get_records_data(references)] == [
            record.record_uid for record in records
        ]
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 300}

    async def test_none_is_fine(self, storage: Storage) -> None:
        """An empty batch saves nothing."""
        assert await storage.save_records([]) == []

    async def test_of_one_uid_given_twice_the_last_counts(self, storage: Storage) -> None:
        """As if they had been saved one after the other."""
        await save_run(storage)
        first, second = await storage.save_records(
            [(a_record(status="pending"), {"version": 1}), (a_record(status="completed"), {"version": 2})]
        )
        assert first == second
        assert await storage.get_records_for_master_job(MASTER_JOB) == [a_record(output_ref=first)]
        assert await storage.get_record_data(first) == {"version": 2}

    async def test_one_bad_pair_leaves_nothing_of_the_batch(self, storage: Storage, store: StoreUnderTest) -> None:
        """No rows, no data, no reference in the records, wherever in the batch it stands."""
        await save_run(storage)
        for (kind, (record, data)), position in product(BAD_PAIRS.values(), (0, 1, 3)):
            pairs = good_pairs(1)
            pairs.insert(position, (record.model_copy(), data))
            with refused(kind):
                await storage.save_records(pairs)
            assert await storage.get_records_for_master_job(MASTER_JOB) == []
            assert await storage.count_records_for_master_job(MASTER_JOB) == {}
            assert store.raw_keys() == set()
            assert {record.output_ref for record, _ in pairs} == {None}

    async def test_one_bad_pair_leaves_earlier_versions(self, storage: Storage, store: StoreUnderTest) -> None:
        """Rows and data are as they were before."""
        await save_run(storage)
        references = await storage.save_records(good_pairs(1))
        before = await storage.get_records_for_master_job(MASTER_JOB)
        raw = {key: store.raw_read(key) for key in store.raw_keys()}
        for kind, (bad, data) in BAD_PAIRS.values():
            changed = [(record.model_copy(update={"status": "failed"}), {"version": 2}) for record, _ in good_pairs(2)]
            with refused(kind):
                await storage.save_records([*changed, (bad.model_copy(), data)])
            assert await storage.get_records_for_master_job(MASTER_JOB) == before
            assert await storage.get_records_data(references) == [{"version": 1}] * 3
            assert {key: store.raw_read(key) for key in store.raw_keys()} == raw

    async def test_a_refused_id_can_be_used_afterwards(self, storage: Storage) -> None:
        """What was refused has left no trace, so that another spelling of the id is free."""
        await save_run(storage)
        with refused(ParentNotFoundError):
            await storage.save_record(a_record("Mixed", "no-job"), {})
        await storage.save_record(a_record("mixed"), {})

    @pytest.mark.parametrize("junk", [None, [7], [(a_record(),)]], ids=["nothing", "numbers", "records"])
    async def test_what_are_no_pairs_is_refused(self, storage: Storage, junk: Any) -> None:
        """Nothing is written."""
        await save_run(storage)
        with refused(InvalidInputError):
            await storage.save_records(junk)
        assert await storage.get_records_for_master_job(MASTER_JOB) == []
