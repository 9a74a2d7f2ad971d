"""The contract of references: nothing a caller names lies outside the store."""

from __future__ import annotations

from starfish_storage.errors import DataNotFoundError, InvalidReferenceError
from starfish_storage.interface import Storage
from starfish_storage.testing.hostile import hostile_references
from starfish_storage.testing.samples import JOB, MASTER_JOB, RECORD, a_record, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, refused


class ReferenceTests(StorageSuite):
    """Which references are taken, and which are refused."""

    async def test_reading_outside_the_store_is_refused(self, storage: Storage) -> None:
        """Whatever is asked for, and in every way."""
        for reference in hostile_references():
            with refused(InvalidReferenceError, reference):
                await storage.get_record_data(reference)
            with refused(InvalidReferenceError, reference):
                await storage.get_records_data([reference])
            with refused(InvalidReferenceError, reference):
                await storage.get_request_config(reference)

    async def test_writing_outside_the_store_is_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """And writes nothing."""
        await save_run(storage)
        for reference in hostile_references():
            with refused(InvalidReferenceError, reference):
                await storage.save_request_config(reference, {})
            record = a_record().model_copy(update={"output_ref": reference})
            if reference is not None:
                with refused(InvalidReferenceError, reference):
                    await storage.log_record_metadata(record)
        assert await storage.get_record_metadata(RECORD) is None
        assert store.raw_keys() == set()

    async def test_neighbours_of_the_store_lie_outside(self, storage: Storage, store: StoreUnderTest) -> None:
        """A place whose name begins like the store's is another place."""
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})
        root = store.reference_prefix.rstrip("/")
        for outside in (f"{root}/../other.json", f"{root}/metadata.db", f"{root}-2/metadata.db", root, root + "/"):
            with refused(InvalidReferenceError):
                await storage.get_record_data(outside)
        assert await storage.get_record_data(reference) == {}

    async def test_a_key_is_taken_for_its_reference(self, storage: Storage, store: StoreUnderTest) -> None:
        """What is stored is relative; both name the same data."""
        await save_run(storage)
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {"a": 1})
        key = store.key(reference)
        assert await storage.get_record_data(key) == {"a": 1}
        assert await storage.get_records_data([key, reference]) == [{"a": 1}, {"a": 1}]
        await storage.log_record_metadata(a_record(output_ref=key))
        assert await storage.get_record_metadata(RECORD) == a_record(output_ref=reference)

    async def test_a_configurations_key_is_taken_for_its_reference(
        self, storage: Storage, store: StoreUnderTest
    ) -> None:
        """When saving and when reading."""
        path = storage.generate_request_config_path(MASTER_JOB)
        assert await storage.save_request_config(store.key(path), {"a": 1}) == path
        assert await storage.get_request_config(store.key(path)) == {"a": 1}

    async def test_records_and_configurations_are_kept_apart(self, storage: Storage) -> None:
        """A reference to one does not do for the other."""
        await save_run(storage)
        data = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})
        config = await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {})
        with refused(InvalidReferenceError):
            await storage.get_record_data(config)
        with refused(InvalidReferenceError):
            await storage.get_request_config(data)
        with refused(InvalidReferenceError):
            await storage.save_request_config(data, {"overwritten": True})
        with refused(InvalidReferenceError):
            await storage.log_record_metadata(a_record(output_ref=config))
        assert await storage.get_record_data(data) == {}

    async def test_keys_of_nothing_are_not_found(self, storage: Storage, store: StoreUnderTest) -> None:
        """A well-formed reference to nothing is no hostile one."""
        key = store.key(await storage.save_record_data(RECORD, MASTER_JOB, JOB, {})).replace(RECORD, "x")
        with refused(DataNotFoundError):
            await storage.get_record_data(key)
