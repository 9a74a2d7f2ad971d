"""The error family: its codes never change, and errors cross process borders whole."""

import copy
import errno
import inspect
import pickle

import pytest

import starfish_storage
from starfish_storage import errors
from starfish_storage.errors import StorageError, shorten
from unit.every_error import EXAMPLES

# Frozen: a code is part of the API. Add to this table; change nothing in it.
CODES = {
    "StorageError": "storage_error",
    "RecordChangedError": "record_changed",
    "InvalidInputError": "invalid_input",
    "InvalidIdError": "invalid_id",
    "IdCollisionError": "id_collision",
    "InvalidReferenceError": "invalid_reference",
    "InvalidDataError": "invalid_data",
    "ConversationError": "invalid_conversation",
    "InvalidStatusError": "invalid_status",
    "InvalidUriError": "invalid_uri",
    "NotFoundError": "not_found",
    "DataLostError": "data_lost",
    "DataNotFoundError": "data_not_found",
    "DataTooLargeError": "data_too_large",
    "ParentNotFoundError": "parent_not_found",
    "AlreadyExistsError": "already_exists",
    "NotEmptyError": "not_empty",
    "RunChangedError": "run_changed",
    "RunFinishedError": "run_finished",
    "RunIncompleteError": "run_incomplete",
    "StepRejectedError": "step_rejected",
    "AttemptOverError": "attempt_over",
    "RequestNotStoredError": "request_not_stored",
    "StorageStateError": "storage_state",
    "NotSetUpError": "not_set_up",
    "StorageClosedError": "storage_closed",
    "ForkedProcessError": "forked_process",
    "StoreOpenError": "store_open",
    "StoreVersionError": "store_version",
    "ForeignStoreError": "foreign_store",
    "StoreReadOnlyError": "store_read_only",
    "StoreDamagedError": "store_damaged",
    "MissingExtraError": "missing_extra",
    "UnsupportedSystemError": "unsupported_system",
    "UnsupportedVersionError": "unsupported_version",
    "UntrustedCodeError": "untrusted_code",
    "NotExportableError": "not_exportable",
    "StorageIOError": "storage_io",
    "StorageFullError": "storage_full",
    "ResultsSpooledError": "results_spooled",
    "StorageBusyError": "storage_busy",
    "StorageUnavailableError": "storage_unavailable",
}

every_example = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def family() -> dict[str, type[StorageError]]:
    return {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, StorageError)}


def test_every_class_has_its_code() -> None:
    assert {name: kind.code for name, kind in family().items()} == CODES
    assert all("code" in vars(kind) for kind in family().values()), "a code that is inherited is not its own"
    assert len(set(CODES.values())) == len(CODES)


def test_every_error_defined_is_one_of_the_family_and_exported() -> None:
    defined = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert {kind.__name__ for kind in defined} == set(CODES)
    assert set(CODES) <= set(starfish_storage.__all__)
    assert all(getattr(starfish_storage, name) is kind for name, kind in family().items())
    assert {type(example).__name__ for example in EXAMPLES} == set(CODES)
    assert all(kind.__doc__ for kind in defined)


@every_example
def test_errors_survive_pickling(error: StorageError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert_equal(again, error)
    assert_equal(copy.copy(error), error)


def assert_equal(again: BaseException, error: StorageError) -> None:
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert repr(again) == repr(error)
    assert vars(again) == vars(error)
    assert again.args == error.args
    if isinstance(error, OSError):
        assert isinstance(again, OSError)
        assert again.errno == error.errno


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("InvalidInputError", ValueError),
        ("InvalidIdError", ValueError),
        ("NotFoundError", LookupError),
        ("DataNotFoundError", FileNotFoundError),
        ("StorageStateError", RuntimeError),
        ("StorageIOError", OSError),
        ("StorageFullError", OSError),
        ("StorageBusyError", TimeoutError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind: str, builtin: type[BaseException]) -> None:
    assert issubclass(family()[kind], builtin)


def test_attributes_name_what_it_is_about() -> None:
    by_name = {type(example).__name__: vars(example) for example in EXAMPLES}
    assert by_name["InvalidIdError"] == {"kind": "record_uid", "value": "../x"}
    assert by_name["InvalidReferenceError"] == {"reference": "/etc/passwd"}
    assert by_name["InvalidDataError"] == {"what": "data of record 'r1'", "path": "$.scores[1]"}
    place, reason = "messages[3].tool_calls[0]", "the call names no function"
    assert by_name["ConversationError"] == {"path": place, "reason": reason}
    assert by_name["InvalidStatusError"] == {"value": "complete"}
    assert by_name["InvalidUriError"] == {"uri": "http://example.com/store"}
    assert by_name["ParentNotFoundError"] == {"kind": "project", "id": "p1"}
    assert by_name["AlreadyExistsError"] == {"kind": "master job", "id": "run-1"}
    assert by_name["NotEmptyError"] == {"id": "p1"}
    assert by_name["RunFinishedError"] == {"id": "run-1", "status": "completed"}
    changed = {"changed": "inputs", "differences": ("input 2 is not the same: 'question' differs",)}
    assert by_name["RunChangedError"] == {"id": "run-1", **changed}
    assert by_name["RunIncompleteError"] == {"id": "run-1", "stored": 500}
    assert by_name["StepRejectedError"] == {"id": "ab12", "name": "judge", "replies": 3}
    assert by_name["AttemptOverError"] == {"id": "ab12", "attempt": 1}
    assert by_name["StoreVersionError"] == {"path": "/store", "errno": None}
    full = errors.StorageFullError("/x", errno.ENOSPC, "No space left on device")
    assert (full.path, full.errno) == ("/x", errno.ENOSPC)
    assert errors.StorageIOError("/x", None, "unknown").errno is None


@every_example
def test_messages_are_of_one_line_and_end_a_sentence(error: StorageError) -> None:
    assert "\n" not in str(error)
    assert str(error)


def test_values_are_quoted_so_that_they_cannot_forge_lines() -> None:
    assert shorten("a\nb\x1b[31m") == r"'a\nb\x1b[31m'"
    assert shorten("ü") == r"'\xfc'"
    assert len(shorten("x" * 10_000)) < 200
    assert "10002 characters" in shorten("x" * 10_000)
    assert shorten({"secret": "sk-1"}) == "of type dict"
    assert shorten(None) == "of type NoneType"
    hostile = "x\nERROR all is lost"
    for error in (errors.InvalidIdError("id", hostile, "no"), errors.InvalidReferenceError(hostile, "no")):
        assert "\n" not in str(error)
