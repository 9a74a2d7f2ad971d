"""Zip and tar files of files of rows: what is in one is distrusted, and never written under its name."""

from __future__ import annotations

import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Self, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.row_files.source_file import SourceFile

ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""Of the names of such files."""

_GROWTH = 100  # times the size of the file may come out of it ...
_ALLOWANCE = 64 << 20  # ... and so much more: what compresses better is made to fill the disk
_PIECE = 1 << 20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_ENCRYPTED = 0x1
# Of a module that not every Python has; and of names that are not in the encoding that they say, or places before 0.
_OF_DAMAGE = ("LZMAError", "UnicodeDecodeError", "ValueError")
_OF_RUNS = "archive.json"  # is in what `archive` writes
_OF_SPREADSHEETS = {"xl/workbook.xml", "xl/workbook.bin"}  # are in what Excel writes
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f]|^/|^[A-Za-z]:|(^|/)\.\.(/|$)")


def is_packed(path: str) -> bool:
    """Return whether a file is a zip or tar file, by how it begins or its name ends; False if it cannot be read."""
    try:
        with SourceFile(path) as file, file.content() as content:
            start = content.read(512)
    except InvalidInputError:
        return False
    is_named_so = path.lower().endswith(ENDINGS)
    return is_named_so or start.startswith(_ZIP) or start[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


@dataclass(frozen=True, slots=True)
class _PackedFile:
    name: str
    size: int
    reason_against: str | None
    open: Callable[[], IO[bytes]]


class PackedFolder:
    """The files in a zip or tar file, plain or compressed; a `Folder`. Usable with ``with``.

    Those that are wanted lie in one file without a name, in the directory for temporary files, which ends with this.

    Args:
        path: the file.
        is_wanted: whether a file of a name is of use; the others are passed over.

    Raises:
        InvalidInputError: it is damaged, or made to do harm: a name that leads out of it, a link, more than a hundred
            times its size and 64 MB.
    """

    def __init__(self, path: str, is_wanted: Callable[[str], bool]) -> None:
        self.name = os.path.basename(path)
        self._is_wanted = is_wanted
        self._places: dict[str, tuple[int, int]] = {}
        with SourceFile(path) as file, ExitStack() as stack:
            self.shown = file.shown
            self._most = self._left = file.size * _GROWTH + _ALLOWANCE
            self._unpacked = cast("IO[bytes]", stack.enter_context(tempfile.TemporaryFile()))
            try:
                if file.raw.read(4).startswith(_ZIP):
                    self._take_zip(file)
                else:
                    self._take_tar(file)
                self._unpacked.flush()
            # NotImplementedError: how a member is compressed, which `zipfile` does not know.
            except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
                raise self._refusal(f"it is damaged ({type(error).__name__})") from error
            except OSError as error:
                raise self._refusal(f"it cannot be unpacked: {error.strerror or type(error).__name__}") from error
            except Exception as error:
                if type(error).__name__ not in _OF_DAMAGE:
                    raise
                raise self._refusal(f"it is damaged ({type(error).__name__})") from error
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._unpacked.close()

    def names(self) -> list[str]:
        """See `Folder.names`."""
        return sorted(self._places)

    def open(self, name: str) -> SourceFile:
        """See `Folder.open`."""
        start, size = self._places[name]
        shown_as = f"{shorten(name)} in {self.shown}"
        return SourceFile.part_of(self._unpacked, start, size, name=os.path.basename(name), shown_as=shown_as)

    def _take_zip(self, file: SourceFile) -> None:
        with zipfile.ZipFile(file.raw) as archive:
            found = archive.infolist()
            names = {info.filename for info in found}
            if _OF_RUNS in names:
                raise self._refusal("it holds a run, and 'starfish-storage unarchive' takes it out")
            if names & _OF_SPREADSHEETS:
                raise self._refusal("it is a workbook of a spreadsheet: save it as CSV in UTF-8, and import that")
            if sum(info.compress_size for info in found) > file.size:
                raise self._refusal("its members overlap")
            for info in found:
                self._take(
                    _PackedFile(
                        info.filename, info.file_size, _against_zipped(info), lambda info=info: archive.open(info)
                    )
                )

    def _take_tar(self, file: SourceFile) -> None:
        with file.content() as content, tarfile.open(fileobj=content, mode="r|") as archive:
            for info in archive:
                reason = None if info.isreg() or info.isdir() else "it is a link or a device: pack the file itself"
                name = f"{info.name}/" if info.isdir() else info.name
                self._take(
                    _PackedFile(name, info.size, reason, lambda info=info: cast("IO[bytes]", archive.extractfile(info)))
                )

    def _take(self, member: _PackedFile) -> None:
        """Copy a member to the end of what is unpacked, no more of it than was declared."""
        name = member.name.replace("\\", "/").removeprefix("./")  # some programs for Windows write it so
        self._left -= member.size  # of what is passed over, too: it may have to be unpacked for that
        if self._left < 0:
            raise self._refusal(
                f"more than {self._most:,} bytes would come out of it. If you trust it, unpack it yourself"
            )
        is_hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/") if part != "..")
        reason = "its name leads out of the file" if _NOT_PLAIN.search(name) else member.reason_against
        if name.endswith("/") or (reason is None and (is_hidden or not self._is_wanted(name))):
            return
        if name in self._places:
            reason = "it is there twice"
        if reason is not None:
            raise self._refusal(f"its member {shorten(name)} is refused: {reason}")
        start = self._unpacked.tell()
        with member.open() as content:
            for piece in _pieces(content, member.size):
                self._unpacked.write(piece)
        if self._unpacked.tell() - start != member.size:
            raise self._refusal(f"its member {shorten(name)} is shorter than it says")
        self._places[name] = (start, member.size)

    def _refusal(self, reason: str) -> InvalidInputError:
        return InvalidInputError(f"{self.shown} is not read: {reason}.")


def _pieces(content: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (piece := content.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece


def _against_zipped(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    kind = stat.S_IFMT(info.external_attr >> 16)
    return None if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "it is a link or a device: pack the file itself"
