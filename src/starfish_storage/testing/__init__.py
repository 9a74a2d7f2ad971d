"""Tests for storages, shipped with the library so that any backend can be held to the same contracts.

A backend's own test file says how its store is made and subclasses the suites::

    pytest.register_assert_rewrite("starfish_storage.testing")  # in conftest.py: failures then show their values

    class TestMyStorage(StorageTests):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)  # a `StoreUnderTest`

- `starfish_storage.testing.suites.storage_tests`: `StorageTests`, the contract of a storage.
- `starfish_storage.testing.suites.handler_tests`: the contracts of data and metadata handlers.
- `starfish_storage.testing.machine.state_machine`: a storage against a plain dict model.
- `starfish_storage.testing.strategies`: Hypothesis strategies for ids, JSON objects and models.
- `starfish_storage.testing.store`: what a suite needs to know of a store, and that of a store in directories.

They need the extra ``testing`` (pytest, pytest-asyncio, Hypothesis), and use nothing but the published contracts.
What a storage does not declare among its ``capabilities`` is skipped; nothing else is.
"""
