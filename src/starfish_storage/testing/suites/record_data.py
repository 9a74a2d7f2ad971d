"""The contract of data: of records, and of request configurations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from starfish_storage.errors import (
    DataNotFoundError,
    IdCollisionError,
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    StoreDamagedError,
)
from starfish_storage.interface import Storage
from starfish_storage.json_limits import MAX_DEPTH
from starfish_storage.testing import strategies
from starfish_storage.testing.hostile import HOSTILE_IDS, NOT_JSON
from starfish_storage.testing.samples import JOB, MASTER_JOB, RECORD, a_record, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, assert_same, refused

AWKWARD: dict[str, Any] = {
    "": "empty key",
    "huge": [2**63, -(2**64), 10**400],
    "zero": [0, -0.0, 0.0],
    "numbers": [1, 1.0, True, 1e308, 5e-324, 0.1],
    "text": [
        "",
        "\0",
        "\x1f\x7f",
        "line\r\n",
        "\u2028",
        "é",
        "e\u0301",
        "🐙",
        "\ufffe",
        "\ud800",
        "\udfff x",
        "</script>",
    ],
    "nothing": [None, {}, [], [[]], {"": {}}],
    "lone \ud83d": "in a key",
    "order": {"z": 1, "a": 2},
}

reusing_the_store = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
)
"""One store for all examples, which save under the same id anew; and the same test for several backends."""


def nested(depth: int) -> dict[str, Any]:
    """Return an object of so many levels."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"in": value}
    return value


class RecordDataTests(StorageSuite):
    """Saving and reading the data of records."""

    async def test_awkward_values_read_back_as_they_were(self, storage: Storage) -> None:
        """In value, type and order."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, AWKWARD)
        assert_same(await storage.get_record_data(reference), AWKWARD)
        assert_same(await storage.get_records_data([reference]), [AWKWARD])

    @reusing_the_store
    @given(data=strategies.json_objects())
    async def test_any_json_reads_back_as_it_was(self, storage: Storage, data: dict[str, Any]) -> None:
        """Huge integers, -0.0, all of Unicode, lone surrogates, NUL, nesting."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, data)
        assert_same(await storage.get_record_data(reference), data)

    async def test_what_json_writes_otherwise_reads_back_as_json_has_it(self, storage: Storage) -> None:
        """Tuples are lists, and keys are text, as `json.dumps` has it."""
        data: Any = {"tuple": (1, (2,)), 3: "three", None: 0, False: 1, 1.5: 2}
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, data)
        assert_same(await storage.get_record_data(reference), json.loads(json.dumps(data)))

    async def test_halves_of_a_character_are_joined(self, storage: Storage, store: StoreUnderTest) -> None:
        """They were streamed in two parts. What is stored is what the character itself would be; a lone half stays."""
        halves: Any = {"\ud83d\ude00": ["a\ud83d\ude00", ("\ud83d", "\ude00")], 1: "\ude00\ud83d"}
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, halves)
        whole = {"\U0001f600": ["a\U0001f600", ["\ud83d", "\ude00"]], "1": "\ude00\ud83d"}
        assert_same(await storage.get_record_data(reference), whole)
        for data in ({"a": "\ud83d\ude00"}, {"a": "\U0001f600"}):
            reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, data)
            assert store.raw_read(store.key(reference)) == '{"a":"\U0001f600"}\n'.encode()

    async def test_the_deepest_nesting_is_stored(self, storage: Storage) -> None:
        """`MAX_DEPTH` levels are sure to be."""
        data = nested(MAX_DEPTH)
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, data)
        assert await storage.get_record_data(reference) == data

    async def test_large_data_is_stored(self, storage: Storage) -> None:
        """Some megabytes in one record."""
        data = {"lines": [f"line {number}, naïve" for number in range(100_000)]}
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, data)
        assert await storage.get_record_data(reference) == data

    async def test_what_lies_in_the_store_is_plain_json(self, storage: Storage, store: StoreUnderTest) -> None:
        """Readable without the storage; one uid is one key."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, AWKWARD)
        raw = store.raw_read(store.key(reference))
        assert raw is not None
        assert_same(json.loads(raw), AWKWARD)
        assert store.raw_keys() == {store.key(reference)}

    async def test_saving_again_replaces(self, storage: Storage, store: StoreUnderTest) -> None:
        """Under the same reference, shorter data too."""
        first = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {"long": "x" * 10_000})
        second = await storage.save_record_data(RECORD, "other-master", "other-job", {})
        assert first == second
        assert await storage.get_record_data(first) == {}
        assert store.raw_keys() == {store.key(first)}

    async def test_data_needs_no_row(self, storage: Storage) -> None:
        """It is saved before the record's metadata, and makes none."""
        await storage.save_record_data(RECORD, "no-master", "no-job", {})
        assert await storage.get_record_metadata(RECORD) is None

    async def test_what_was_read_is_the_callers_own(self, storage: Storage) -> None:
        """Changing it changes nothing stored."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {"a": [1]})
        (await storage.get_record_data(reference))["a"].append(2)
        assert await storage.get_record_data(reference) == {"a": [1]}

    async def test_missing_data_is_an_error(self, storage: Storage) -> None:
        """Also a `FileNotFoundError`; the message names the reference."""
        reference = (await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})).replace(RECORD, "missing")
        with refused(DataNotFoundError, reference):
            await storage.get_record_data(reference)
        with pytest.raises(FileNotFoundError):
            await storage.get_record_data(reference)

    async def test_what_is_not_json_is_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """With the place; an earlier version stays."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {"first": 1})
        for make, place in NOT_JSON.values():
            value = make()
            with refused(InvalidDataError, RECORD):
                await storage.save_record_data(RECORD, MASTER_JOB, JOB, value)
            with refused(InvalidDataError, place):
                await storage.save_record_data("another", MASTER_JOB, JOB, value)
        assert await storage.get_record_data(reference) == {"first": 1}
        assert store.raw_keys() == {store.key(reference)}

    async def test_damaged_data_is_an_error(self, store: StoreUnderTest) -> None:
        """The message names it; the rest of the store can be read."""
        async with store.open() as storage:
            reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})
            whole = await storage.save_record_data("whole", MASTER_JOB, JOB, {"a": 1})
        for damage in (b"", b'{"a": 1', b"[1]", b"null", b"\xff\xfe", b"NaN", b"[" * 100_000):
            store.raw_write(store.key(reference), damage)
            async with store.open() as storage:
                with refused(StoreDamagedError, reference):
                    await storage.get_record_data(reference)
                with refused(StoreDamagedError, reference):
                    await storage.get_records_data([whole, reference])
                assert await storage.get_record_data(whole) == {"a": 1}

    async def test_data_of_other_writers_reads_exactly(self, store: StoreUnderTest) -> None:
        """Pretty-printed, with huge integers, escapes and repeated blanks."""
        reference = store.reference("data/00/of-another-writer.json")
        async with store.open():
            pass
        store.raw_write(store.key(reference), json.dumps(AWKWARD, indent=4).encode())
        async with store.open() as storage:
            assert_same(await storage.get_record_data(reference), AWKWARD)

    async def test_uids_that_differ_in_case_only_are_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """Many file systems have one file for both; the first one stays."""
        await save_run(storage)
        references = {await storage.save_record_data(uid, MASTER_JOB, JOB, {"uid": uid}) for uid in ("lower", "UPPER")}
        keys = {store.key(reference) for reference in references}
        for uid in ("LOWER", "Lower", "upper", "UppeR"):
            with refused(IdCollisionError, uid):
                await storage.save_record_data(uid, MASTER_JOB, JOB, {})
            with refused(IdCollisionError, uid):
                await storage.save_record(a_record(uid), {})
            with refused(IdCollisionError, uid):
                await storage.log_record_metadata(a_record(uid))
        assert store.raw_keys() == keys
        assert await storage.get_records_for_master_job(MASTER_JOB) == []
        assert [await storage.get_record_data(reference) for reference in sorted(references)] != []


class ManyRecordsDataTests(StorageSuite):
    """Reading the data of several records at once."""

    async def test_data_comes_in_the_order_of_the_references(self, storage: Storage) -> None:
        """Repeated ones are repeated, and none is fine."""
        a, b, c = [await storage.save_record_data(uid, MASTER_JOB, JOB, {"uid": uid}) for uid in ("a", "b", "c")]
        found = await storage.get_records_data([c, a, c, b])
        assert [data["uid"] for data in found] == ["c", "a", "c", "b"]
        assert await storage.get_records_data([]) == []
        assert await storage.get_records_data((b, a)) == [{"uid": "b"}, {"uid": "a"}]

    async def test_more_than_are_read_in_one_go(self, storage: Storage) -> None:
        """The order holds for any number."""
        await save_run(storage)
        pairs = [(a_record(f"r{number}"), {"n": number}) for number in range(1203)]
        references = await storage.save_records(pairs)
        found = await storage.get_records_data(references[::-1])
        assert [data["n"] for data in found] == list(range(1202, -1, -1))

    async def test_one_that_is_missing_is_an_error(self, storage: Storage) -> None:
        """The message names it."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})
        missing = reference.replace(RECORD, "missing")
        with refused(DataNotFoundError, missing):
            await storage.get_records_data([reference, missing])

    @pytest.mark.parametrize("junk", [None, 7, "one reference"], ids=repr)
    async def test_what_is_no_list_is_refused(self, storage: Storage, junk: Any) -> None:
        """A single reference too: a string would be taken for a list of letters."""
        with refused(InvalidInputError):
            await storage.get_records_data(junk)


class SizeTests(StorageSuite):
    """How much room a store takes."""

    async def test_rows_and_data_are_measured(self, storage: Storage) -> None:
        """Of the whole store, or as far as there is time."""
        await save_run(storage)
        empty = await storage.measure_size()
        assert (empty.data, empty.files, empty.is_complete) == (0, 0, True)
        for uid in ("one", "two"):
            await storage.save_record(a_record(uid), {"text": "x" * 5000})
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"text": "x" * 2000})
        size = await storage.measure_size()
        assert 12_000 < size.data < 13_000
        assert size.is_complete
        assert size.files in (2, 3)  # both records in one, or a file each
        assert size.rows >= empty.rows > 5000
        assert (size.total, size.time > empty.time) == (size.rows + size.data, True)
        in_no_time = await storage.measure_size(seconds=0)
        assert (in_no_time.is_complete, in_no_time.data <= size.data) == (False, True)
        with refused(InvalidInputError):
            await storage.measure_size(seconds=-1)


class RequestConfigTests(StorageSuite):
    """Saving and reading request configurations."""

    async def test_the_path_is_settled_before_saving(self, storage: Storage, store: StoreUnderTest) -> None:
        """One id, one reference; asking for it writes nothing."""
        path = storage.generate_request_config_path(MASTER_JOB)
        assert path == storage.generate_request_config_path(MASTER_JOB)
        assert path != storage.generate_request_config_path("another")
        assert store.raw_keys() == set()

    async def test_a_configuration_reads_back_as_it_was(self, storage: Storage, store: StoreUnderTest) -> None:
        """Under the reference that saving returned, which is the generated one."""
        path = storage.generate_request_config_path(MASTER_JOB)
        reference = await storage.save_request_config(path, AWKWARD)
        assert reference == path
        assert_same(await storage.get_request_config(reference), AWKWARD)
        raw = store.raw_read(store.key(reference))
        assert raw is not None
        assert_same(json.loads(raw), AWKWARD)

    @reusing_the_store
    @given(config=strategies.json_objects())
    async def test_any_json_reads_back_as_it_was(self, storage: Storage, config: dict[str, Any]) -> None:
        """As it does for records."""
        reference = await storage.save_request_config(storage.generate_request_config_path("m"), config)
        assert_same(await storage.get_request_config(reference), config)

    async def test_saving_again_replaces(self, storage: Storage, store: StoreUnderTest) -> None:
        """It is an upsert."""
        path = storage.generate_request_config_path(MASTER_JOB)
        for config in ({"v": 1, "more": "x" * 1000}, {"v": 2}):
            await storage.save_request_config(path, config)
        assert await storage.get_request_config(path) == {"v": 2}
        assert len(store.raw_keys()) == 1

    async def test_a_large_configuration_is_stored(self, storage: Storage) -> None:
        """Where that is declared."""
        if "STORE_LARGE_CONFIG" in storage.capabilities:
            config = {"inputs": [{"question": f"How many are {number} and 1?"} for number in range(50_000)]}
            path = await storage.save_request_config(storage.generate_request_config_path("large"), config)
            assert await storage.get_request_config(path) == config

    async def test_a_missing_configuration_is_an_error(self, storage: Storage) -> None:
        """Also a `FileNotFoundError`; the message names the reference."""
        path = storage.generate_request_config_path("missing")
        with refused(DataNotFoundError, path):
            await storage.get_request_config(path)
        with pytest.raises(FileNotFoundError):
            await storage.get_request_config(path)

    async def test_what_is_not_json_is_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """With the place; an earlier version stays."""
        path = await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"first": 1})
        another = storage.generate_request_config_path("another")
        for make, place in NOT_JSON.values():
            with refused(InvalidDataError, place):
                await storage.save_request_config(path, make())
            with refused(InvalidDataError, "another"):
                await storage.save_request_config(another, make())
        assert await storage.get_request_config(path) == {"first": 1}
        assert store.raw_keys() == {store.key(path)}

    async def test_hostile_ids_are_refused(self, storage: Storage) -> None:
        """The message names the id."""
        for hostile in HOSTILE_IDS:
            with refused(InvalidIdError, hostile):
                storage.generate_request_config_path(hostile)

    async def test_ids_that_differ_in_case_only_are_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """The first one stays."""
        path = await storage.save_request_config(storage.generate_request_config_path("master"), {"v": 1})
        with refused(IdCollisionError, "Master"):
            await storage.save_request_config(storage.generate_request_config_path("Master"), {"v": 2})
        assert await storage.get_request_config(path) == {"v": 1}
        assert store.raw_keys() == {store.key(path)}
