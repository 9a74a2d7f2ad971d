"""The file beside a worker in which results wait that the store cannot take: JSON Lines, one result a line.

docs/format.md describes it. A line is safe when `ResultSpool.add` returns. A spool is locked while the worker that
writes it, or a `resume` that reads it, is alive.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, Self, cast

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidInputError, StorageIOError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import DIRECTORY, read_at
from starfish_storage.files.locking import lock_now
from starfish_storage.files.processes import user_id
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.uri import FILE_SCHEME, path_of_file_uri

logger = get_logger(__name__)

SPOOL_VARIABLE = "STARFISH_STORAGE_SPOOL"
"""The environment variable that names the directory of spools."""

_VERSION = 1
_LARGE = 64 << 20
_NAME = "starfish-storage"
_ENDING = ".spool.jsonl"


class RunIdentity(NamedTuple):
    """Which run a spool belongs to: another run of the same id was made at another time.

    Attributes:
        master_job_id: its id.
        created: when it was made, as text.
        place: the URI of its store, for people.
    """

    master_job_id: str
    created: str
    place: str


class SpoolPlace(NamedTuple):
    """Where a line of a spool lies.

    Attributes:
        file: its file.
        start: its first byte.
        length: its number of bytes.
    """

    file: SpoolFile
    start: int
    length: int


class SpoolFile:
    """One file of a spool, open and locked."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._files = FileOperations()

    @classmethod
    def make(cls, directory: str, run: RunIdentity, worker_id: str, number: int = 0) -> Self:
        """Make a file for a worker: its first, or another one.

        Raises:
            OSError: it cannot be made there.
        """
        files = FileOperations()
        files.make_root(directory)
        parent = files.open_directory(directory)
        try:
            which = f"{worker_id}-{number}" if number else worker_id
            name = f"{_stem(run.master_job_id)}.{which}{_ENDING}"
            made = cls(os.path.join(directory, name), files.create_for_appending(parent, name))
            try:
                lock_now(made._descriptor)
                made.append(encode({"spool": _VERSION, "run": run._asdict()}, "the head of a spool"))
                files.sync(parent)
            except BaseException:
                made.remove()
                made.close()
                raise
        finally:
            os.close(parent)
        return made

    @classmethod
    def open(cls, path: str) -> Self | None:
        """Open a file that somebody has left; return None if its worker is alive.

        Raises:
            OSError: it cannot be opened.
        """
        files = FileOperations()
        parent = os.open(os.path.dirname(path) or ".", DIRECTORY)
        try:
            descriptor = files.open_for_appending(parent, os.path.basename(path))
        finally:
            os.close(parent)
        try:
            lock_now(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    @property
    def size(self) -> int:
        """Its number of bytes."""
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def append(self, line: bytes) -> SpoolPlace:
        """Add a line, whole or not at all, and make it safe.

        Raises:
            OSError: it could not be written; nothing of it stays.
        """
        start = self.size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            self._files.sync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, start)
            raise
        return SpoolPlace(self, start, len(line))

    def read(self, place: SpoolPlace) -> bytes:
        """Return a line."""
        return read_at(self._descriptor, place.length, place.start)

    def is_begun(self) -> bool:
        """Return whether its head is whole; if not, its worker was killed while making it, and it holds nothing.

        Raises:
            InvalidInputError: it is no spool.
        """
        return next(self._objects(), None) is not None

    def run(self) -> RunIdentity:
        """Return which run it belongs to.

        Raises:
            InvalidInputError: it is not a spool that this release reads.
        """
        head = next(self._objects(), dict[str, Any]())
        run = head.get("run")
        if head.get("spool") != _VERSION or not isinstance(run, dict):
            raise self._refused("it is not a spool of this release")
        return RunIdentity(*(str(cast("dict[str, Any]", run).get(name, "")) for name in RunIdentity._fields))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield what waits, in the order in which it was added.

        Raises:
            InvalidInputError: a line is damaged.
        """
        objects = self._objects()
        next(objects, None)
        yield from objects

    def remove(self) -> None:
        """Remove it: everything in it is stored. It stays locked until it is closed."""
        self._files.remove_path(self.path)

    def close(self) -> None:
        """Leave it to others."""
        os.close(self._descriptor)

    def _objects(self) -> Iterator[dict[str, Any]]:
        with open(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # its worker was killed while it wrote this line
                try:
                    found: object = decode(line)
                except ValueError:
                    found = None
                if not isinstance(found, dict):
                    raise self._refused(f"line {number} is not a JSON object")
                yield cast("dict[str, Any]", found)

    def _refused(self, reason: str) -> InvalidInputError:
        return InvalidInputError(f"the spool {self.path!r} cannot be read: {reason}. Nothing of it was taken in.")


class ResultSpool:
    """What waits of one worker, in the first directory that can be written.

    A file that is large is followed by another one, so that those whose results are all stored can go: a store that is
    slow for hours must not make a copy of itself here.

    Args:
        run: the run; the disk of its store comes last.
        worker_id: the worker.
    """

    def __init__(self, run: RunIdentity, worker_id: str) -> None:
        self._run = run
        self._worker_id = worker_id
        self._files: list[SpoolFile] = []
        self._made = 0

    @property
    def master_job_id(self) -> str:
        """The run."""
        return self._run.master_job_id

    @property
    def paths(self) -> list[str]:
        """Its files; usually one."""
        return [one.path for one in self._files]

    def add(self, line: bytes) -> SpoolPlace:
        """Add a line and make it safe. Blocks.

        Raises:
            StorageIOError: no directory can be written.
        """
        used = set[str]()
        try:
            if self._files and self._files[-1].size < _LARGE:
                return self._files[-1].append(line)
        except OSError as error:
            used = {os.path.dirname(path) for path in self.paths}
            logger.warning("the spool %r cannot be written (%s); another place is tried", self.paths[-1], error)
        last: OSError | None = None
        store = path_of_file_uri(self._run.place) if self._run.place.startswith(FILE_SCHEME) else None
        directories = [one for one in directories_to_write(store) if one not in used]
        for directory in directories:
            try:
                self._files.append(SpoolFile.make(directory, self._run, self._worker_id, self._made))
                self._made += 1
                return self._files[-1].append(line)
            except OSError as error:
                last = error
        number = None if last is None else last.errno
        reason = f"no result can be spooled in any of {directories}; set {SPOOL_VARIABLE} to a directory with room"
        raise StorageIOError(directories[0] if directories else ".", number, reason)

    def keep_only(self, used: Collection[SpoolFile]) -> None:
        """Remove the other files: everything in them is stored. Blocks."""
        for one in [one for one in self._files if one not in used]:
            try:
                one.remove()
            except OSError as error:  # it is taken in once more, which changes nothing
                logger.warning("the spool %r cannot be removed: %s", one.path, error)
            one.close()
            self._files.remove(one)

    def close(self) -> None:
        """Leave its files to a `resume`."""
        for one in self._files:
            one.close()
        self._files.clear()


def directories_to_write(avoided: str | None = None) -> list[str]:
    """Return where spools go, the best place first; those on the disk of ``avoided`` come last."""
    known = _directories()
    device = None if avoided is None else _device(avoided)
    return known if device is None else sorted(known, key=lambda one: _device(one) == device)


def spools_of(master_job_id: str) -> list[str]:
    """Return the paths of the spools of runs of this id, wherever this process would write one.

    Those of this user alone: others may write to the directory of temporary files.
    """
    found: list[str] = []
    for directory in dict.fromkeys(map(os.path.realpath, _directories())):
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        stem = f"{_stem(master_job_id)}."
        paths = (os.path.join(directory, name) for name in names if name.startswith(stem) and name.endswith(_ENDING))
        found += [path for path in paths if os.lstat(path).st_uid == user_id()]
    return found


def _directories() -> list[str]:
    named = os.environ.get(SPOOL_VARIABLE)
    if named:
        return [os.path.abspath(named)]
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    own = f"{_NAME}-{user_id()}"  # all users share the directory of temporary files
    return [os.path.abspath(os.path.join(state, _NAME)), os.getcwd(), os.path.join(tempfile.gettempdir(), own)]


def _stem(master_job_id: str) -> str:
    """Return the beginning of the names of a run's spools: ids may hold any character."""
    return f"{_NAME}-{hashlib.sha256(master_job_id.encode()).hexdigest()[:16]}"


def _device(path: str) -> int | None:
    """Return the file system that a path lies on, or would lie on."""
    while True:
        try:
            return os.stat(path).st_dev
        except OSError:
            above = os.path.dirname(path)
            if above == path:
                return None
            path = above
