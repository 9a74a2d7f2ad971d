"""What a caller can put right: arguments, ids that exist or do not, and the order of calls."""

from __future__ import annotations

from typing import ClassVar

from starfish_storage.errors.root import StorageError
from starfish_storage.wording import shorten, without_secrets


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
