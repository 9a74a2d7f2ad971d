"""Where an export is written: under a temporary name beside its own, which it gets when it is whole."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from starfish_storage.errors import AlreadyExistsError, InvalidInputError, StorageBusyError, StorageIOError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import DIRECTORY_NO_LINK, NO_LINK
from starfish_storage.files.errors import translated
from starfish_storage.files.locking import lock_now
from starfish_storage.interface import Storage
from starfish_storage.uri import FILE_SCHEME, path_of_file_uri

Result = TypeVar("Result")
Call = Callable[[Callable[[], Any]], Any]
"""Runs a call in the thread that writes, and returns what to wait for."""

_FILE = os.O_RDWR | os.O_CREAT | NO_LINK
_DIRECTORY = DIRECTORY_NO_LINK
_LONGEST_NAME = 255  # bytes, on nearly every file system
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class ExportPlace(Protocol):
    """Where an export is written: a context, within which there is what a form can open. See `Destination`."""

    @property
    def path(self) -> str:
        """What reports and errors call it."""
        ...

    @property
    def partial(self) -> str:
        """What the form opens."""
        ...

    def __enter__(self) -> object:
        """Make that."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Remove what was not put in place."""
        ...

    def put(self) -> int:
        """Put what was written in place; return its size in bytes."""
        ...

    def stop(self) -> None:
        """Let go of whoever waits for it; called in another thread."""
        ...


class Destination:
    """The file or directory that an export makes; a context that removes what was not put in place.

    The temporary name follows from the destination's and is locked, so the next export reuses what
    a killed one has left, and the second of two exports at a time is refused.

    Args:
        path: of the file or directory to make, absolute and without links.
        is_directory: make a directory.
        overwrite: replace what is there, at the end and in one step.
        is_own: whether a directory that is there holds what an export made and nothing else; no other is replaced.

    Attributes:
        path: that.
        partial: the temporary name, where there is an empty file or directory within the context.
    """

    def __init__(
        self, path: str, *, is_directory: bool, overwrite: bool, is_own: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.path = path
        self._is_directory = is_directory
        self._overwrite = overwrite
        self._is_own = is_own
        self._files = FileOperations()
        self._lock: int | None = None
        directory, name = os.path.split(path)
        self.partial = f"{directory}/{_partial_name(name)}"

    def __enter__(self) -> Self:
        """Make the temporary file or directory.

        Raises:
            AlreadyExistsError: the destination exists, and is not to be replaced.
            InvalidInputError: its directory does not exist, or it is of the other kind.
            StorageBusyError: another export writes to it.
            StorageIOError: it cannot be written.
        """
        self._check()
        with translated(self.path):
            while self._lock is None:
                self._lock = self._locked()
            try:
                self._empty(self._lock)
            except BaseException:
                os.close(self._lock)
                self._lock = None
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what is still under the temporary name."""
        if self._lock is None:
            return
        try:
            if self._is_directory:
                shutil.rmtree(self.partial, ignore_errors=True)
            else:
                self._files.remove_path(self.partial)
        except OSError:
            pass  # the error that brought us here says more
        finally:
            os.close(self._lock)
            self._lock = None

    def put(self) -> int:
        """Give what was written its name, safe from a power cut; return its size in bytes.

        Raises:
            AlreadyExistsError: something of that name was made meanwhile.
            StorageIOError: it failed; what was there is unchanged.
        """
        self._check()
        with translated(self.path):
            if not self._is_directory:
                self._files.replace_file(self.partial, self.path)
                return os.stat(self.path).st_size
            self._files.replace_directory(self.partial, self.path)
            return sum(
                os.stat(os.path.join(directory, name)).st_size
                for directory, _, names in os.walk(self.path)
                for name in names
            )

    def stop(self) -> None:
        """Do nothing: no file lets those who write it wait."""

    def _empty(self, descriptor: int) -> None:
        """Remove what an export that was killed has left."""
        if not self._is_directory:
            os.ftruncate(descriptor, 0)
            return
        for entry in os.scandir(self.partial):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)

    def _check(self) -> None:
        kind, other = ("directory", "file") if self._is_directory else ("file", "directory")
        if not os.path.isdir(os.path.dirname(self.path)):
            raise InvalidInputError(f"{self.path!r} cannot be written: its directory does not exist. Make it first.")
        if not os.path.lexists(self.path):
            return
        if os.path.isdir(self.path) != self._is_directory:
            raise InvalidInputError(f"{self.path!r} is a {other}, but this form writes a {kind}. Choose another name.")
        if not self._overwrite:
            remedy = "choose another name, or allow replacing it with overwrite=True (--overwrite)"
            raise AlreadyExistsError(kind, self.path, remedy)
        if self._is_directory and os.listdir(self.path) and not self._is_own(self.path):
            raise InvalidInputError(
                f"{self.path!r} is not replaced: it contains files that no export wrote. Remove it, or choose another "
                "name."
            )

    def _locked(self) -> int | None:
        """Open and lock the temporary file or directory; return None if it was renamed or removed meanwhile."""
        if self._is_directory:
            try:
                os.mkdir(self.partial)
            except FileExistsError:
                pass
        descriptor = os.open(self.partial, _DIRECTORY if self._is_directory else _FILE, 0o666)
        try:
            try:
                lock_now(descriptor)
            except BlockingIOError:
                raise StorageBusyError(
                    f"{self.path!r} is being written by another export. Wait for it, or choose another name."
                ) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:  # there, two at a time is the caller's own fault
                    raise
            try:
                same = os.path.samestat(os.stat(self.partial, follow_symlinks=False), os.fstat(descriptor))
            except FileNotFoundError:
                same = False
        except (OSError, StorageBusyError, StorageIOError):
            os.close(descriptor)
            raise
        if same:
            return descriptor
        os.close(descriptor)
        return None


def _partial_name(name: str) -> str:
    """Return the temporary name of a destination.

    >>> _partial_name("answers.jsonl")
    '.answers.jsonl.export-partial'
    """
    whole = f".{name}.export-partial"
    if len(os.fsencode(whole)) <= _LONGEST_NAME:
        return whole
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}.export-partial"


def resolved(path: str | os.PathLike[str]) -> str:
    """Return the path of a destination, absolute, and where a link leads that is there."""
    given = os.fspath(path)
    if given == "-":
        raise InvalidInputError("'-' names no file: pass sys.stdout.buffer for the standard output ('./-' is a file).")
    try:
        if b"\0" not in os.fsencode(given):
            return os.path.realpath(given)
    except ValueError:
        pass
    raise InvalidInputError(f"{given!a} cannot be the name of a file: give another.")


def refuse_place_of_store(storage: Storage, path: str) -> None:
    """Refuse a destination that is, contains or lies in the store.

    Raises:
        InvalidInputError: it is so.
    """
    for place in places_of(storage):
        if os.path.commonpath((path, place)) in (path, place):
            raise InvalidInputError(
                f"{path!r} cannot be written: {place!r} belongs to the store. Choose a place outside of it."
            )


def places_of(storage: Storage) -> set[str]:
    """Return the directories of this machine in which a store lies."""
    rows, data = storage.storage_uri, storage.transfer.data_place
    found = {path_of_file_uri(rows)} if rows.startswith(FILE_SCHEME) else set[str]()
    if data.startswith("/"):
        found.add(os.path.dirname(data))
    return {os.path.realpath(place) for place in found}


@asynccontextmanager
async def writing_thread(path: str) -> AsyncGenerator[Call]:
    """Yield what runs calls one after the other in a thread of their own; one that is cancelled is waited for."""
    executor = ThreadPoolExecutor(1, "starfish-storage-export")

    def translating(work: Callable[[], Result]) -> Result:
        with translated(path):
            return work()

    def call(work: Callable[[], Result]) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(executor, translating, work)

    try:
        yield call
    finally:
        ending = asyncio.ensure_future(asyncio.to_thread(executor.shutdown))
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():  # however often it is cancelled: what the thread is at cannot be stopped
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
