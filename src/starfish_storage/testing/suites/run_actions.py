"""The contract of who did what, of stopping one worker, and of priorities."""

from __future__ import annotations

from typing import Any

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.interface import Storage
from starfish_storage.runs import SlotAsk, this_actor
from starfish_storage.testing.samples import MASTER_JOB, PROJECT, a_master_job
from starfish_storage.testing.suites.run_samples import WORKER, a_worker, start
from starfish_storage.testing.suites.suite import StorageSuite, refused


class ActionTests(StorageSuite):
    """Actions of people and programs."""

    async def test_actions_are_listed_newest_first(self, storage: Storage) -> None:
        """With who did them, in pages, and those on one thing alone."""
        ledger = storage.ledger
        before = len(await ledger.list_actions())
        for number in range(3):
            await ledger.note_action("cancel", "run", f"größer-{number % 2}", f"reason {number}")
        made = await ledger.note_action("pack", "store", detail="x" * 2000)
        with refused(InvalidInputError):
            await ledger.list_actions(limit=-1)
        newest, *_ = found = await ledger.list_actions()
        assert len(found) == before + 4
        assert (newest.action_id, newest.target, newest.detail) == (made, None, "x" * 1000)
        assert newest.who == this_actor()
        assert [one.detail for one in found[1:4]] == ["reason 2", "reason 1", "reason 0"]
        assert await ledger.list_actions(before=newest, limit=2) == found[1:3]
        assert [one.detail for one in await ledger.list_actions(target="größer-0")] == ["reason 2", "reason 0"]

    async def test_what_is_asked_and_deleted_is_noted_with_it(self, storage: Storage) -> None:
        """What did not happen is not; and what is deleted stays in the list."""
        ledger = await start(storage, 1)
        await ledger.request_stop(MASTER_JOB, "wrong prompt", action="cancel")
        await ledger.request_stop(MASTER_JOB, None)
        for _ in range(2):
            await ledger.begin_drain(MASTER_JOB)
        await ledger.end_drain()
        for _ in range(2):
            await ledger.set_limit("key", rpm=60)
            await ledger.delete_limit("nobody")
        await ledger.delete_limit("key")
        await storage.delete_master_job(MASTER_JOB)
        with refused(NotFoundError):
            await storage.delete_master_job(MASTER_JOB)
        with refused(NotFoundError):
            await ledger.request_stop(MASTER_JOB, "why", action="cancel")
        await storage.delete_project(PROJECT, cascade=True)
        assert [(one.action, one.kind, one.target) for one in reversed(await ledger.list_actions())] == [
            ("cancel", "run", MASTER_JOB),
            ("drain", "run", MASTER_JOB),
            ("end drain", "store", None),
            ("limit", "limit", "key"),
            ("delete", "limit", "key"),
            ("delete", "run", MASTER_JOB),
            ("delete", "project", PROJECT),
        ]

    async def test_a_worker_is_asked_to_stop_once(self, storage: Storage) -> None:
        """Its lease goes on, and so do other workers; one that is not noted cannot be asked."""
        ledger = await start(storage, 1)
        other = await ledger.save_worker(a_worker("another"))
        asked = await ledger.stop_worker(WORKER, "größer")
        assert (asked.worker_id, asked.master_job_id, asked.stop_reason) == (WORKER, MASTER_JOB, "größer")
        assert (await ledger.stop_worker(WORKER, "again")).stop_reason == "größer"
        renewed = await ledger.save_worker(a_worker(), 600)
        assert (renewed.stop_reason, renewed.lease_expires > asked.lease_expires) == ("größer", True)
        found = await ledger.list_workers(MASTER_JOB)
        assert sorted(found, key=lambda one: one.worker_id) == sorted([renewed, other], key=lambda one: one.worker_id)
        assert {one.worker.worker_id for one in await ledger.list_all_workers()} == {WORKER, "another"}
        with refused(NotFoundError):
            await ledger.stop_worker("nobody", "why")
        (noted,) = await ledger.list_actions(target=WORKER)
        assert (noted.action, noted.detail) == ("stop", f"of run {MASTER_JOB}: größer")

    async def test_runs_share_a_limit_by_their_priorities(self, storage: Storage) -> None:
        """Of calls that begin one a second: three of the one and one of the other, whoever asks more often."""
        ledger = await start(storage, 1)
        await storage.log_master_job_start(a_master_job(storage, "other"))
        await ledger.start_run("other")
        assert await ledger.set_priority(MASTER_JOB, 3) == 1
        assert await ledger.set_priority(MASTER_JOB, 3) == 3
        bad: list[Any] = [0, -1, 1001, 1.5, "3", True]
        for value in bad:
            with refused(InvalidInputError):
                await ledger.set_priority(MASTER_JOB, value)
        with refused(NotFoundError):
            await ledger.set_priority("nowhere", 2)
        state = await ledger.get_run(MASTER_JOB)
        assert state is not None
        assert state.priority == 3
        await ledger.set_limit("key", rpm=60)
        granted = {MASTER_JOB: 0, "other": 0}
        for run in ["other", "other", "other", MASTER_JOB] * 8:
            grant = await ledger.take_slots("key", run, SlotAsk(9))
            granted[run] += len(grant.delays)
            assert bool(grant.delays) is not bool(grant.again)
        assert granted == {MASTER_JOB: 8, "other": 3 + 3}, "while it was alone, it got what it asked for"
        limit = await ledger.get_limit("key")
        assert limit is not None
        assert limit.parts(await ledger.now()) == {MASTER_JOB: 0.75, "other": 0.25}
        (noted,) = await ledger.list_actions(target=MASTER_JOB)
        assert (noted.action, noted.detail) == ("priority", "3; it was 1")
