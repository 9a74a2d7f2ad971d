"""The suites of the contract in which data is written, read or removed; the others ask about rows alone."""

from starfish_storage.testing.suites.storage_tests import StorageTests


class DataSuites:
    """What a storage is held to whose rows lie in an engine that runs every suite with its data elsewhere."""

    TestRecordData = StorageTests.TestRecordData
    TestManyRecordsData = StorageTests.TestManyRecordsData
    TestRequestConfigs = StorageTests.TestRequestConfigs
    TestReferences = StorageTests.TestReferences
    TestAtomicRecords = StorageTests.TestAtomicRecords
    TestStreaming = StorageTests.TestStreaming
    TestScanning = StorageTests.TestScanning
    TestDeletion = StorageTests.TestDeletion
    TestLifeCycle = StorageTests.TestLifeCycle
    TestRelocation = StorageTests.TestRelocation
    TestConcurrency = StorageTests.TestConcurrency
    TestMixedCalls = StorageTests.TestMixedCalls
    TestOutcomes = StorageTests.TestOutcomes
    TestSettling = StorageTests.TestSettling
    TestVersions = StorageTests.TestVersions
    TestTransfer = StorageTests.TestTransfer
