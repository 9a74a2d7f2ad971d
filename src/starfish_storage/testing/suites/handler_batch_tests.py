"""The contract of a data handler for what is done to many keys at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StorageError
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.keys import check_record_key, record_key, version_key
from starfish_storage.testing.samples import RECORD
from starfish_storage.testing.suites.suite import refused

FIRST, SECOND = b'{"version":1}\n', b'{"version":2}\n'


def staged(data: DataHandler, items: Sequence[tuple[str, bytes]]) -> list[DataWrite]:
    """Return writes that are staged."""
    writes = [data.write(key, payload) for key, payload in items]
    for write in writes:
        write.stage()
    return writes


class DataBatchTests:
    """Versions, puts, removals and publications of many keys. Needs a fixture ``data``: a handler that is set up."""

    def test_it_says_how_many_calls_are_of_use(self, data: DataHandler) -> None:
        """At least one version is returned."""
        assert data.parallel >= 1

    def test_a_version_has_a_key_of_its_own(self, data: DataHandler) -> None:
        """Even the longest uid gives a key that can be written and read."""
        for uid in (RECORD, "a" * 200, "ü" * 100):
            key = record_key(uid)
            versions = [version_key(key, version) for version in ("0", "1", "af" * 20)]
            assert len({key, *versions}) == len(versions) + 1
            assert [check_record_key(version) for version in versions] == versions
            assert all(data.to_key(data.to_reference(version)) == version for version in versions)
            data.put_new([(version, version.encode()) for version in versions])
            assert [data.read(version) for version in versions] == [version.encode() for version in versions]

    def test_many_are_put_and_removed(self, data: DataHandler) -> None:
        """Missing keys are ignored, and so is an empty list."""
        items = [(record_key(f"r{number}"), f"{number}".encode()) for number in range(150)]
        data.put_new(items)
        keys = [key for key, _ in items]
        assert [data.read(key) for key in keys] == [payload for _, payload in items]
        missing = record_key("missing")
        assert data.existing([*keys, missing]) == set(keys)
        assert list(data.read_each([keys[2], missing, keys[1], keys[2]])) == [b"2", None, b"1", b"2"]
        assert list(data.read_each([])) == []
        twelve = keys[12]
        assert list(data.read_small([missing, twelve, keys[1]], 2)) == [None, b"12", b"1"]
        assert list(data.read_small([missing, twelve, keys[1]], 1)) == [None, 2, b"1"]
        assert [b"".join(data.read_parts(twelve, length)) for length in (1, 2, 3)] == [b"12"] * 3
        with refused(DataNotFoundError):
            list(data.read_parts(missing, 1))
        for _ in range(2):
            data.remove_all(keys[1:])
            assert data.existing(keys) == {keys[0]}
        data.put_new([])
        data.remove_all([])
        assert data.existing([]) == set()

    def test_what_is_no_key_is_neither_put_nor_removed(self, data: DataHandler) -> None:
        """Nor is anything that was named with it."""
        key = record_key(RECORD)
        for bad in ("metadata.db", "data/82/r1", "../data/82/r1.json", "configs/x"):
            with refused(InvalidReferenceError):
                data.put_new([(key, FIRST), (bad, FIRST)])
            assert not data.exists(key)
        data.put_new([(key, FIRST)])
        for bad in ("metadata.db", "data/82/r1", "../data/82/r1.json"):
            with refused(InvalidReferenceError):
                data.remove_all([key, bad])
        assert data.read(key) == FIRST

    def test_many_calls_are_published_together(self, data: DataHandler) -> None:
        """Each with as many writes as it has, over what is there or not."""
        there = record_key("there")
        data.put_new([(there, FIRST)])
        keys = [record_key(f"r{number}") for number in range(150)]
        calls = [staged(data, [(there, SECOND)]), [], staged(data, [(key, key.encode()) for key in keys])]
        outcomes: list[list[StorageError | None]] = data.publish_all(calls)
        assert outcomes == [[None], [], [None] * len(keys)]
        assert data.read(there) == SECOND
        assert [data.read(key) for key in keys] == [key.encode() for key in keys]
        for write in (write for call in calls for write in call):
            write.discard()
        assert data.publish_all([]) == []

    def test_of_several_writes_of_a_key_the_last_one_stands(self, data: DataHandler) -> None:
        """As a record that comes twice in one call is the later one; revoked, what was there before all of them is."""
        keys = [record_key(f"r{number}") for number in range(100)]
        data.put_new([(key, b"before") for key in keys[:50]])
        writes = staged(data, [(key, payload) for key in keys for payload in (FIRST, b"between", SECOND)])
        assert data.publish_all([writes]) == [[None] * len(writes)]
        assert list(data.read_each(keys)) == [SECOND] * len(keys)
        assert data.revoke_all(writes) == []
        for write in writes:
            write.discard()
        assert list(data.read_each(keys)) == [b"before"] * 50 + [None] * 50

    def test_a_call_that_was_published_is_revoked(self, data: DataHandler) -> None:
        """What was there before is there again; nothing is left for the journal."""
        there, new = record_key("there"), record_key("new")
        data.put_new([(there, FIRST)])
        writes = staged(data, [(there, SECOND), (new, SECOND)])
        assert data.publish_all([writes]) == [[None, None]]
        left: list[Any] = data.revoke_all(writes)
        for write in writes:
            write.discard()
        assert left == []
        assert data.read(there) == FIRST
        assert not data.exists(new)
