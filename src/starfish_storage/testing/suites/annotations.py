"""The contract of annotations: what people say of records, and their edits."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

from starfish_storage.errors import (
    InvalidDataError,
    InvalidInputError,
    InvalidStatusError,
    NotFoundError,
    StorageClosedError,
    StorageError,
)
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.runs.annotations import Annotation, AnnotationCounts, holding, is_accepted
from starfish_storage.runs.verifications import Verification
from starfish_storage.testing.samples import MASTER_JOB, a_record, at, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_samples import (
    there,
)
from starfish_storage.testing.suites.suite import StorageSuite, refused

HOSTILE = "<script>alert(1)</script> \0 \x1b[31m \u202e {{7*7}} ' OR 1=1 -- ☃"


async def save_records(storage: Storage, number: int = 3) -> list[str]:
    """Save completed records, the oldest first, and return their uids."""
    await save_run(storage)
    uids = [f"record-{place}" for place in range(number)]
    pairs = [(a_record(uid, start_time=at(place)), {"answer": place}) for place, uid in enumerate(uids)]
    await storage.save_records(pairs)
    return uids


class AnnotationTests(StorageSuite):
    """Verdicts, labels, ratings and comments."""

    async def test_what_is_said_of_a_record_is_kept(self, storage: Storage) -> None:
        """As it was said, the oldest first, whoever says it; and of a run in pages."""
        one, two, _ = await save_records(storage)
        notes = storage.annotations
        given = [
            await notes.add(one, "verdict", "accepted", author="ann"),
            await notes.add(two, "label", HOSTILE.replace("\0", "").replace("\x1b", ""), author="größer 日本"),
            await notes.add(one, "rating", 4.5, author="ann"),
            await notes.add(one, "rating", -(10**15), author="bob"),
            await notes.add(two, "comment", HOSTILE * 3 + "\n", author="ann"),
            await notes.add(one, "verdict", "rejected", author="bob"),
        ]
        assert [a.value for a in given if a.kind == "rating"] == [4.5, -(10**15)]
        assert {(a.master_job_id, a.withdrawn) for a in given} == {(MASTER_JOB, None)}
        assert await notes.list([one]) == [a for a in given if a.record_uid == one]
        assert await notes.list([two, one, two]) == given
        paged: list[Annotation] = []
        while page := await notes.list_for_run(MASTER_JOB, paged[-1] if paged else None, 4):
            assert len(page) <= 4
            paged += page
        assert paged == given
        assert [await notes.list(["nowhere"]), await notes.list([]), await notes.list_for_run("nowhere")] == [[]] * 3
        assert there(await storage.get_record_metadata(one)).last_update_time == at(32)

    async def test_what_holds(self, storage: Storage) -> None:
        """Of one author the newest verdict and rating, all labels and comments, and nothing that was withdrawn."""
        one, two, three = await save_records(storage)
        notes = storage.annotations
        assert await notes.count(MASTER_JOB) == AnnotationCounts()
        for value in ("rejected", "accepted"):
            await notes.add(one, "verdict", value, author="ann")
        await notes.add(two, "verdict", "rejected", author="ann")
        conflict = await notes.add(two, "verdict", "accepted", author="bob")
        await notes.add(three, "verdict", "rejected", author="bob")
        for uid, rating, author in ((one, 1, "ann"), (one, 5, "ann"), (one, 2, "bob"), (two, 2.5, "bob")):
            await notes.add(uid, "rating", rating, author=author)
        for uid, label in ((one, "short"), (one, "short"), (two, "short"), (one, '"x"')):
            await notes.add(uid, "label", label, author="ann")
        gone = await notes.add(three, "comment", "a slip", author="ann")
        await notes.withdraw(gone.annotation_id, author="ann")
        await notes.add(three, "comment", "meant", author="ann")
        labels = {"short": 2, '"x"': 1}
        counts = await notes.count(MASTER_JOB)
        assert counts == AnnotationCounts(1, 1, 1, labels, 2, (5 + 2 + 2.5) / 3, 1)
        held = holding(await notes.list([one, two, three]))
        assert [(a.author, a.value) for a in held if a.kind == "rating"] == [("ann", 5), ("bob", 2), ("bob", 2.5)]
        assert [a.value for a in held if a.kind == "comment"] == ["meant"]
        assert [is_accepted(await notes.list([uid])) for uid in (one, two, three)] == [True, False, False]
        await notes.withdraw(conflict.annotation_id, author="bob")
        assert (await notes.count(MASTER_JOB)).conflicting == 0

    async def test_an_author_takes_back_what_was_said(self, storage: Storage) -> None:
        """The row stays, and says when; nobody else's can be withdrawn, and what is withdrawn stays so."""
        (one, *_) = await save_records(storage)
        notes = storage.annotations
        said = await notes.add(one, "verdict", "accepted", author="ann")
        with refused(InvalidInputError, "ann"):
            await notes.withdraw(said.annotation_id, author="bob")
        gone = await notes.withdraw(said.annotation_id, author="ann")
        assert there(gone.withdrawn) >= said.time
        assert await notes.withdraw(said.annotation_id, author="ann") == gone
        assert await notes.list([one]) == [gone]
        with refused(NotFoundError, "nothing"):
            await notes.withdraw("nothing", author="ann")

    async def test_times_are_given_or_the_next(self, storage: Storage) -> None:
        """What is said later holds, whatever the clocks say."""
        (one, *_) = await save_records(storage)
        notes = storage.annotations
        early = await notes.add(one, "verdict", "rejected", author="ann", time=at(0))
        assert early.time == at(0)
        future = early.time + timedelta(days=365 * 4000)
        late = await notes.add(one, "verdict", "rejected", author="ann", time=future)
        last = await notes.add(one, "verdict", "accepted", author="ann")
        assert (late.time, last.time) == (future, future + timedelta(microseconds=1))
        assert is_accepted(await notes.list([one]))

    async def test_what_cannot_be_said_is_refused(self, storage: Storage) -> None:
        """And nothing of it is kept."""
        (one, *_) = await save_records(storage)
        notes: Any = storage.annotations
        bad: list[tuple[type[StorageError], tuple[Any, ...], Any]] = [
            (NotFoundError, ("nowhere", "verdict", "accepted"), "ann"),
            (InvalidStatusError, (one, "opinion", "accepted"), "ann"),
            (InvalidStatusError, (one, "edit", {"version": 1}), "ann"),
            (InvalidStatusError, (one, "verdict", "maybe"), "ann"),
            (InvalidStatusError, (one, "verdict", ["accepted"]), "ann"),
            (InvalidInputError, (one, "rating", math.nan), "ann"),
            (InvalidInputError, (one, "rating", math.inf), "ann"),
            (InvalidInputError, (one, "rating", 10**16), "ann"),
            (InvalidInputError, (one, "rating", "5"), "ann"),
            (InvalidInputError, (one, "rating", True), "ann"),
            (InvalidInputError, (one, "label", ""), "ann"),
            (InvalidInputError, (one, "label", "two\nlines"), "ann"),
            (InvalidInputError, (one, "label", "x" * 201), "ann"),
            (InvalidInputError, (one, "label", 5), "ann"),
            (InvalidInputError, (one, "comment", " \n"), "ann"),
            (InvalidInputError, (one, "comment", "x" * 100_001), "ann"),
            (InvalidInputError, (one, "comment", "lone \ud800"), "ann"),
            (InvalidInputError, (one, "verdict", "accepted"), ""),
            (InvalidInputError, (one, "verdict", "accepted"), " "),
            (InvalidInputError, (one, "verdict", "accepted"), "x" * 201),
            (InvalidInputError, (one, "verdict", "accepted"), "nul \0"),
            (InvalidInputError, (one, "verdict", "accepted"), None),
            (InvalidInputError, (5, "verdict", "accepted"), "ann"),
        ]
        for kind, arguments, author in bad:
            with refused(kind):
                await notes.add(*arguments, author=author)
        with refused(InvalidInputError, "time"):
            await notes.add(one, "verdict", "accepted", author="ann", time="noon")
        for limit in (-1, "1"):
            with refused(InvalidInputError, "limit"):
                await notes.list_for_run(MASTER_JOB, limit=limit)
            with refused(InvalidInputError, "limit"):
                await notes.next_unreviewed(MASTER_JOB, "ann", limit=limit)
        with refused(InvalidInputError, "list"):
            await notes.list(one)
        with refused(InvalidInputError, "list"):
            await notes.next_unreviewed(MASTER_JOB, "ann", skip=one)
        with refused(InvalidInputError, "Record"):
            await notes.next_unreviewed(MASTER_JOB, "ann", after=one)
        with refused(InvalidInputError, "Annotation"):
            await notes.list_for_run(MASTER_JOB, after=one)
        assert await notes.list([one]) == []

    async def test_records_without_a_verdict_come_in_turn(self, storage: Storage) -> None:
        """Of this author; completed ones alone, the oldest first, from any place on."""
        uids = await save_records(storage, 5)
        await storage.log_record_metadata(a_record("failed", status="failed", start_time=at(0)))
        notes = storage.annotations

        async def next_of(author: str = "ann", **options: Any) -> list[str]:
            found: list[Record] = await notes.next_unreviewed(MASTER_JOB, author, **options)
            return [record.record_uid for record in found]

        assert await next_of() == uids[:1]
        assert await next_of(limit=9) == uids
        said = await notes.add(uids[0], "verdict", "accepted", author="ann")
        await notes.add(uids[1], "comment", "hm", author="ann")
        await notes.add(uids[1], "verdict", "rejected", author="bob")
        assert await next_of(limit=2) == uids[1:3]
        assert await next_of("bob", limit=2) == [uids[0], uids[2]]
        assert await next_of(skip=[uids[1], "nowhere"], limit=2) == uids[2:4]
        second = there(await storage.get_record_metadata(uids[1]))
        assert second == (await notes.next_unreviewed(MASTER_JOB, "ann"))[0]
        assert await next_of(after=second, limit=9) == uids[2:]
        await notes.withdraw(said.annotation_id, author="ann")
        assert await next_of() == uids[:1]
        assert [await next_of(limit=0), await notes.next_unreviewed("nowhere", "ann")] == [[], []]
        with refused(InvalidInputError, "author"):
            await next_of("")

    async def test_several_people_at_once(self, store: StoreUnderTest) -> None:
        """In storages of their own: all that anybody says is there, in the order in which it was said."""
        async with store.open() as storage, store.open() as other:
            uids = await save_records(storage)
            values = ["accepted", "rejected"]

            async def judge(of: Storage, author: str) -> list[Annotation]:
                return [await of.annotations.add(uid, "verdict", v, author=author) for uid in uids for v in values]

            said = await asyncio.gather(judge(storage, "ann"), judge(other, "bob"), judge(other, "cid"))
            found = await storage.annotations.list(uids)
            assert sorted(a.annotation_id for a in found) == sorted(a.annotation_id for own in said for a in own)
            for own in said:
                mine = [a for a in found if a.author == own[0].author]
                assert sorted(mine, key=lambda a: a.record_uid) == sorted(own, key=lambda a: a.record_uid)
            assert await other.annotations.count(MASTER_JOB) == AnnotationCounts(rejected=3)

    async def test_they_go_with_their_record(self, storage: Storage) -> None:
        """And stay when it is saved again."""
        (one, *_) = await save_records(storage)
        said = await storage.annotations.add(one, "label", "good", author="ann")
        await storage.save_record(a_record(one), {"answer": "new"})
        await storage.log_record_metadata(a_record(one, status="filtered"))
        assert await storage.annotations.list([one]) == [said]
        await storage.delete_master_job(MASTER_JOB)
        assert await storage.annotations.list([one]) == []
        assert await storage.annotations.count(MASTER_JOB) == AnnotationCounts()

    async def test_a_closed_storage_takes_none(self, store: StoreUnderTest) -> None:
        """Nor returns any."""
        async with store.open() as storage:
            (one, *_) = await save_records(storage)
        notes = storage.annotations
        calls = (
            lambda: notes.add(one, "verdict", "accepted", author="ann"),
            lambda: notes.edit_record(one, {}, author="ann"),
            lambda: notes.withdraw("id", author="ann"),
            lambda: notes.list([one]),
            lambda: notes.list_for_run(MASTER_JOB),
            lambda: notes.count(MASTER_JOB),
            lambda: notes.next_unreviewed(MASTER_JOB, "ann"),
            storage.ledger.last_verification,
        )
        for call in calls:
            with refused(StorageClosedError):
                await call()

    async def test_the_last_verification(self, storage: Storage) -> None:
        """Takes the place of the one before."""
        await save_run(storage)
        ledger = storage.ledger
        assert await ledger.last_verification() is None
        for number in (2, 1):
            found = Verification(at(number), at(number + 1), number, {"findings": [{"subject": "é\0"}] * number})
            for _ in range(2):
                await ledger.save_verification(found)
            assert await ledger.last_verification() == found
        for bad in (Verification(at(1), at(2), -1), Verification(at(1), "noon", 0)):  # type: ignore[arg-type]
            with refused(InvalidInputError):
                await ledger.save_verification(bad)
        with refused(InvalidDataError):
            await ledger.save_verification(Verification(at(1), at(2), 0, {"x": math.nan}))
