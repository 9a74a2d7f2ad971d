"""The contract of edits, which are versions of their records."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from starfish_storage.codec import canonical_hash
from starfish_storage.errors import (
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
    RecordChangedError,
    StorageError,
)
from starfish_storage.interface import Storage
from starfish_storage.testing.samples import MASTER_JOB, a_record
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.annotations import save_records
from starfish_storage.testing.suites.run_samples import (
    an_outcome,
    claim,
    kept,
    run_again,
    start,
    there,
)
from starfish_storage.testing.suites.suite import StorageSuite, collected, refused


async def data_of(storage: Storage, uid: str) -> dict[str, Any]:
    """Return the data that a record has now."""
    return await storage.get_record_data(str(there(await storage.get_record_metadata(uid)).output_ref))


async def versions_of(storage: Storage, uid: str) -> list[Any]:
    """Return the number, the attempt and the data of each version of a record, the current one in a tuple."""
    ledger, found = storage.ledger, list[Any]()
    for one in await ledger.list_versions(uid):
        told = [one.number, one.attempt, (await ledger.get_version_data(uid, one.number) or {}).get("answer")]
        found.append(tuple(told) if one.is_current else told)
    return found


class EditTests(StorageSuite):
    """Edits, which are versions of their records."""

    async def test_an_edit_is_a_version(self, storage: Storage) -> None:
        """The record has the edited data, and what it had is a version; each edit is one."""
        (one, two, _) = await save_records(storage)
        notes, before = storage.annotations, there(await storage.get_record_metadata(one))
        edit = await notes.edit_record(one, {"answer": "better", "é\0": [2**70, 1.0]}, author="ann")
        assert (edit.kind, edit.value, edit.author) == ("edit", {"version": 1}, "ann")
        assert await data_of(storage, one) == {"answer": "better", "é\0": [2**70, 1.0]}
        after = there(await storage.get_record_metadata(one))
        assert after == before.model_copy(update={"last_update_time": edit.time})
        assert await versions_of(storage, one) == [[1, 1, 0], (2, 1, "better")]
        again = await notes.edit_record(one, {"answer": "best"}, author="bob")
        assert again.value == {"version": 2}
        assert await versions_of(storage, one) == [[1, 1, 0], [2, 1, "better"], (3, 1, "best")]
        assert await notes.list([one]) == [edit, again]
        assert (await notes.count(MASTER_JOB)).edited == 1
        assert await versions_of(storage, two) == [(1, 1, 1)]
        pages = await collected(storage.scan_records(MASTER_JOB))
        assert [found.payload for page in pages for found in page][:1] == [b'{"answer":"best"}\n']

    async def test_an_edit_can_be_withdrawn(self, storage: Storage) -> None:
        """What was there before is the record's data again, and the edited data is a version."""
        (one, *_) = await save_records(storage)
        notes = storage.annotations
        first = await notes.edit_record(one, {"answer": "better"}, author="ann")
        second = await notes.edit_record(one, {"answer": "best"}, author="ann")
        with refused(RecordChangedError, one):
            await notes.withdraw(first.annotation_id, author="ann")
        gone = await notes.withdraw(second.annotation_id, author="ann")
        assert there(gone.withdrawn) >= second.time
        assert await versions_of(storage, one) == [[1, 1, 0], (2, 1, "better"), [3, 1, "best"]]
        assert await notes.withdraw(second.annotation_id, author="ann") == gone
        assert [a.withdrawn for a in await notes.list([one])] == [None, gone.withdrawn]
        third = await notes.edit_record(one, {"answer": "third"}, author="ann")
        assert third.value == {"version": 2}
        assert await versions_of(storage, one) == [[1, 1, 0], [2, 1, "better"], [3, 1, "best"], (4, 1, "third")]
        await storage.save_record(a_record(one), {"answer": "by the program"})
        with refused(RecordChangedError, one):
            await notes.withdraw(third.annotation_id, author="ann")
        assert await data_of(storage, one) == {"answer": "by the program"}

    async def test_an_edit_of_what_has_changed_is_refused(self, storage: Storage) -> None:
        """If it says what it replaces: by the data's digest, or the time of the record."""
        (one, *_) = await save_records(storage)
        notes = storage.annotations
        seen = there(await storage.get_record_metadata(one))
        digest = (await storage.ledger.list_versions(one))[0].data_sha256
        edit = await notes.edit_record(one, {"answer": "ann's"}, author="ann", replaces=digest)
        for replaces in (digest, seen.last_update_time.isoformat(), canonical_hash({}), "2020-01-01"):
            with refused(RecordChangedError, one):
                await notes.edit_record(one, {"answer": "bob's"}, author="bob", replaces=replaces)
        assert await data_of(storage, one) == {"answer": "ann's"}
        await notes.edit_record(one, {"answer": "bob's"}, author="bob", replaces=edit.time.isoformat())
        assert await versions_of(storage, one) == [[1, 1, 0], [2, 1, "ann's"], (3, 1, "bob's")]

    async def test_edits_at_once_lose_nothing(self, store: StoreUnderTest) -> None:
        """Each becomes a version, or the record's data; of those that replace the same, one takes place."""
        async with store.open() as storage, store.open() as other:
            (one, two, _) = await save_records(storage)
            edits = [
                of.annotations.edit_record(one, {"answer": f"{author}-{n}"}, author=author)
                for n in range(2)
                for of, author in ((storage, "ann"), (other, "bob"))
            ]
            done = await asyncio.gather(*edits)
            assert sorted(a.value["version"] for a in done) == list(range(1, 5))
            texts = [value for _, _, value in await versions_of(storage, one)]
            assert texts[0] == 0
            assert sorted(map(str, texts[1:])) == sorted(f"{author}-{n}" for n in range(2) for author in ("ann", "bob"))
            digest = (await storage.ledger.list_versions(two))[0].data_sha256
            outcomes = await asyncio.gather(
                *(
                    of.annotations.edit_record(two, {"answer": n}, author="ann", replaces=digest)
                    for n, of in enumerate((storage, other), start=7)
                ),
                return_exceptions=True,
            )
            assert sorted(type(one).__name__ for one in outcomes) == ["Annotation", "RecordChangedError"]
            assert len(await versions_of(other, two)) == 2

    async def test_what_cannot_be_edited_is_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """And nothing is written."""
        (one, *_) = await save_records(storage)
        await storage.log_record_metadata(a_record("without", status="failed"))
        notes: Any = storage.annotations
        keys = store.raw_keys()
        bad: list[tuple[type[StorageError], str, Any, dict[str, Any]]] = [
            (NotFoundError, "nowhere", {}, {}),
            (InvalidInputError, "without", {}, {}),
            (InvalidInputError, one, {"answer": 0}, {}),
            (InvalidDataError, one, {"answer": math.nan}, {}),
            (InvalidDataError, one, [1], {}),
            (InvalidInputError, one, {}, {"author": ""}),
            (InvalidInputError, one, {}, {"replaces": "the first"}),
        ]
        for kind, uid, data, options in bad:
            with refused(kind):
                await notes.edit_record(uid, data, **{"author": "ann", **options})
        assert await notes.list([one, "without"]) == []
        assert await versions_of(storage, one) == [(1, 1, 0)]
        assert store.raw_keys() == keys
        # Shared data is edited where it belongs, and the records that share it have it then.
        lent = there(await storage.get_record_metadata(one)).output_ref
        await storage.log_record_metadata(a_record("borrower", output_ref=lent))
        with refused(InvalidInputError, one):
            await notes.edit_record("borrower", {"answer": "own"}, author="ann")
        await notes.edit_record(one, {"answer": "both's"}, author="ann")
        assert await data_of(storage, "borrower") == {"answer": "both's"}

    async def test_what_comes_of_a_retry_takes_the_place_of_an_edit(self, storage: Storage) -> None:
        """It keeps its attempt, however many numbers the edits have taken; the edited data is a version."""
        ledger = await start(storage, 1)
        (first,) = await claim(ledger)
        await ledger.finish_input(an_outcome(first, kept(1), segment=1))
        (record,) = await collected(storage.iter_records(MASTER_JOB))
        uid, notes = record.record_uid, storage.annotations
        await notes.edit_record(uid, {"answer": "edit 0"}, author="ann")
        again = await run_again(ledger, first, "always")
        await notes.edit_record(uid, {"answer": "edit 1"}, author="ann")  # while it is worked on
        edits = [[1, 1, 1], [2, 1, "edit 0"], [3, 1, "edit 1"]]
        assert await ledger.find_segments([uid]) == {uid: 1}
        await ledger.finish_input(an_outcome(again, kept(2), segment=2))
        assert await versions_of(storage, uid) == [*edits, (4, 2, 2)]
        last = await notes.edit_record(uid, {"answer": "edit 2"}, author="ann")
        assert last.value == {"version": 4}
        assert await versions_of(storage, uid) == [*edits, [4, 2, 2], (5, 2, "edit 2")]
        assert await ledger.find_segments([uid]) == {uid: 2}
        await ledger.restore_version(uid, 3)
        assert await versions_of(storage, uid) == [*edits[:2], (3, 1, "edit 1"), [4, 2, 2], [5, 2, "edit 2"]]
        await ledger.restore_version(uid, 1)
        assert await data_of(storage, uid) == {"answer": 1}
        assert [one.withdrawn for one in await notes.list([uid])] == [None] * 3  # their author took none of them back
        assert (await notes.count(MASTER_JOB)).edited == 1
        assert [one.number for one in await ledger.list_attempts(first.job_id)] == [1, 2]
