"""The error family: one root, one stable ``code`` per class, ids as attributes.

Every error that reaches a caller descends from `StorageError`. The message names the id, the reason
and the remedy; the driver's own exception, where there was one, is kept as ``__cause__``.

Messages never quote record content or configuration values: data may hold secrets. The one exception is
`RunChangedError`, which shows how configurations differ: in short, and not below keys that name secrets.
"""

from __future__ import annotations

import errno

from starfish_storage.errors.calls import (
    AlreadyExistsError,
    AttemptOverError,
    ConversationError,
    DataNotFoundError,
    ForkedProcessError,
    IdCollisionError,
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidReferenceError,
    InvalidStatusError,
    InvalidUriError,
    NotEmptyError,
    NotFoundError,
    NotSetUpError,
    ParentNotFoundError,
    RecordChangedError,
    RequestNotStoredError,
    RunChangedError,
    RunFinishedError,
    RunIncompleteError,
    StepRejectedError,
    StorageClosedError,
    StorageStateError,
)
from starfish_storage.errors.installing import install_command
from starfish_storage.errors.root import StorageError
from starfish_storage.errors.stores import (
    DataLostError,
    DataTooLargeError,
    ForeignStoreError,
    MissingExtraError,
    NotExportableError,
    ResultsSpooledError,
    StorageBusyError,
    StorageFullError,
    StorageIOError,
    StorageUnavailableError,
    StoreDamagedError,
    StoreOpenError,
    StoreReadOnlyError,
    StoreVersionError,
    UnsupportedSystemError,
    UnsupportedVersionError,
    UntrustedCodeError,
)
from starfish_storage.wording import SEE_DAMAGE, shorten

__all__ = [
    "NO_SPACE",
    "SEE_DAMAGE",
    "AlreadyExistsError",
    "AttemptOverError",
    "ConversationError",
    "DataLostError",
    "DataNotFoundError",
    "DataTooLargeError",
    "ForeignStoreError",
    "ForkedProcessError",
    "IdCollisionError",
    "InvalidDataError",
    "InvalidIdError",
    "InvalidInputError",
    "InvalidReferenceError",
    "InvalidStatusError",
    "InvalidUriError",
    "MissingExtraError",
    "NotEmptyError",
    "NotExportableError",
    "NotFoundError",
    "NotSetUpError",
    "ParentNotFoundError",
    "RecordChangedError",
    "RequestNotStoredError",
    "ResultsSpooledError",
    "RunChangedError",
    "RunFinishedError",
    "RunIncompleteError",
    "StepRejectedError",
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
    "install_command",
    "shorten",
]

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The system's error numbers that a `StorageFullError` stands for."""


def _name_publicly() -> None:
    """Let tracebacks and pickles name the module that people import from."""
    for one in list(globals().values()):
        if isinstance(one, type):
            one.__module__ = __name__


_name_publicly()
