"""Tests for storages, shipped with the library so that you can hold your own backend to the same contracts.

Write one short test file for a backend: it says how a store is made, and subclasses the suites::

    pytest.register_assert_rewrite("starfish_storage.testing")  # in conftest.py: failures then show their values

    class TestMyStorage(StorageTests):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)  # a `StoreUnderTest`

What each module holds:

- `starfish_storage.testing.suites.storage_tests`: `StorageTests`, the whole contract of a storage, some 400 tests.
- `starfish_storage.testing.suites.handler_tests`: the contracts of data handlers and of metadata handlers.
- `starfish_storage.testing.machine.state_machine`: a storage and a plain dict do the same at random; they must agree.
- `starfish_storage.testing.strategies`: Hypothesis strategies for ids, JSON objects and models.
- `starfish_storage.testing.samples`: models with every field set, the same each time.
- `starfish_storage.testing.hostile`: ids, references and values that every storage must refuse.
- `starfish_storage.testing.store`: `StoreUnderTest`, what a suite must know about a store, and `DirectoryStore`.

Install the extra ``testing`` (pytest, pytest-asyncio, Hypothesis). The suites use the published contracts only. They
skip a test only where the storage does not list the feature in its ``capabilities``. The tests need no order and share
nothing, so pytest-xdist may run them side by side.

How this project uses them stands in ``tests/conformance``: five backends, each in a file of less than 40 lines. A
fixture there ends each test with `starfish_storage.maintenance.verify`, which must find no damage.
"""
