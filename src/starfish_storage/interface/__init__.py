"""The written contracts: what a storage and the handlers that it is made of promise.

Rules that hold for every method, so that each docstring need only say what is its own:

- **Durability.** A method whose docstring says *Durable* returns only when its effect survives what the
  storage's ``durability`` promises: ``"power"`` a kill -9 and a power cut, ``"process"`` a kill -9.
- **All or nothing.** A method that raises has changed nothing. One that is cancelled has either taken effect
  whole or not at all; it never leaves a lock behind.
- **Errors** are of the `StorageError` family. Besides those named, any method may raise `NotSetUpError`,
  `StorageClosedError`, `ForkedProcessError`, `StorageIOError`, `StorageUnavailableError`, `StoreDamagedError`, and
  `InvalidInputError` for an argument of the wrong type; a writing one also `StorageBusyError` and `StorageFullError`.
  A method that raises only these says *Raises nothing of its own*.
- **Effect.** A method whose docstring begins with *Return*, *Yield*, *Stream* or *Raise* changes nothing. Every other
  one says whether it is *Idempotent* (a second call with the same arguments changes nothing more) and *Durable*.
- **Times** are aware and in UTC on the way out; a naive one is read as UTC on the way in.
- **Lists** are totally ordered. ``limit=None`` means all; ``offset`` without ``limit`` returns all the rest.
  A negative or non-integer value raises `InvalidInputError`; an unknown status in a filter
  `InvalidStatusError`. A ``status_filter`` of None or ``[]`` means any status.
- **Threads and loops.** One object may be used from several event loops and threads at a time.
"""

from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.annotations import AnnotationStore
from starfish_storage.interface.change_feed import ChangedRecords, ChangeFeed, CurrentRecord, RunSize
from starfish_storage.interface.data import AskedLayout, CommittedSizes, DataHandler, DataWrite, Layout
from starfish_storage.interface.ledger import RunLedger
from starfish_storage.interface.marks import PlaceMarks
from starfish_storage.interface.metadata import MetadataHandler
from starfish_storage.interface.progress import ListedRun
from starfish_storage.interface.row_log import RowLogHandler
from starfish_storage.interface.rows import (
    AttemptRow,
    DataLocation,
    ExecutionJobRow,
    MasterJobRow,
    ProjectRow,
    RecordRow,
    RunRow,
    SegmentRow,
    StepRow,
    WholeExecutionJobRow,
    WholeRecordRow,
)
from starfish_storage.interface.scanning import DataPlace, ScannedLines, ScannedRecord
from starfish_storage.interface.search import SearchHit, SearchPage, SearchPlace, SearchState
from starfish_storage.interface.sizes import StoreSize
from starfish_storage.interface.storage import Storage
from starfish_storage.interface.transfer import RowTransfer, StoreTransfer
from starfish_storage.interface.version_rows import RecordVersionRow, StandingOutcomeRow, WholeVersionRow
from starfish_storage.keys import PackPlace

__all__ = [
    "AnnotationRow",
    "AnnotationStore",
    "AskedLayout",
    "AttemptRow",
    "ChangeFeed",
    "ChangedRecords",
    "CommittedSizes",
    "CurrentRecord",
    "DataHandler",
    "DataLocation",
    "DataPlace",
    "DataWrite",
    "ExecutionJobRow",
    "Layout",
    "ListedRun",
    "MasterJobRow",
    "MetadataHandler",
    "PackPlace",
    "PlaceMarks",
    "ProjectRow",
    "RecordRow",
    "RecordVersionRow",
    "RowLogHandler",
    "RowTransfer",
    "RunLedger",
    "RunRow",
    "RunSize",
    "ScannedLines",
    "ScannedRecord",
    "SearchHit",
    "SearchPage",
    "SearchPlace",
    "SearchState",
    "SegmentRow",
    "StandingOutcomeRow",
    "StepRow",
    "Storage",
    "StoreSize",
    "StoreTransfer",
    "WholeExecutionJobRow",
    "WholeRecordRow",
    "WholeVersionRow",
]
