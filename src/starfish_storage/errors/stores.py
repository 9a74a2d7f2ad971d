"""What a store or the system refuses: stores that cannot be opened, damage, disks, servers, missing libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from starfish_storage.errors.calls import DataNotFoundError
from starfish_storage.errors.installing import install_command
from starfish_storage.errors.root import StorageError
from starfish_storage.wording import SEE_DAMAGE, outcome, shorten


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
    """The store has a format that this release cannot use; it was left untouched."""

    code: ClassVar[str] = "store_version"


class ForeignStoreError(StoreOpenError):
    """The database at this place does not belong to this library; it was left untouched."""

    code: ClassVar[str] = "foreign_store"


class StoreReadOnlyError(StorageError):
    """The store can only be read, by this user or in this place; nothing was written.

    Attributes:
        path: the store.
    """

    code: ClassVar[str] = "store_read_only"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"store at {path!r} can only be read: {reason}. Nothing was written.")
        self.path = path


class StoreDamagedError(StorageError):
    """Part of the store is damaged, such as a data file that is not JSON or a malformed database.

    Attributes:
        path: the damaged file.
    """

    code: ClassVar[str] = "store_damaged"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} is damaged: {reason}.")
        self.path = path


class DataLostError(DataNotFoundError):
    """A record refers to data that is missing: it was lost, not deleted.

    Attributes:
        path: the file that is missing; of data in a pack, its reference.
    """

    code: ClassVar[str] = "data_lost"

    def __init__(self, path: str, lay_at: str | None = None) -> None:
        lost = "its file is lost" if lay_at is None else f"it is lost: it lay at {lay_at}"
        super().__init__("data", path, f"a record refers to it, so {lost}; {SEE_DAMAGE}")
        self.path = path


class DataTooLargeError(StorageError):
    """The data of a record is larger than its reader has asked for; it is whole, and was not read.

    Attributes:
        path: where it lies.
        size: of the data, in bytes.
        largest: what was asked for, in bytes.
    """

    code: ClassVar[str] = "data_too_large"

    def __init__(self, path: str, size: int, largest: int) -> None:
        super().__init__(
            f"{path!r} has {size:,} bytes, more than the {largest:,} that are read at once: read it in pieces with "
            "iter_record_data, or download it."
        )
        self.path = path
        self.size = size
        self.largest = largest


class MissingExtraError(StorageError):
    """An optional library is needed and not installed.

    Attributes:
        module: the library.
        extra: the extra of this package that installs it.
    """

    code: ClassVar[str] = "missing_extra"

    def __init__(self, what: str, module: str, extra: str) -> None:
        super().__init__(f"{what} need {module}, which is not installed: {install_command(extra)}.")
        self.module = module
        self.extra = extra


class UnsupportedSystemError(StorageError):
    """This system has not what the promises rest on, so the library does not let itself be imported.

    Attributes:
        system: the name of the system, as Python calls it.
    """

    code: ClassVar[str] = "unsupported_system"

    def __init__(self, system: str) -> None:
        super().__init__(
            f"starfish-storage does not run on {system}: it needs file locks and renames as Linux and macOS have them. "
            "On Windows, use it in WSL, with the store on WSL's own file system."
        )
        self.system = system


class UnsupportedVersionError(StorageError):
    """A program that this library works inside of is installed in a version that it does not know.

    Attributes:
        program: the program.
        version: its version.
        versions: those that are known.
    """

    code: ClassVar[str] = "unsupported_version"

    def __init__(self, program: str, version: str, versions: Sequence[str]) -> None:
        known = ", ".join(versions)
        super().__init__(
            f"{program} {version} is not one of the versions that this library works with ({known}); nothing was "
            f"changed: pip install '{program}=={versions[-1]}'."
        )
        self.program = program
        self.version = version
        self.versions = tuple(versions)


class UntrustedCodeError(StorageError):
    """A stored function was not loaded: to load it is to run it, and others could have written it.

    Attributes:
        place: the store.
        reason: who could have.
    """

    code: ClassVar[str] = "untrusted_code"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"the function that is stored in {place!r} was not loaded, as that would run whatever is stored there: "
            f"{reason}. If you trust all who can write there, call install(..., trust_stored_code=True)."
        )
        self.place = place
        self.reason = reason


class NotExportableError(StorageError):
    """A record does not fit the form of the export.

    Attributes:
        record_uid: the record.
        form: the name of the form.
        reason: why.
    """

    code: ClassVar[str] = "not_exportable"

    def __init__(self, record_uid: str, form: str, reason: str) -> None:
        super().__init__(
            f"record {shorten(record_uid)} cannot be exported as {form}: {reason}. "
            "To leave such records out, use skip_damaged=True or --skip-damaged."
        )
        self.record_uid = record_uid
        self.form = form
        self.reason = reason


class StorageIOError(StorageError, OSError):
    """The operating system failed a read or a write; what was stored before is unchanged, unless `unsettled`.

    Attributes:
        path: the file concerned.
        errno: the system's error number, or None where it gave none.
        reason: why, in words.
        unsettled: the failed change could not be undone; whether it took effect shows when the store is opened again.
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
    """A write found no space (or quota) left; what was stored before is unchanged."""

    code: ClassVar[str] = "storage_full"


class StorageUnavailableError(StorageError, TimeoutError):
    """The database server or the object store could not be reached, however often it was tried.

    What was stored before is unchanged. A write that was under way when the connection broke is undone.

    Attributes:
        place: its address, such as ``"s3://bucket/prefix"``.
        seconds: how long it was tried.
    """

    code: ClassVar[str] = "storage_unavailable"

    def __init__(self, place: str, seconds: float, reason: str) -> None:
        how_long = f"could not be reached for {seconds:.0f} s" if seconds else "cannot be reached now"
        super().__init__(
            f"{shorten(place)} {how_long}: {reason}. Check that it works and that this machine can reach it, "
            "then call again."
        )
        self.place = place
        self.seconds = seconds


class ResultsSpooledError(StorageError):
    """A run ended because its store took nothing for longer than it is patient; what it had paid for is in a file.

    The error of the store is its ``__cause__``. `resume` stores the results, wherever this machine has them.

    Attributes:
        master_job_id: the run.
        results: how many results wait.
        paths: the files that hold them.
    """

    code: ClassVar[str] = "results_spooled"

    def __init__(self, master_job_id: str, reason: str, where: str, results: int, paths: Sequence[str]) -> None:
        super().__init__(
            f"run {shorten(master_job_id)} ended because the store did not take its results: {reason} {where}. Mend "
            "the store, then resume the run on this machine, or with spool=FILE (--spool)."
        )
        self.master_job_id = master_job_id
        self.results = results
        self.paths = list(paths)


class StorageBusyError(StorageError, TimeoutError):
    """Another process held a lock for longer than the time limit; nothing was written."""

    code: ClassVar[str] = "storage_busy"
