"""A storage against a plain dict model, in random histories that Hypothesis shrinks to the shortest wrong one."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from starfish_storage.errors import DataNotFoundError, ParentNotFoundError
from starfish_storage.models import Record
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.testing.machine import base as drawn
from starfish_storage.testing.machine.jobs import JobRules
from starfish_storage.testing.suites.suite import assert_same, collected, outcome

MOST_MOVES = 3


class StorageMachine(JobRules):
    """Does the same to a storage and to a `DictModel`, and compares what they say.

    A subclass says how a store is made; its ``TestCase`` is what pytest runs. It needs a storage that declares
    ``DELETE`` and ``ATOMIC_RECORDS``; moving is left out without ``RELOCATABLE``.
    """

    # --- records and data -------------------------------------------------------------------------------------------

    def record(self, uid: str, choice: int, status: Any, moment: datetime) -> Record:
        """Return a record of a job, and of that job's master job if there is one."""
        job_id = self.one_of(self.model.execution_jobs, drawn.JOB_IDS, choice)
        job = self.model.execution_jobs.get(job_id)
        return Record(
            record_uid=uid,
            job_id=job_id,
            master_job_id=job.master_job_id if job else "m1",
            status=status,
            start_time=moment,
            end_time=moment,
            last_update_time=moment,
        )

    @rule(uid=drawn.record_uids, data=drawn.data_objects)
    def save_data(self, uid: str, data: dict[str, Any]) -> None:
        """Save data alone."""
        expected = self.model.save_record_data(uid, data)
        assert self.learn(uid, self.run(self.storage.save_record_data(uid, "m", "j", data))) == expected

    @rule(
        uid=drawn.record_uids,
        job=drawn.choices,
        status=drawn.record_statuses,
        moment=drawn.moments,
        data=st.none() | drawn.choices,
        place=st.integers(0, 3),
    )
    def log_record(self, uid: str, job: int, status: str, moment: datetime, data: int | None, place: int) -> None:
        """Log a record without data, with its own, or with that of another."""
        record = self.record(uid, job, status, moment)
        owner = None if data is None else self.one_of(self.model.data, drawn.RECORD_UIDS, data)
        expected = self.model.log_record_metadata(record.model_copy(update={"output_ref": owner}))
        if owner is not None:
            reference = self.reference(owner)
            # As a key, or as it was where the store lay before: both mean the same.
            places = [self.store.reference_prefix, "", *self.earlier_places]
            record.output_ref = places[place % len(places)] + self.store.key(reference)
        found = self.attempt(self.storage.log_record_metadata(record))
        if expected is ParentNotFoundError and owner is not None and owner not in self.model.data:
            assert found in (ParentNotFoundError, DataNotFoundError)  # whichever is found first
        else:
            self.agree(found, expected)

    @rule(
        chosen=st.lists(
            st.tuples(drawn.record_uids, drawn.choices, drawn.record_statuses, drawn.moments, drawn.data_objects),
            max_size=4,
        ),
    )
    def save_records(self, chosen: list[Any]) -> None:
        """Save some records with their data, perhaps one twice."""
        pairs = [(self.record(uid, job, status, moment), data) for uid, job, status, moment, data in chosen]
        expected = self.model.save_records(pairs)
        given = [(record.model_copy(), data) for record, data in pairs]
        found = self.attempt(self.storage.save_records(given))
        if isinstance(expected, list):
            found = [self.learn(uid, reference) for uid, reference in zip(expected, found, strict=True)]
        assert found == expected

    @rule(
        chosen=st.lists(
            st.tuples(drawn.record_uids, drawn.choices, drawn.record_statuses, drawn.moments, drawn.data_objects),
            min_size=2,
            max_size=5,
            unique_by=lambda one: one[0],
        ),
    )
    def save_at_once(self, chosen: list[Any]) -> None:
        """Several calls at a time, of which each succeeds or fails alone."""
        pairs = [(self.record(uid, job, status, moment), data) for uid, job, status, moment, data in chosen]
        expected = [self.model.save_records([pair]) for pair in pairs]

        async def save_all() -> list[Any]:
            calls = (outcome(self.storage.save_record(record.model_copy(), data)) for record, data in pairs)
            return await asyncio.gather(*calls)

        found = self.run(save_all())
        assert len(found) == len(expected)
        for (uid, *_), reference, uids in zip(chosen, found, expected, strict=True):
            assert ([self.learn(uid, reference)] if isinstance(reference, str) else reference) == uids

    @rule(
        master=drawn.master_job_ids,
        uid=drawn.record_uids,
        some=drawn.filters(RECORD_STATUSES),
        limit=drawn.limits,
        offset=drawn.limits,
    )
    def list_records(
        self, master: str, uid: str, some: list[str] | None, limit: int | None, offset: int | None
    ) -> None:
        """List and count records, and get one."""
        expected = drawn.page_of(self.model.list_records(master, some), limit, offset)
        self.agree(self.run(self.storage.get_records_for_master_job(master, some, limit, offset)), expected)
        counted = self.run(self.storage.count_records_for_master_job(master, some))
        assert counted == self.model.count_records(master, some)
        self.agree(self.run(self.storage.get_record_metadata(uid)), self.model.records.get(uid))

    @rule(
        master=drawn.master_job_ids,
        job=drawn.job_ids,
        some=drawn.filters(RECORD_STATUSES),
        size=st.integers(1, 3),
        skip=st.integers(0, 3),
    )
    def iterate_records(self, master: str, job: str, some: list[str] | None, size: int, skip: int) -> None:
        """Iterate over records from a position, and list those of a job."""
        expected = self.model.list_records(master, some)
        after = expected[skip - 1] if 0 < skip <= len(expected) else None
        found = self.run(collected(self.storage.iter_records(master, some, after=after, batch_size=size)))
        self.agree(found, expected[skip:] if after else expected)
        of_job = [record for record in self.model.list_records(master, None) if record.job_id == job]
        self.agree(self.run(self.storage.list_record_metadata(master, job)), of_job)

    @rule(uid=drawn.record_uids, place=st.integers(0, 3))
    def read_data(self, uid: str, place: int) -> None:
        """Read data, by its reference as it is now, by its key, or by a reference of an earlier place."""
        places = [self.store.reference_prefix, "", *self.earlier_places]
        given = places[place % len(places)] + self.store.key(self.reference(uid))
        expected = self.model.data.get(uid, DataNotFoundError)
        assert_same(self.attempt(self.storage.get_record_data(given)), expected)

    # --- the life of the store --------------------------------------------------------------------------------------

    @rule(same_object=st.booleans())
    def reopen(self, same_object: bool) -> None:
        """Close the storage, and open it or a new one."""
        self.run(self.storage.close())
        if not same_object:
            self.storage = self.store.open()
        self.run(self.storage.setup())

    @precondition(lambda self: "RELOCATABLE" in self.storage.capabilities and len(self.earlier_places) < MOST_MOVES)
    @rule()
    def move(self) -> None:
        """Move the store to another place and open it there."""
        self.run(self.storage.close())
        self.earlier_places.append(self.store.reference_prefix)
        self.store.move()
        self.storage = self.store.open()
        self.run(self.storage.setup())

    def check_everything(self) -> None:
        """Compare all there is, and see that nothing lies in the store that nobody saved."""
        self.list_projects(None, None, "p1")
        for master in drawn.MASTER_JOB_IDS:
            self.list_master_jobs(master, None, None, None)
            self.get_request_config(master)
            self.list_jobs("j1", master, None, None, None)
            self.look_up_inputs(master, "h1", "completed")
            self.list_records(master, "r1", None, None, None)
            self.iterate_records(master, "j1", None, 2, 0)
        for uid in drawn.RECORD_UIDS:
            self.read_data(uid, 0)
        configs = {self.store.key(self.storage.generate_request_config_path(saved)) for saved in self.model.configs}
        assert self.store.raw_keys() == configs | {self.keys[uid] for uid in self.model.data}
