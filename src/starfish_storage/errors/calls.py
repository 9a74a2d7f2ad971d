"""What a caller can put right: arguments, ids that exist or do not, and the order of calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from starfish_storage.errors.root import StorageError
from starfish_storage.wording import shorten, without_secrets


class InvalidInputError(StorageError, ValueError):
    """An argument was refused; nothing was written."""

    code: ClassVar[str] = "invalid_input"


class InvalidIdError(InvalidInputError):
    """An id was refused: it is empty, too long, or unsafe as a file name on some system.

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
    """The id differs only in case from a stored one; many file systems cannot tell the two apart."""

    code: ClassVar[str] = "id_collision"


class InvalidReferenceError(InvalidInputError):
    """A reference to data or to a configuration points outside the store.

    Attributes:
        reference: the reference as it was given.
    """

    code: ClassVar[str] = "invalid_reference"

    def __init__(self, reference: object, reason: str) -> None:
        super().__init__(
            f"reference {shorten(reference)} cannot be used: {reason}. "
            "Use a reference that this store returned, or a key relative to its root."
        )
        self.reference = reference


class InvalidDataError(InvalidInputError):
    """The data is not JSON, or would not read back equal.

    Attributes:
        what: what was to be saved, such as ``"data of record 'r1'"``.
        path: where in the data the fault is, such as ``"$.answer.score"``.
    """

    code: ClassVar[str] = "invalid_data"

    def __init__(self, what: str, path: str, reason: str) -> None:
        super().__init__(f"{what} cannot be stored as JSON: at {shorten(path)}, {reason}.")
        self.what = what
        self.path = path


class ConversationError(InvalidInputError):
    """A value is not a conversation, or the shape asked for cannot hold it.

    Attributes:
        path: where the fault is, such as ``"messages[3].tool_calls[0]"``.
        reason: what is wrong, and what to do.
    """

    code: ClassVar[str] = "invalid_conversation"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason.rstrip('.')}.")
        self.path = path
        self.reason = reason


class InvalidStatusError(InvalidInputError):
    """The status is not one that the model knows.

    Attributes:
        value: the status as it was given.
    """

    code: ClassVar[str] = "invalid_status"

    def __init__(self, kind: str, value: object, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown {kind} {shorten(value)}: use one of {', '.join(known)}.")
        self.value = value


class InvalidUriError(InvalidInputError):
    """A storage URI was refused.

    Attributes:
        uri: the URI as it was given.
    """

    code: ClassVar[str] = "invalid_uri"

    def __init__(self, uri: object, reason: str) -> None:
        super().__init__(f"storage URI {shorten(without_secrets(uri))} cannot be used: {reason}.")
        self.uri = uri


class NotFoundError(StorageError, LookupError):
    """The thing to update, end or delete does not exist.

    Attributes:
        kind: what is missing, such as ``"master job"``.
        id: its id or reference.
    """

    code: ClassVar[str] = "not_found"

    def __init__(self, kind: str, id: str, remedy: str) -> None:
        super().__init__(f"{kind} {shorten(id)} does not exist in this store: {remedy}.")
        self.kind = kind
        self.id = id


class DataNotFoundError(NotFoundError, FileNotFoundError):
    """There is no data behind the reference; also a `FileNotFoundError`, as in the published API."""

    code: ClassVar[str] = "data_not_found"


class ParentNotFoundError(NotFoundError):
    """The project, master job or execution job that the new thing belongs to does not exist."""

    code: ClassVar[str] = "parent_not_found"


class AlreadyExistsError(StorageError):
    """The id is taken, and its owner must not be replaced.

    Attributes:
        kind: what already exists, such as ``"master job"``.
        id: its id.
    """

    code: ClassVar[str] = "already_exists"

    def __init__(self, kind: str, id: str, remedy: str) -> None:
        super().__init__(f"{kind} {shorten(id)} already exists: {remedy}.")
        self.kind = kind
        self.id = id


class NotEmptyError(StorageError):
    """The project still has master jobs, so it was not deleted.

    Attributes:
        id: the id of what was not deleted.
    """

    code: ClassVar[str] = "not_empty"

    def __init__(self, id: str, reason: str) -> None:
        super().__init__(f"project {shorten(id)} was not deleted: {reason}.")
        self.id = id


class RunFinishedError(StorageError):
    """The run has finished, so there is nothing to resume.

    Attributes:
        id: the id of the run.
        status: how it ended.
    """

    code: ClassVar[str] = "run_finished"

    def __init__(self, id: str, status: str) -> None:
        super().__init__(
            f"run {shorten(id)} has already finished as {status!r}. To run its failed inputs again, use retry; "
            "for more inputs, call generate with its id and the longer list."
        )
        self.id = id
        self.status = status


class RunIncompleteError(StorageError):
    """Not all inputs of the run are stored, so resuming it needs them again.

    Attributes:
        id: the id of the run.
        stored: how many of its inputs are stored.
    """

    code: ClassVar[str] = "run_incomplete"

    def __init__(self, id: str, stored: int) -> None:
        super().__init__(
            f"{stored} inputs of run {shorten(id)} are stored, and there may be more: it stopped before its inputs "
            "ended, or another process is still reading them; then wait for that. Give the inputs again with "
            "resume(..., inputs=...) (--inputs FILE), or pass inputs=[] (an empty file) if there are no more."
        )
        self.id = id
        self.stored = stored


class RunChangedError(InvalidInputError):
    """A run was called again with another configuration, with other inputs, or, if that matters, with other code.

    Attributes:
        id: the id of the run.
        changed: what has changed: ``"configuration"``, ``"inputs"``, ``"configuration and inputs"`` or ``"code"``.
        differences: what differs, one line each.
    """

    code: ClassVar[str] = "run_changed"

    def __init__(self, id: str, changed: str, differences: Sequence[str]) -> None:
        self.id = id
        self.changed = changed
        self.differences = tuple(differences)
        shown = [*differences[:_MOST_DIFFERENCES]]
        if len(differences) > len(shown):
            shown.append(f"and {len(differences) - len(shown):,} more")
        ways = "; ".join(f"{option} {what}" for option, what in self.ways())
        super().__init__(
            f"run {shorten(id)} has changed, in its {changed}: {'; '.join(shown)}. Nothing was written. The ways on: "
            f"{ways}."
        )

    def ways(self) -> Sequence[tuple[str, str]]:
        """Return the ways on: each an argument, and what it does."""
        return _WAYS_ON[self.changed]


_MOST_DIFFERENCES = 20
_FORK = ('on_change="fork"', "makes a new run, which takes over what is done for the same input and configuration")
_WAYS_ON = {
    "configuration": (
        ('on_change="continue"', "does what is not done yet with the new configuration, and keeps the rest"),
        _FORK,
    ),
    "inputs": (
        ('on_change="continue"', "keeps all inputs, and does the new ones too"),
        _FORK,
        ('on_change="match"', "keeps what is done for equal inputs, does new ones, and cancels those that are gone"),
    ),
    "configuration and inputs": (
        ('on_change="continue"', "keeps what is done, and does the rest and new inputs with the new configuration"),
        _FORK,
    ),
    "code": (
        ("strict_code=False", "goes on with the new code, and warns"),
        ("another id", "makes a new run"),
    ),
}


class RecordChangedError(StorageError):
    """Somebody else has changed the record that was to be edited; nothing was written.

    Attributes:
        id: the record.
    """

    code: ClassVar[str] = "record_changed"

    def __init__(self, id: str, reason: str) -> None:
        super().__init__(
            f"record {shorten(id)} was left as it is: {reason}. Read it again, and edit what it has now; "
            "its versions have what it had."
        )
        self.id = id


class StepRejectedError(StorageError):
    """The check of a paid step refused every reply to it. All of them are stored.

    Attributes:
        id: the execution job of the input.
        name: the name of the step.
        replies: how many replies were asked for.
    """

    code: ClassVar[str] = "step_rejected"

    def __init__(self, id: str, name: str, replies: int, reason: str | None) -> None:
        last = f", the last one with: {shorten(reason)}" if reason else ""
        super().__init__(
            f"the check of step {shorten(name)} refused all {replies} replies to it{last}. They are stored: look at "
            f"them with 'starfish-storage show {id}'. Correct the check or the question, then retry."
        )
        self.id = id
        self.name = name
        self.replies = replies


class AttemptOverError(StorageError):
    """A step was called for after its attempt had ended, for example by its timeout; nothing was paid.

    Attributes:
        id: the execution job of the input.
        attempt: the number of the attempt.
    """

    code: ClassVar[str] = "attempt_over"

    def __init__(self, id: str, attempt: int) -> None:
        super().__init__(
            f"attempt {attempt} at input {shorten(id)} has ended, so nothing more is paid for it. Await every step "
            "before the function returns, or give the attempt more time with timeout=."
        )
        self.id = id
        self.attempt = attempt


class RequestNotStoredError(StorageError):
    """With ``replay="only"``, the answer to a recorded request, or to a step, is not stored; nothing was sent.

    Attributes:
        id: the key of the request; empty for a step of ``context.once``.
        name: its method, host and path, or the name of the step.
        nearest: the execution job of the input whose stored request is most like it; None if none is like it.
        differences: what differs from that one.
    """

    code: ClassVar[str] = "request_not_stored"

    def __init__(self, id: str, name: str, nearest: str | None = None, differences: Sequence[str] = ()) -> None:
        what = f"the answer to request {id[:12]} to {shorten(name)}" if id else f"a reply to step {shorten(name)}"
        like = " No request like it is stored." if id else ""
        if nearest is not None:
            told = (
                "; ".join(differences) or "nothing, but its answer was rejected, is used up, or not where reuse= looks"
            )
            like = f" The nearest stored request, of input {shorten(nearest)}, differs in: {told}."
        super().__init__(
            f"{what} is not stored, and replay='only' sends nothing.{like} Run it with replay='off' to ask for it"
            + (", or let reuse= look in the project or the store." if id else ".")
        )
        self.id = id
        self.name = name
        self.nearest = nearest
        self.differences = tuple(differences)


class StorageStateError(StorageError, RuntimeError):
    """The storage object cannot be used now, in this process or from this thread."""

    code: ClassVar[str] = "storage_state"


class NotSetUpError(StorageStateError):
    """A method was called before ``setup()``."""

    code: ClassVar[str] = "not_set_up"


class StorageClosedError(StorageStateError):
    """A method was called after ``close()``, or the storage closed before the call could run."""

    code: ClassVar[str] = "storage_closed"


class ForkedProcessError(StorageStateError):
    """The storage object was opened before this process forked; connections and locks do not survive that."""

    code: ClassVar[str] = "forked_process"
