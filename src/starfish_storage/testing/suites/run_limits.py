"""The contract of limits of calls that workers share."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from starfish_storage.errors import InvalidIdError, InvalidInputError, ParentNotFoundError
from starfish_storage.interface import Storage
from starfish_storage.runs import OWN_LIMIT, Budget, ClaimedInput, Grant, SlotAsk, Usage
from starfish_storage.testing.samples import MASTER_JOB, at
from starfish_storage.testing.suites.run_samples import WORKER, a_worker, an_outcome, kept, start
from starfish_storage.testing.suites.suite import StorageSuite, refused

_RUN = f"{OWN_LIMIT}{MASTER_JOB}"


class LimitTests(StorageSuite):
    """Limits of calls and tokens."""

    async def test_a_limit_is_set_for_all_and_what_was_set_last_holds(self, storage: Storage) -> None:
        """Bad rates and unknown runs are refused, and change nothing."""
        ledger = await start(storage, 1)
        assert await ledger.get_limit("key") is None
        made = await ledger.set_limit("key", rpm=600)
        assert (made.name, made.master_job_id, made.rpm, made.tpm, made.part) == ("key", None, 600, None, 1)
        assert made.paused_until is None
        await ledger.take_slots("key", MASTER_JOB, SlotAsk(1))
        used = await ledger.get_limit("key")
        assert used is not None
        assert used.next_call > made.next_call
        assert await ledger.set_limit("key", rpm=600) == used, "setting it again changes nothing"
        await ledger.set_limit("key", rpm=60, tpm=1000)
        await ledger.set_limit("another", tpm=1.5)
        await ledger.set_limit(_RUN, rpm=1, master_job_id=MASTER_JOB)
        assert [(one.name, one.rpm, one.tpm) for one in await ledger.list_limits()] == [
            ("another", None, 1.5),
            ("key", 60, 1000),
        ]
        bad: list[Any] = [0, -1, 0.5, math.nan, math.inf, "600", True]
        for value in bad:
            for rpm, tpm in ((value, None), (5, value)):
                with refused(InvalidInputError):
                    await ledger.set_limit("key", rpm=rpm, tpm=tpm)
        with refused(InvalidInputError):
            await ledger.set_limit("key")
        with refused(InvalidIdError):
            await ledger.set_limit("", rpm=1)
        with refused(ParentNotFoundError):
            await ledger.set_limit("run nowhere", rpm=1, master_job_id="nowhere")
        assert len(await ledger.list_limits()) == 2
        await ledger.delete_limit("another")
        await ledger.delete_limit("another")
        await storage.delete_master_job(MASTER_JOB)
        assert await ledger.get_limit(_RUN) is None, "a run's own is deleted with it"
        assert [one.name for one in await ledger.list_limits()] == ["key"]

    async def test_times_are_given_once_whoever_asks(self, storage: Storage) -> None:
        """Of ten claims at once, each has times of its own; those of tokens wait for what was used."""
        ledger = await start(storage, 1)
        await ledger.set_limit("key", rpm=1200)  # 20 a second: 5 at a time
        grants = await asyncio.gather(*(ledger.take_slots("key", MASTER_JOB, SlotAsk(9)) for _ in range(10)))
        assert all(len(grant.delays) == 5 for grant in grants)
        limit = await ledger.get_limit("key")
        assert limit is not None
        taken = (limit.next_call - limit.part_when).total_seconds()
        assert 2.5 <= taken < 2.5 + 60, "fifty times are gone, after what had passed"
        last = max(max(grant.delays) for grant in grants)
        assert 1 < last <= 2.5
        (delay,) = (await ledger.take_slots("key", MASTER_JOB, SlotAsk(1, more_calls=100))).delays
        assert delay > 4, "more requests were made than granted"
        await ledger.set_limit("tokens", tpm=6000)
        assert (await ledger.take_slots("tokens", MASTER_JOB, SlotAsk(1, 100))).delays == (0,)
        (delay,) = (await ledger.take_slots("tokens", MASTER_JOB, SlotAsk(1, 100, more_tokens=900))).delays
        assert 5 < delay <= 10
        assert await ledger.take_slots("nowhere", MASTER_JOB, SlotAsk(3)) == Grant((0, 0, 0)), "nothing limits them"

    async def test_a_refusal_slows_all_down_who_share_it(self, storage: Storage) -> None:
        """For as long as asked, and then to a part of the limit; the pause that ends last stands."""
        ledger = await start(storage, 1)
        await ledger.set_limit("key", rpm=600)
        until = await ledger.slow_down("key", MASTER_JOB, 60, "429: slow down")
        assert until is not None
        assert 50 < (until - await ledger.now()).total_seconds() <= 60
        assert await ledger.slow_down("key", MASTER_JOB, 1, "another") == until
        grant = await ledger.take_slots("key", MASTER_JOB, SlotAsk(2))
        assert 50 < grant.paused <= grant.delays[0] <= 60
        assert grant.reason == "429: slow down"
        assert grant.delays[1] - grant.delays[0] > 0.105, "less than ten a second"
        limit = await ledger.get_limit("key")
        assert limit is not None
        assert (limit.part, limit.paused_until) == (0.85, until)
        assert await ledger.slow_down("nowhere", MASTER_JOB, 1, "why") is None
        for seconds in (-1, math.nan, math.inf, 10**9):
            with refused(InvalidInputError):
                await ledger.slow_down("key", MASTER_JOB, seconds, "why")

    async def test_claims_fit_a_budget(self, storage: Storage) -> None:
        """Those of all workers together: what is running is reserved, until it ends or its worker is gone."""
        ledger = await start(storage, 12)
        await ledger.save_worker(a_worker("another"))

        async def claimed(worker: str, limit: int, budget: Budget) -> list[ClaimedInput]:
            return await ledger.claim_inputs(MASTER_JOB, worker, limit, at(5), budget)

        unknown = Budget(10)
        (first,) = await claimed(WORKER, 9, unknown)
        assert await claimed(WORKER, 9, unknown) == [], "one at first"
        assert len(await claimed("another", 9, unknown)) == 1
        paid = (Usage("m", 1, 1, 2.0),)
        done = await ledger.finish_input(an_outcome(first, kept(), usage=paid), claim_next=True, budget=Budget(10, 2.0))
        assert done.claimed is not None
        # Two are spent, and two are under way, which may cost four: two more fit.
        assert len(await claimed(WORKER, 9, Budget(10, 2.0))) == 2
        assert await claimed("another", 9, Budget(10, 2.0)) == []
        assert await claimed("another", 9, Budget(10)) == [], "the mean of the run counts, where a worker knows none"
        assert await claimed(WORKER, 9, Budget(11, 2.0, under_way=9.5)) == [], "and what calls have cost so far"
        worker = next(one for one in await ledger.list_workers(MASTER_JOB) if one.worker_id == WORKER)
        assert await ledger.remove_worker(worker, at(6), died=True) == 3
        assert len(await claimed("another", 9, Budget(10, 2.0))) == 3
        assert len(await ledger.claim_inputs(MASTER_JOB, "another", 9, at(7))) == 7, "no budget, no limit"
