"""The storage layer for synthetic-data generation: what was acknowledged is never lost.

A name is imported from where it is defined when it is first asked for: a command that lists runs does not wait for
what carries them out, and `import starfish_storage` for neither.
"""

import importlib
import importlib.util
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from starfish_storage.errors import (
    AlreadyExistsError,
    AttemptOverError,
    ConversationError,
    DataLostError,
    DataNotFoundError,
    DataTooLargeError,
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
    RecordChangedError,
    RequestNotStoredError,
    ResultsSpooledError,
    RunChangedError,
    RunFinishedError,
    RunIncompleteError,
    StepRejectedError,
    StorageBusyError,
    StorageClosedError,
    StorageError,
    StorageFullError,
    StorageIOError,
    StorageStateError,
    StorageUnavailableError,
    StoreDamagedError,
    StoreOpenError,
    StoreReadOnlyError,
    StoreVersionError,
    UnsupportedSystemError,
    UnsupportedVersionError,
    UntrustedCodeError,
)

if os.name != "posix" or importlib.util.find_spec("fcntl") is None:
    raise UnsupportedSystemError(sys.platform)  # before any module fails with a name that says nothing

if TYPE_CHECKING:
    from starfish_storage.data.mounts import NetworkFileSystemWarning, VolatileFileSystemWarning
    from starfish_storage.decorating import recorded
    from starfish_storage.generation import (
        Context,
        Duplicate,
        Filtered,
        cancel,
        generate,
        read_inputs,
        resume,
        retry,
    )
    from starfish_storage.interface import (
        AnnotationStore,
        DataHandler,
        DataWrite,
        MetadataHandler,
        RowLogHandler,
        RunLedger,
        Storage,
    )
    from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record
    from starfish_storage.opening import open_storage
    from starfish_storage.redaction import SecretRedactedWarning
    from starfish_storage.statuses import StatusExecutionJob, StatusMasterJob, StatusRecord
    from starfish_storage.storage.local import LocalStorage
    from starfish_storage.storage.postgres import PostgresStorage

__version__ = "0.1.0"

__all__ = [
    "AlreadyExistsError",
    "AnnotationStore",
    "AttemptOverError",
    "Context",
    "ConversationError",
    "DataHandler",
    "DataLostError",
    "DataNotFoundError",
    "DataTooLargeError",
    "DataWrite",
    "Duplicate",
    "Filtered",
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
    "RecordChangedError",
    "RequestNotStoredError",
    "ResultsSpooledError",
    "RowLogHandler",
    "RunChangedError",
    "RunFinishedError",
    "RunIncompleteError",
    "RunLedger",
    "SecretRedactedWarning",
    "StatusExecutionJob",
    "StatusMasterJob",
    "StatusRecord",
    "StepRejectedError",
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
    "StoreReadOnlyError",
    "StoreVersionError",
    "UnsupportedSystemError",
    "UnsupportedVersionError",
    "UntrustedCodeError",
    "VolatileFileSystemWarning",
    "cancel",
    "generate",
    "open_storage",
    "read_inputs",
    "recorded",
    "resume",
    "retry",
]

# `from starfish_storage import *` imports what `__all__` names, and must not fail where the driver is not installed.
# Who asks for the class by its name is told which extra is missing.
if importlib.util.find_spec("asyncpg") is None and not TYPE_CHECKING:
    __all__.remove("PostgresStorage")  # noqa: PYI056 (type checkers are not to see it: they know every name)

# A library is silent unless the program that uses it configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "starfish_storage.data.mounts": ["NetworkFileSystemWarning", "VolatileFileSystemWarning"],
    "starfish_storage.decorating": ["recorded"],
    "starfish_storage.generation": [
        *("Context", "Duplicate", "Filtered", "cancel", "generate", "read_inputs", "resume", "retry"),
    ],
    "starfish_storage.interface": [
        *("AnnotationStore", "DataHandler", "DataWrite", "MetadataHandler", "RowLogHandler", "RunLedger", "Storage"),
    ],
    "starfish_storage.models": ["GenerationJob", "GenerationMasterJob", "Project", "Record"],
    "starfish_storage.opening": ["open_storage"],
    "starfish_storage.redaction": ["SecretRedactedWarning"],
    "starfish_storage.statuses": ["StatusExecutionJob", "StatusMasterJob", "StatusRecord"],
    "starfish_storage.storage.local": ["LocalStorage"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = (
    *("copying", "decorating", "export", "generation", "http", "imports", "interface", "maintenance", "models"),
    *("opening", "publishing", "runs", "sync"),
)


def _found(name: str) -> Any:
    """Import what is asked for: a name from its home, or a module that people use by name."""
    if name in _HOME_OF:
        found = getattr(importlib.import_module(_HOME_OF[name]), name)
    elif name in _ROOMS:
        found = importlib.import_module(f"{__name__}.{name}")
    elif name == "PostgresStorage":
        found = importlib.import_module("starfish_storage.opening").postgres_storage()  # says which extra is missing
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found  # the next time nobody asks
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS, "PostgresStorage"})


if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = _found
