"""The storage layer for synthetic-data generation: what was acknowledged is never lost."""

from typing import TYPE_CHECKING, Any

from starfish_storage.data.mounts import NetworkFileSystemWarning
from starfish_storage.errors import (
    AlreadyExistsError,
    DataLostError,
    DataNotFoundError,
    ForeignStoreError,
    ForkedProcessError,
    IdCollisionError,
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidReferenceError,
    InvalidStatusError,
    InvalidUriError,
    MissingExtraError,
    NotEmptyError,
    NotExportableError,
    NotFoundError,
    NotSetUpError,
    ParentNotFoundError,
    RunFinishedError,
    RunIncompleteError,
    StorageBusyError,
    StorageClosedError,
    StorageError,
    StorageFullError,
    StorageIOError,
    StorageStateError,
    StorageUnavailableError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.interface import DataHandler, DataWrite, MetadataHandler, RowLogHandler, RunLedger, Storage
from starfish_storage.models import (
    GenerationJob,
    GenerationMasterJob,
    Project,
    Record,
    StatusExecutionJob,
    StatusMasterJob,
    StatusRecord,
)
from starfish_storage.opening import open_storage, postgres_storage
from starfish_storage.redaction import SecretRedactedWarning
from starfish_storage.storage.local import LocalStorage

if TYPE_CHECKING:
    from starfish_storage.storage.postgres import PostgresStorage

__version__ = "0.1.0"

__all__ = [
    "AlreadyExistsError",
    "DataHandler",
    "DataLostError",
    "DataNotFoundError",
    "DataWrite",
    "ForeignStoreError",
    "ForkedProcessError",
    "GenerationJob",
    "GenerationMasterJob",
    "IdCollisionError",
    "InvalidDataError",
    "InvalidIdError",
    "InvalidInputError",
    "InvalidReferenceError",
    "InvalidStatusError",
    "InvalidUriError",
    "LocalStorage",
    "MetadataHandler",
    "MissingExtraError",
    "NetworkFileSystemWarning",
    "NotEmptyError",
    "NotExportableError",
    "NotFoundError",
    "NotSetUpError",
    "ParentNotFoundError",
    "PostgresStorage",
    "Project",
    "Record",
    "RowLogHandler",
    "RunFinishedError",
    "RunIncompleteError",
    "RunLedger",
    "SecretRedactedWarning",
    "StatusExecutionJob",
    "StatusMasterJob",
    "StatusRecord",
    "Storage",
    "StorageBusyError",
    "StorageClosedError",
    "StorageError",
    "StorageFullError",
    "StorageIOError",
    "StorageStateError",
    "StorageUnavailableError",
    "StoreDamagedError",
    "StoreOpenError",
    "StoreVersionError",
    "open_storage",
]


def __getattr__(name: str) -> Any:
    """Import what stands on an extra when it is asked for."""
    if name == "PostgresStorage":
        return postgres_storage()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
