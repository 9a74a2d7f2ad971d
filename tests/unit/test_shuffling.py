"""The seeded order of rows: uniform, and the same however it is read."""

from collections import Counter
from pathlib import Path

import pytest

from starfish_storage import open_storage
from starfish_storage.metadata.shuffling import Shuffle
from starfish_storage.metadata.sqlite import shuffled
from starfish_storage.testing.samples import JOB, MASTER_JOB, a_master_job, a_record, an_execution_job, save_run


def test_each_number_stands_at_one_place() -> None:
    for largest in (0, 1, 5, 100, 4000):
        shuffle = Shuffle(3, largest)
        assert largest < shuffle.size <= max(4, 16 * largest)
        places = [shuffle.place_of(number) for number in range(shuffle.size)]
        assert sorted(places) == list(range(shuffle.size))
        assert [shuffle.number_at(place) for place in places] == list(range(shuffle.size))


def test_every_number_is_as_likely_to_come_first() -> None:
    """Chi squared over 4,000 seeds: with 63 degrees of freedom, one value in a million lies above 127."""
    for place in (0, 17):
        counts = Counter(Shuffle(seed, 63).number_at(place) for seed in range(4000))
        assert sum((counts[number] - 62.5) ** 2 / 62.5 for number in range(64)) < 127


def test_neighbours_are_not_drawn_together() -> None:
    """Of the first 50 of a million, few stand beside each other, and all parts of the run have some."""
    shuffle = Shuffle(11, 1_000_000)
    drawn = [number for number in map(shuffle.number_at, range(400)) if number < 1_000_000][:200]
    assert min(drawn) < 50_000
    assert max(drawn) > 950_000
    tenths = Counter(number // 100_000 for number in drawn)
    assert all(5 <= tenths[tenth] <= 40 for tenth in range(10))


@pytest.mark.parametrize("seed", [0, -1, 2**64 + 5])
def test_any_integer_is_a_seed(seed: int) -> None:
    assert Shuffle(seed, 100).number_at(0) == Shuffle(seed % 2**64, 100).number_at(0)


async def test_picking_rows_and_sorting_their_numbers_give_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_storage(tmp_path, durability="process") as storage:
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "other"))
        await storage.log_execution_job_start(an_execution_job("other-job", "other"))
        for run, job in ((MASTER_JOB, JOB), ("other", "other-job"), (MASTER_JOB, JOB)):
            some = [a_record(f"{run}-{number}", job_id=job, master_job_id=run) for number in range(300)]
            await storage.save_records([(record, {}) for record in some])
        orders: list[list[str]] = []
        for worth in (0, 10**9):
            monkeypatch.setattr(shuffled, "_WORTH_SORTING", worth)
            orders += [
                [
                    record.record_uid
                    async for batch in storage.scan_records(MASTER_JOB, seed=5, batch_size=90, backwards=backwards)
                    for record in batch
                ]
                for backwards in (False, True)
            ]
    assert orders[0] == orders[2] == orders[1][::-1] == orders[3][::-1]
    assert len(set(orders[0])) == len(orders[0]) == 300
