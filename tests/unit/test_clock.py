"""Clocks that are set back, time zones, daylight changes, and the ends of the calendar."""

import fcntl
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from pydantic import ValidationError

from starfish_storage import GenerationJob, LocalStorage, Project, Record, times
from starfish_storage.errors import InvalidInputError, StorageBusyError
from starfish_storage.metadata.sqlite.locks import WriterLock
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    a_master_job,
    a_record,
    an_execution_job,
    as_foreign_model,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import assert_utc, collected, refused


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    async with LocalStorage(tmp_path.as_uri(), durability="process") as storage:
        await save_run(storage)
        yield storage


class SetClock(datetime):
    """A clock that shows what it was set to."""

    shows = at(0)

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        assert tz is UTC
        return cls.shows


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[SetClock]:
    monkeypatch.setattr(times, "datetime", SetClock)
    return SetClock


async def test_a_clock_that_is_set_back_orders_by_what_it_showed(storage: LocalStorage, clock: type[SetClock]) -> None:
    shown = [0.0, 60, -3600, -3599.999999, 30, 30]
    for number, seconds in enumerate(shown):
        clock.shows = at(seconds)
        await storage.log_master_job_start(
            a_master_job(storage, f"m{number}", creation_time=times.utc_now(), start_time=None, end_time=None)
        )
        job = GenerationJob(job_id=f"j{number}", master_job_id=MASTER_JOB)
        await storage.log_execution_job_start(job)
        await storage.save_record(Record(record_uid=f"r{number}", job_id=job.job_id, master_job_id=MASTER_JOB), {})
    order = sorted(range(len(shown)), key=lambda number: (shown[number], number), reverse=True)
    masters = [job.master_job_id for job in await storage.list_master_jobs() if job.master_job_id != MASTER_JOB]
    assert masters == [f"m{number}" for number in order]
    jobs = [job.job_id for job in await storage.list_execution_jobs(MASTER_JOB) if job.job_id != JOB]
    assert jobs == [f"j{number}" for number in order]
    records = [record.record_uid for record in await storage.get_records_for_master_job(MASTER_JOB)]
    assert records == [f"r{number}" for number in order]
    assert [record.record_uid for record in await collected(storage.iter_records(MASTER_JOB, batch_size=2))] == records


async def test_an_end_before_the_start_is_kept_and_its_duration_negative(
    storage: LocalStorage, clock: type[SetClock]
) -> None:
    clock.shows = at(100)
    await storage.log_execution_job_start(GenerationJob(job_id="j", master_job_id=MASTER_JOB, start_time=at(100)))
    await storage.log_execution_job_end("j", "completed", {}, at(40), at(40))
    found = await storage.get_execution_job("j")
    assert found is not None
    assert (found.start_time, found.end_time, found.last_update_time) == (at(100), at(40), at(40))
    assert found.get_duration_seconds() == -60


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("this system has no time zones")


def local(text: str, name: str) -> datetime:
    """Return a time of a zone; with a star, the second of two that the clock shows alike."""
    return datetime.fromisoformat(text.rstrip("*")).replace(tzinfo=zone(name), fold=int(text.endswith("*")))


# Two local times of a zone, and how many seconds lie between.
NIGHTS = {
    "spring": ("Europe/Berlin", "2026-03-29T01:30", "2026-03-29T03:30", 3600),
    "autumn": ("Europe/Berlin", "2026-10-25T01:30", "2026-10-25T03:30", 3 * 3600),
    "the hour that comes twice": ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T02:30*", 3600),
    "the hour that never comes": ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T02:30*", -3600),
    "half an hour": ("Australia/Lord_Howe", "2026-04-05T01:00", "2026-04-05T02:30", 2 * 3600),
    "a day that never was": ("Pacific/Apia", "2011-12-29T23:00", "2011-12-31T01:00", 2 * 3600),
    "before the railway": ("Europe/Amsterdam", "1900-01-01T00:00:00", "1900-01-01T00:00:01", 1),
}


@pytest.mark.parametrize("night", NIGHTS)
@pytest.mark.parametrize("way", ["made", "assigned", "copied"])
async def test_durations_across_a_daylight_change(storage: LocalStorage, night: str, way: str) -> None:
    name, start, end, seconds = NIGHTS[night]
    times: dict[str, Any] = {"start_time": local(start, name), "end_time": local(end, name)}
    job = an_execution_job("j", **(times if way == "made" else {}))
    if way == "assigned":
        job.start_time, job.end_time = times["start_time"], times["end_time"]
    elif way == "copied":
        job = job.model_copy(update=times)  # not validated, so still in its zone
    assert job.get_duration_seconds() == seconds
    await storage.log_execution_job_start(job)
    found = await storage.get_execution_job("j")
    assert found is not None
    assert found.get_duration_seconds() == seconds
    assert_utc(found.start_time, found.end_time)
    assert found.start_time == times["start_time"].astimezone(UTC)


async def test_the_hour_that_comes_twice_is_in_order(storage: LocalStorage) -> None:
    berlin = zone("Europe/Berlin")
    moments = [
        datetime(2026, 10, 25, 2, 59, tzinfo=berlin),
        datetime(2026, 10, 25, 2, 1, tzinfo=berlin, fold=1),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime.fromisoformat("2026-10-25T01:31"),  # naive: UTC
        datetime(2026, 10, 25, 7, 2, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ]
    for number in (3, 0, 4, 1, 2):
        await storage.save_record(a_record(f"r{number}", start_time=moments[number]), {})
    records = await storage.get_records_for_master_job(MASTER_JOB)
    assert [record.record_uid for record in records] == ["r4", "r3", "r2", "r1", "r0"]
    assert [record.start_time.isoformat() for record in records][::-1] == [
        "2026-10-25T00:59:00+00:00",
        "2026-10-25T01:01:00+00:00",
        "2026-10-25T01:30:00+00:00",
        "2026-10-25T01:31:00+00:00",
        "2026-10-25T01:32:00+00:00",
    ]


async def test_the_ends_of_the_calendar(storage: LocalStorage) -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    naive = datetime.fromisoformat("0001-01-01T00:00:00.000001")
    for uid, moment in {"last": last, "first": first, "naive": naive, "now": at(0)}.items():
        await storage.save_record(a_record(uid, start_time=moment, end_time=moment, last_update_time=moment), {})
    records = await storage.get_records_for_master_job(MASTER_JOB)
    assert [record.record_uid for record in records] == ["last", "now", "naive", "first"]
    assert (records[0].start_time, records[-1].end_time) == (last, first)
    assert await storage.get_records_for_master_job(MASTER_JOB, limit=1, offset=3) == [records[-1]]
    job = an_execution_job(start_time=first, end_time=last)
    await storage.log_execution_job_start(job)
    found = await storage.get_execution_job(JOB)
    assert found is not None
    assert found.get_duration_seconds() == (last - first).total_seconds()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=str,
)
async def test_times_that_utc_cannot_express_are_refused(storage: LocalStorage, moment: datetime) -> None:
    for update in ({"start_time": moment}, {"end_time": moment}, {"last_update_time": moment}):
        with refused(InvalidInputError, "outside the years 1 to 9999"):
            await storage.save_record(a_record("r").model_copy(update=update), {})
    with refused(InvalidInputError, "end_time"):
        await storage.log_execution_job_end(JOB, "completed", {}, moment, at(1))
    assert await storage.get_record_metadata("r") is None


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2016-12-31T24:00:01Z", "2026-02-30T00:00:00Z", "yesterday"])
async def test_times_that_no_datetime_holds_are_refused(storage: LocalStorage, text: str) -> None:
    with pytest.raises(ValidationError, match="created_when"):
        Project.model_validate({"name": "p", "created_when": text})
    with refused(InvalidInputError, "start_time"):
        await storage.log_record_metadata(as_foreign_model(a_record("r"), start_time=text))
    with refused(InvalidInputError, "end_time must be a datetime"):
        await storage.log_execution_job_end(JOB, "completed", {}, text, at(1))  # type: ignore[arg-type]
    assert await storage.get_record_metadata("r") is None


@pytest.mark.parametrize("shown", [0.0, 4e9])
def test_waiting_does_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: float) -> None:
    # Set to the beginning, or far ahead, at every look: a wait of a tenth of a second stays one.
    before = WriterLock(str(tmp_path), 60)
    before.close()
    holder = os.open(tmp_path / "writer.lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    jumps = iter([shown, 4e9 - shown] * 100_000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    lock = WriterLock(str(tmp_path), 0.1)
    started = time.monotonic()
    with pytest.raises(StorageBusyError):
        lock.acquire()
    assert 0.1 <= time.monotonic() - started < 30
    os.close(holder)
    assert lock.acquire()
    lock.release()
    lock.close()


def test_saving_and_reading_look_at_the_clock_in_one_place_only() -> None:
    sources = Path(times.__file__).parent
    of_ages = {"maintenance", "testing", "lease.py", "inspection.py", "search", "change_feed.py", "keys.py"}
    looks = {
        f"{path.relative_to(sources)}: {line.strip()}"
        for path in sources.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        for look in ("time.time(", "time.time_ns(", "datetime.now(", "utcnow(", "perf_counter(")
        if look in line and not of_ages & set(path.parts)
    }  # a lease measures what has passed since it was renewed; others, the age of files and objects, or their order
    assert looks == {"times.py: return datetime.now(UTC)"}
