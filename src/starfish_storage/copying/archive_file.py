"""The file of an archive: what it holds, and what of a file that came from elsewhere is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any

from starfish_storage.codec import encode
from starfish_storage.errors import StorageError, StoreDamagedError, StoreOpenError, shorten
from starfish_storage.identifiers import fold
from starfish_storage.keys import DATABASE_FILE, is_key

MANIFEST = "archive.json"
VERSION = 1

_LONGEST_MANIFEST = 1 << 20
_GROWTH = 100  # times the size of the file may come out of it ...
_ALLOWANCE = 64 << 20  # ... and so much more: what compresses better is made to fill the disk
_PIECE = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_PLAIN_NAME = re.compile(r"[^\\:\x7f]+")


@dataclass(frozen=True)
class Manifest:
    """What ``archive.json`` says.

    Attributes:
        master_job_id, project_id: what is in the archive.
        execution_jobs, records, attempts, steps, versions, segments, annotations: how many.
        files: how many other members there are.
        bytes: their size.
        sha256: of the lines ``<SHA-256> <name>`` of the other members, by name; see ``docs/format.md``.
    """

    master_job_id: str
    project_id: str
    execution_jobs: int
    records: int
    attempts: int
    steps: int
    files: int
    bytes: int
    sha256: str
    versions: int = 0
    segments: int = 0
    annotations: int = 0

    def to_bytes(self) -> bytes:
        """Return the content of ``archive.json``."""
        return encode({"starfish_storage_archive": VERSION} | asdict(self), MANIFEST)


class TreeDigest:
    """The digest of names and contents, given in the order of the names.

    Attributes:
        files: how many there were.
        bytes: their size.
    """

    def __init__(self) -> None:
        self._lines = hashlib.sha256()
        self.files = self.bytes = 0

    def add(self, name: str, content_sha256: str, size: int) -> None:
        """Take in a file."""
        self._lines.update(f"{content_sha256} {name}\n".encode())
        self.files += 1
        self.bytes += size

    def hexdigest(self) -> str:
        """Return the digest of all there was."""
        return self._lines.hexdigest()


class ArchiveReader:
    """A file that is to be an archive; everything in it is distrusted.

    Args:
        path: the file.
        archive: it, opened.
        most_bytes: how much may come out of it; None: a hundred times its own size, and 64 MB.
    """

    def __init__(self, path: str, archive: zipfile.ZipFile, most_bytes: int | None) -> None:
        self._path = path
        self._archive = archive
        self._size = os.path.getsize(path)
        self._most = self._size * _GROWTH + _ALLOWANCE if most_bytes is None else most_bytes
        self.members = sorted(self._checked_members(archive.infolist()), key=lambda info: info.filename)
        self.manifest = self._read_manifest()

    def extract(self, write: Callable[[str], IO[bytes]]) -> None:
        """Write every member but the manifest, and compare all with it.

        Args:
            write: opens a new file of a name.

        Raises:
            StoreDamagedError: something is not what it says.
        """
        digest = TreeDigest()
        for info in self.members:
            content = hashlib.sha256()
            with write(info.filename) as file:
                for piece in self._pieces(info):
                    content.update(piece)
                    file.write(piece)
            digest.add(info.filename, content.hexdigest(), info.file_size)
        told = self.manifest
        if (digest.files, digest.bytes, digest.hexdigest()) != (told.files, told.bytes, told.sha256):
            raise self.refusal("its content differs from its archive.json")

    def refusal(self, reason: str) -> StoreDamagedError:
        """Return the error of an archive that is refused."""
        return StoreDamagedError(self._path, f"{reason}; nothing was extracted. Use another copy of the archive")

    def _checked_members(self, found: Iterable[zipfile.ZipInfo]) -> Generator[zipfile.ZipInfo]:
        """Yield all members but the manifest, once the names and sizes that the file tells are known to be fine."""
        names: set[str] = set()
        declared = packed = 0
        for info in found:
            reason = _reason_against(info)
            if reason is None and fold(info.filename) in names:
                reason = "it is there twice"
            if reason is not None:
                raise self.refusal(f"its member {shorten(info.orig_filename)} is refused: {reason}")
            names.add(fold(info.filename))
            declared += info.file_size
            packed += info.compress_size
            if info.filename != MANIFEST:
                yield info
        if not {MANIFEST, DATABASE_FILE} <= names:
            raise self.refusal(f"it is not an archive of a store: it contains no {MANIFEST} or no {DATABASE_FILE}")
        if packed > self._size:
            raise self.refusal("its members overlap")
        if declared > self._most:
            reason = f"{self._size:,} bytes would become {declared:,}, more than the limit of {self._most:,}"
            raise self.refusal(f"{reason} (if you trust it, set most_bytes, or --most-bytes)")

    def _read_manifest(self) -> Manifest:
        info = self._archive.getinfo(MANIFEST)
        if info.file_size > _LONGEST_MANIFEST:
            raise self.refusal(f"its {MANIFEST} is too long")
        try:
            found: Any = json.loads(b"".join(self._pieces(info)))
            version = found.pop("starfish_storage_archive")
            if version != VERSION:
                reason = f"it is an archive of version {shorten(str(version))}, and this release knows {VERSION}"
                raise StoreOpenError(self._path, reason)
            manifest = Manifest(**found)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self.refusal(f"its {MANIFEST} cannot be read") from None
        return manifest

    def _pieces(self, info: zipfile.ZipInfo) -> Generator[bytes]:
        """Yield the content of a member, no more of it than was declared."""
        left = info.file_size
        try:
            with self._archive.open(info) as member:
                while piece := member.read(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise self.refusal(f"its member {shorten(info.filename)} is longer than it says")
                    yield piece
        # NotImplementedError: how a member is compressed, which `zipfile` does not know.
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            if isinstance(error, StorageError):
                raise
            raise self.refusal(
                f"its member {shorten(info.filename)} cannot be read ({type(error).__name__})"
            ) from error
        if left:
            raise self.refusal(f"its member {shorten(info.filename)} is shorter than it says")


@contextmanager
def opened(path: str, most_bytes: int | None) -> Generator[ArchiveReader]:
    """Open an archive whose names and sizes are known to be fine.

    Raises:
        StoreOpenError: there is none.
        StoreDamagedError: it is damaged, or made to do harm.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise StoreOpenError(path, f"the archive cannot be read: {error.strerror}", error.errno) from error
    # NotImplementedError: `zipfile` raises it for a version of the format that it does not know.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        reason = "it is no zip file, or is cut short; take another copy of the archive"
        raise StoreDamagedError(path, reason) from error
    with archive:
        yield ArchiveReader(path, archive, most_bytes)


def _reason_against(info: zipfile.ZipInfo) -> str | None:
    """Return why a member is refused, or None."""
    name, mode = info.filename, info.external_attr >> 16
    if info.orig_filename != name or _PLAIN_NAME.fullmatch(name) is None:
        return "its name is no plain one"
    if name not in (MANIFEST, DATABASE_FILE) and not is_key(name):
        return "nothing of that name is in a store"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "it is a link or a device"
    if info.compress_type not in _METHODS:
        return "it is compressed in a way that is not used here"
    return None


def add_member(archive: zipfile.ZipFile, name: str, content: IO[bytes]) -> tuple[str, int]:
    """Write a member, the same bytes for the same content, and return its digest and size."""
    info = zipfile.ZipInfo(name)  # of 1980, whenever it is made
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, for the permissions
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    info.file_size = os.fstat(content.fileno()).st_size
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w") as member:
        while piece := content.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            member.write(piece)
    return digest.hexdigest(), size
