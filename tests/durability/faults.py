"""File operations and a SQLite file layer that record every step, and fail at a chosen one."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.files.atomic import FileOperations
from starfish_storage.interface import Layout
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.storage.hybrid import HybridStorage
from starfish_storage.storage.secret_guard import SecretGuard


@dataclass
class Steps:
    """What happened, in order, such as ``"rename data/3f/r1.json"`` or ``"sync metadata.db-wal"``.

    Attributes:
        before: called with each step before it is taken; may raise.
        taken: the steps so far.
    """

    before: Callable[[int, str], None] = lambda _number, _step: None
    taken: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, step: str) -> None:
        with self._lock:
            self.taken.append(step)
            number = len(self.taken)
        self.before(number, step)

    def count(self, prefix: str) -> int:
        return sum(step.startswith(prefix) for step in self.taken)

    def first(self, prefix: str, start: int = 0) -> int:
        return next(i for i, step in enumerate(self.taken) if i >= start and step.startswith(prefix))


def fail(prefix: str, number: int = errno.EIO, *, at: int = 1, for_good: bool = False) -> Callable[[int, str], None]:
    """Return a `Steps.before` that fails the ``at``-th step of this prefix, and with ``for_good`` all that follow."""
    seen = 0

    def before(_number: int, step: str) -> None:
        nonlocal seen
        if step.startswith(prefix):
            seen += 1
            if seen == at or (for_good and seen > at):
                raise OSError(number, os.strerror(number))

    return before


class RecordedFiles(FileOperations):
    """The real file operations, each announced to `Steps` first."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def make_directory(self, name: str, parent: int | None = None) -> bool:
        self.steps.take(f"mkdir {name}")
        return super().make_directory(name, parent)

    def write_new(self, directory: int, name: str, payload: bytes) -> None:
        self.steps.take(f"write {name}")
        super().write_new(directory, name, payload)

    def create_for_changes(self, directory: int, name: str) -> int:
        self.steps.take(f"create {name}")
        return super().create_for_changes(directory, name)

    def write_at(self, descriptor: int, content: bytes, start: int) -> None:
        self.steps.take("append")
        super().write_at(descriptor, content, start)

    def truncate(self, descriptor: int, size: int) -> None:
        self.steps.take("truncate")
        super().truncate(descriptor, size)

    def link(self, source: int, name: str, target: int, target_name: str) -> None:
        self.steps.take(f"link {name}")
        super().link(source, name, target, target_name)

    def rename(self, source: int, name: str, target: int, target_name: str) -> None:
        self.steps.take(f"rename {target_name}")
        super().rename(source, name, target, target_name)

    def remove(self, directory: int, name: str) -> None:
        self.steps.take(f"remove {name}")
        super().remove(directory, name)

    def sync(self, descriptor: int) -> None:
        self.steps.take("fsync")
        super().sync(descriptor)

    def sync_all(self, root: int, files: Iterable[tuple[int, str]], directories: Iterable[int]) -> None:
        files = list(files)
        self.steps.take("syncfs " + " ".join(name for _, name in files))
        super().sync_all(root, files, directories)


class RecordedVfs(apsw.VFS):
    """SQLite's own file layer, with each sync, write and truncation of a log or database announced to `Steps`."""

    def __init__(self, name: str, steps: Steps) -> None:
        super().__init__(name, "")
        self.steps = steps

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _RecordedFile(name, flags, self.steps)


class _RecordedFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], steps: Steps) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("", name, flags)
        self._name = Path(path).name
        self._steps = steps

    def xSync(self, flags: int) -> None:  # noqa: N802
        _as_sqlite(apsw.IOError, "fsync", lambda: self._steps.take(f"sync {self._name}"))
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        _as_sqlite(apsw.IOError, "write", lambda: self._steps.take(f"page {self._name}"))
        super().xWrite(data, offset)


def _as_sqlite(kind: type[apsw.Error], what: str, step: Callable[[], None]) -> None:
    try:
        step()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise apsw.FullError("injected") from error
        failure = kind("injected")
        code = apsw.SQLITE_IOERR_FSYNC if what == "fsync" else apsw.SQLITE_IOERR_WRITE
        failure.extendedresult = code  # type: ignore[attr-defined]
        raise failure from error


class FaultyStorage(HybridStorage):
    """A local storage whose file operations and SQLite file layer are recorded."""

    def __init__(
        self, root: Path, steps: Steps, durability: Durability = "power", layout: Layout | None = None
    ) -> None:
        root.mkdir(exist_ok=True)
        self.steps = steps
        self._vfs = RecordedVfs(f"recorded-{id(self)}", steps)
        handler = FileSystemDataHandler(str(root), RecordedFiles(steps))
        codec = RowCodec(handler, f"file://{root}", None)
        vfs = f"recorded-{id(self)}"
        metadata = SQLiteMetadataHandler(str(root), handler, handler.row_log, codec, durability, vfs, layout=layout)
        super().__init__(metadata, handler, f"file://{root}", frozenset(), SecretGuard(is_on=True))
