"""The whole contract of a storage, in one class to subclass."""

from __future__ import annotations

from starfish_storage.testing.suites.annotations import AnnotationTests
from starfish_storage.testing.suites.atomic_records import AtomicRecordTests
from starfish_storage.testing.suites.concurrency import ConcurrencyTests
from starfish_storage.testing.suites.deletion import DeletionTests
from starfish_storage.testing.suites.edits import EditTests
from starfish_storage.testing.suites.execution_jobs import ExecutionJobTests, ResumeTests
from starfish_storage.testing.suites.life_cycle import LifeCycleTests, RelocationTests
from starfish_storage.testing.suites.listing import ListingTests
from starfish_storage.testing.suites.master_jobs import MasterJobTests
from starfish_storage.testing.suites.mixed_calls import MixedCallTests
from starfish_storage.testing.suites.projects import ProjectTests
from starfish_storage.testing.suites.record_data import (
    ManyRecordsDataTests,
    RecordDataTests,
    RequestConfigTests,
    SizeTests,
)
from starfish_storage.testing.suites.records import CountTests, RecordTests
from starfish_storage.testing.suites.references import ReferenceTests
from starfish_storage.testing.suites.run_actions import ActionTests
from starfish_storage.testing.suites.run_calls import RequestTests, SegmentTests
from starfish_storage.testing.suites.run_inputs import ClaimTests, RunInputTests
from starfish_storage.testing.suites.run_ledger import RunTests, StepTests
from starfish_storage.testing.suites.run_limits import LimitTests
from starfish_storage.testing.suites.run_lists import RunListTests
from starfish_storage.testing.suites.run_outcomes import OutcomeTests
from starfish_storage.testing.suites.run_progress import ProgressTests
from starfish_storage.testing.suites.run_versions import SettlingTests, VersionTests
from starfish_storage.testing.suites.scanning import ScanningTests
from starfish_storage.testing.suites.searching import SearchTests
from starfish_storage.testing.suites.streaming import StreamingTests
from starfish_storage.testing.suites.transfer_tests import TransferTests


class StorageTests:
    """Every suite of the contract. A subclass gives the fixture ``store``.

    ::

        class TestMyStorage(StorageTests):
            @pytest.fixture
            def store(self, tmp_path):
                return MyStore(tmp_path)  # a `StoreUnderTest`, new and empty

    The suites are classes within this one, so that each has its own fixtures and names.
    """

    class TestProjects(ProjectTests):
        """See `ProjectTests`."""

    class TestMasterJobs(MasterJobTests):
        """See `MasterJobTests`."""

    class TestExecutionJobs(ExecutionJobTests):
        """See `ExecutionJobTests`."""

    class TestResume(ResumeTests):
        """See `ResumeTests`."""

    class TestRecords(RecordTests):
        """See `RecordTests`."""

    class TestCounts(CountTests):
        """See `CountTests`."""

    class TestRecordData(RecordDataTests):
        """See `RecordDataTests`."""

    class TestManyRecordsData(ManyRecordsDataTests):
        """See `ManyRecordsDataTests`."""

    class TestSizes(SizeTests):
        """See `SizeTests`."""

    class TestRequestConfigs(RequestConfigTests):
        """See `RequestConfigTests`."""

    class TestReferences(ReferenceTests):
        """See `ReferenceTests`."""

    class TestAtomicRecords(AtomicRecordTests):
        """See `AtomicRecordTests`."""

    class TestListing(ListingTests):
        """See `ListingTests`."""

    class TestStreaming(StreamingTests):
        """See `StreamingTests`."""

    class TestScanning(ScanningTests):
        """See `ScanningTests`."""

    class TestSearch(SearchTests):
        """See `SearchTests`."""

    class TestDeletion(DeletionTests):
        """See `DeletionTests`."""

    class TestLifeCycle(LifeCycleTests):
        """See `LifeCycleTests`."""

    class TestRelocation(RelocationTests):
        """See `RelocationTests`."""

    class TestConcurrency(ConcurrencyTests):
        """See `ConcurrencyTests`."""

    class TestMixedCalls(MixedCallTests):
        """See `MixedCallTests`."""

    class TestRunInputs(RunInputTests):
        """See `RunInputTests`."""

    class TestRunLists(RunListTests):
        """See `RunListTests`."""

    class TestClaims(ClaimTests):
        """See `ClaimTests`."""

    class TestOutcomes(OutcomeTests):
        """See `OutcomeTests`."""

    class TestSettling(SettlingTests):
        """See `SettlingTests`."""

    class TestVersions(VersionTests):
        """See `VersionTests`."""

    class TestAnnotations(AnnotationTests):
        """See `AnnotationTests`."""

    class TestEdits(EditTests):
        """See `EditTests`."""

    class TestSteps(StepTests):
        """See `StepTests`."""

    class TestRequests(RequestTests):
        """See `RequestTests`."""

    class TestSegments(SegmentTests):
        """See `SegmentTests`."""

    class TestRuns(RunTests):
        """See `RunTests`."""

    class TestProgress(ProgressTests):
        """See `ProgressTests`."""

    class TestActions(ActionTests):
        """See `ActionTests`."""

    class TestLimits(LimitTests):
        """See `LimitTests`."""

    class TestTransfer(TransferTests):
        """See `TransferTests`."""
