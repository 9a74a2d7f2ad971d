"""The whole error family: one root, one stable ``code`` per class, ids as attributes.

Every error that reaches a caller descends from `StorageError`. The message names the id, the reason
and the remedy; the driver's own exception, where there was one, is kept as ``__cause__``.

Messages never quote record content or configuration values: data may hold secrets.
"""

from __future__ import annotations

import errno
from typing import Any, ClassVar

from starfish_storage.wording import SEE_DAMAGE, outcome, shorten, without_secrets

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The system's error numbers that a `StorageFullError` stands for."""


class StorageError(Exception):
    """Root of the family: catch this to catch everything the library raises on purpose.

    Attributes:
        code: a stable, machine-readable name of the kind of error; it never changes between releases.
    """

    code: ClassVar[str] = "storage_error"

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors cross process borders whole, though their constructors take more than the message."""
        attributes = dict(vars(self))
        if isinstance(self, OSError):
            attributes["errno"] = self.errno  # lives in OSError itself, not among the instance's attributes
        return _restore_error, (type(self), str(self), attributes)


def _restore_error(kind: type[StorageError], message: str, attributes: dict[str, Any]) -> StorageError:
    # Named outright: of a class with two built-in bases, `kind.__new__` is that of the first, which refuses it.
    error = (OSError if issubclass(kind, OSError) else Exception).__new__(kind, message)
    error.args = (message,)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


class InvalidInputError(StorageError, ValueError):
    """An argument cannot be accepted; nothing was written."""

    code: ClassVar[str] = "invalid_input"


class InvalidIdError(InvalidInputError):
    """An id cannot be used: empty, too long, or unsafe as a file name on some system.

    Attributes:
        kind: what the id names, such as ``"record_uid"``.
        value: the id as it was given.
    """

    code: ClassVar[str] = "invalid_id"

    def __init__(self, kind: str, value: object, reason: str) -> None:
        super().__init__(
            f"{kind} {shorten(value)} cannot be used: {reason}. Use letters, digits, '-', '_' and '.', such as a UUID."
        )
        self.kind = kind
        self.value = value


class IdCollisionError(InvalidIdError):
    """The id differs only in case from one already stored, which many file systems cannot tell apart."""

    code: ClassVar[str] = "id_collision"


class InvalidReferenceError(InvalidInputError):
    """A reference (``output_ref`` or a configuration's) does not lie inside the store.

    Attributes:
        reference: the reference as it was given.
    """

    code: ClassVar[str] = "invalid_reference"

    def __init__(self, reference: object, reason: str) -> None:
        super().__init__(
            f"reference {shorten(reference)} refused: {reason}. "
            "Use a reference that this store returned, or a key relative to its root."
        )
        self.reference = reference


class InvalidDataError(InvalidInputError):
    """The data is not JSON, or would not read back as it was given.

    Attributes:
        what: what was to be saved, such as ``"data of record 'r1'"``.
        path: where in the data the trouble lies, such as ``"$.answer.score"``.
    """

    code: ClassVar[str] = "invalid_data"

    def __init__(self, what: str, path: str, reason: str) -> None:
        super().__init__(f"{what} cannot be stored as JSON: at {shorten(path)}, {reason}.")
        self.what = what
        self.path = path


class InvalidStatusError(InvalidInputError):
    """A status, or one of a status filter, is not one the model knows.

    Attributes:
        value: the status as it was given.
    """

    code: ClassVar[str] = "invalid_status"

    def __init__(self, kind: str, value: object, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown {kind} {shorten(value)}: use one of {', '.join(known)}.")
        self.value = value


class InvalidUriError(InvalidInputError):
    """A storage URI cannot be used.

    Attributes:
        uri: the URI as it was given.
    """

    code: ClassVar[str] = "invalid_uri"

    def __init__(self, uri: object, reason: str) -> None:
        super().__init__(f"storage URI {shorten(without_secrets(uri))} cannot be used: {reason}.")
        self.uri = uri


class NotFoundError(StorageError, LookupError):
    """What an update, an end or a deletion refers to does not exist.

    Attributes:
        kind: what was looked for, such as ``"master job"``.
        id: its id or reference.
    """

    code: ClassVar[str] = "not_found"

    def __init__(self, kind: str, id: str, remedy: str) -> None:
        super().__init__(f"{kind} {shorten(id)} does not exist in this store: {remedy}.")
        self.kind = kind
        self.id = id


class DataNotFoundError(NotFoundError, FileNotFoundError):
    """The data behind a reference is not there; also a `FileNotFoundError`, as in the published API."""

    code: ClassVar[str] = "data_not_found"


class ParentNotFoundError(NotFoundError):
    """What is to be saved belongs to a project, master job or execution job that does not exist."""

    code: ClassVar[str] = "parent_not_found"


class AlreadyExistsError(StorageError):
    """The id is taken by something that must not be replaced.

    Attributes:
        kind: what exists already, such as ``"master job"``.
        id: its id.
    """

    code: ClassVar[str] = "already_exists"

    def __init__(self, kind: str, id: str, remedy: str) -> None:
        super().__init__(f"{kind} {shorten(id)} exists already: {remedy}.")
        self.kind = kind
        self.id = id


class NotEmptyError(StorageError):
    """A deletion was refused because other things still belong to what was to be deleted.

    Attributes:
        id: the id of what was not deleted.
    """

    code: ClassVar[str] = "not_empty"

    def __init__(self, id: str, reason: str) -> None:
        super().__init__(f"project {shorten(id)} was not deleted: {reason}.")
        self.id = id


class RunFinishedError(StorageError):
    """The run has finished: there is nothing left to go on with.

    Attributes:
        id: the run.
        status: how it ended.
    """

    code: ClassVar[str] = "run_finished"

    def __init__(self, id: str, status: str) -> None:
        super().__init__(
            f"run {shorten(id)} has finished as {status!r}, and nothing is left to do; to run its failed inputs again, "
            "use retry, and for new inputs start a new run."
        )
        self.id = id
        self.status = status


class RunIncompleteError(StorageError):
    """The run ended before all of its inputs were stored: they have to be given again.

    Attributes:
        id: the run.
        stored: how many of them are stored.
    """

    code: ClassVar[str] = "run_incomplete"

    def __init__(self, id: str, stored: int) -> None:
        super().__init__(
            f"run {shorten(id)} ended when {stored} of its inputs were stored, and there may be more: give them again, "
            "resume(..., inputs=...), or say inputs=[] if there are none."
        )
        self.id = id
        self.stored = stored


class StorageStateError(StorageError, RuntimeError):
    """The storage object cannot be used now, in this process or from this thread."""

    code: ClassVar[str] = "storage_state"


class NotSetUpError(StorageStateError):
    """A method was called before ``setup()``."""

    code: ClassVar[str] = "not_set_up"


class StorageClosedError(StorageStateError):
    """A method was called after ``close()``, or the store closed before the call could run."""

    code: ClassVar[str] = "storage_closed"


class ForkedProcessError(StorageStateError):
    """The storage object was inherited through ``fork``; connections and locks do not survive that."""

    code: ClassVar[str] = "forked_process"


class StoreOpenError(StorageError):
    """The store cannot be opened.

    Attributes:
        path: the file or directory that stands in the way.
        errno: the system's error number, where the system is the reason.
    """

    code: ClassVar[str] = "store_open"

    def __init__(self, path: str, reason: str, errno: int | None = None) -> None:
        number = f" (errno {errno})" if errno else ""
        super().__init__(f"store at {path!r} cannot be opened: {reason}{number}.")
        self.path = path
        self.errno = errno


class StoreVersionError(StoreOpenError):
    """The store is of another version than can be used here; it was left untouched."""

    code: ClassVar[str] = "store_version"


class ForeignStoreError(StoreOpenError):
    """The database at this place is not a store of this library; it was left untouched."""

    code: ClassVar[str] = "foreign_store"


class StoreDamagedError(StorageError):
    """Something in the store is damaged: a data file that is not JSON, a database that is malformed.

    Attributes:
        path: the damaged file.
    """

    code: ClassVar[str] = "store_damaged"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} is damaged: {reason}.")
        self.path = path


class DataLostError(DataNotFoundError):
    """A record refers to data that is not there: it was lost, not deleted.

    Attributes:
        path: the file that is missing.
    """

    code: ClassVar[str] = "data_lost"

    def __init__(self, path: str) -> None:
        super().__init__("data", path, f"a record refers to it, so its file is lost; {SEE_DAMAGE}")
        self.path = path


class MissingExtraError(StorageError):
    """A library is not installed that only this needs.

    Attributes:
        module: the library.
        extra: the extra of this package that installs it.
    """

    code: ClassVar[str] = "missing_extra"

    def __init__(self, what: str, module: str, extra: str) -> None:
        super().__init__(f"{what} need {module}, which is not installed: pip install 'starfish-storage[{extra}]'.")
        self.module = module
        self.extra = extra


class NotExportableError(StorageError):
    """A record cannot be written in the form that was asked for.

    Attributes:
        record_uid: which one.
        form: the name of the form.
    """

    code: ClassVar[str] = "not_exportable"

    def __init__(self, record_uid: str, form: str, reason: str) -> None:
        super().__init__(
            f"record {shorten(record_uid)} cannot be exported as {form}: {reason}. "
            "Or leave such records out: skip_damaged=True, or --skip-damaged."
        )
        self.record_uid = record_uid
        self.form = form


class StorageIOError(StorageError, OSError):
    """The operating system failed a read or a write; what was stored before is unchanged, unless `unsettled`.

    Attributes:
        path: the file concerned.
        errno: the system's error number, or None where it gave none.
        reason: why, in words.
        unsettled: the change could not be taken back either: it is there, or not, when the store is opened again.
    """

    code: ClassVar[str] = "storage_io"

    def __init__(self, path: str, errno: int | None, reason: str, *, unsettled: bool = False) -> None:
        number = f" (errno {errno})" if errno else ""
        super().__init__(f"{path!r}: {reason}{number}. {outcome(unsettled=unsettled)}.")
        self.path = path
        self.errno = errno
        self.reason = reason
        self.unsettled = unsettled


class StorageFullError(StorageIOError):
    """No space (or quota) was left for a write; what was stored before is unchanged."""

    code: ClassVar[str] = "storage_full"


class StorageUnavailableError(StorageError, TimeoutError):
    """The place of the data, or of the rows, could not be reached, however often it was tried.

    What was stored before is unchanged; if a write was on its way when the connection broke, it is taken back.

    Attributes:
        place: where that is, such as ``"s3://bucket/prefix"``.
        seconds: for how long it was tried.
    """

    code: ClassVar[str] = "storage_unavailable"

    def __init__(self, place: str, seconds: float, reason: str) -> None:
        how_long = f"could not be reached for {seconds:.0f} s" if seconds else "cannot be reached now"
        super().__init__(
            f"{shorten(place)} {how_long}: {reason}. See that it works and can be reached from here, then call again."
        )
        self.place = place
        self.seconds = seconds


class StorageBusyError(StorageError, TimeoutError):
    """Another process held the store's write lock for longer than the stated limit; nothing was written."""

    code: ClassVar[str] = "storage_busy"
