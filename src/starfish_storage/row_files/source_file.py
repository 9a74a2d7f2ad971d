"""Files that are read: opened once, so that what is checked is what is read, plain or compressed."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from typing import IO, Any, Self, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.extras import zstd
from starfish_storage.files.descriptors import read_at

_GZIP, _ZSTD, _BZIP2, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"
_BLOCK = 2**20
_LONGEST_PATH = 300
_MARKS = {  # of UTF-32 first: its mark begins as that of UTF-16 does
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}


def shown(path: str) -> str:
    """Return what a file or directory is called in messages: its path, as it was given."""
    return shorten(path, _LONGEST_PATH)


class SourceFile:
    """A file of rows. Usable with ``with``.

    It stays open: what takes its place under the same name meanwhile does not get mixed with it.

    Args:
        path: where it is.

    Attributes:
        name: its name, without the path.
        shown: what it is called in messages.
        size: its length, in bytes.

    Raises:
        InvalidInputError: it does not exist, is not a regular file, or cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.name = os.path.basename(path)
        self.shown = shown(path)
        try:
            found = os.stat(path)  # before it is opened: that would wait for whoever writes into a pipe
            if not stat.S_ISREG(found.st_mode):
                kind = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
                raise InvalidInputError(f"{self.shown} is {kind}: give a regular file, since it is read twice.")
            self._file = cast("IO[bytes]", open(path, "rb"))  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise _unreadable(self.shown, error) from error
        self.size = found.st_size
        self._start: int | None = None

    @classmethod
    def part_of(cls, file: IO[bytes], start: int, size: int, *, name: str, shown_as: str) -> Self:
        """Return the source that a part of an open file is, which stays open when the source is closed.

        Args:
            file: the file.
            start: the byte with which it begins.
            size: its length.
            name: its name, without a path.
            shown_as: what it is called in messages.
        """
        self = cls.__new__(cls)
        self.name, self.shown, self._file = name, shown_as, file
        self._start, self.size = start, size
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Idempotent."""
        if self._start is None:
            self._file.close()

    @cached_property
    def sha256(self) -> str:
        """The digest of its bytes, as they lay there when it was first asked for."""
        with self._readable():
            return self._digest()

    def describe(self) -> dict[str, Any]:
        """Return what is kept of it: never where it lay."""
        return {"name": self.name, "bytes": self.size, "sha256": self.sha256}

    def has_changed(self) -> bool:
        """Return whether its content is another than when its digest was first asked for."""
        with self._readable():
            return self._digest() != self.sha256

    @property
    def raw(self) -> IO[bytes]:
        """Its bytes, from the first one, as they lie there. Several may be read from."""
        return self._bytes(io.DEFAULT_BUFFER_SIZE)

    @cached_property
    def encoding(self) -> str:
        """The encoding that a mark at its beginning names; ``"utf-8"`` if there is none.

        Raises:
            InvalidInputError: it is text of two or four bytes a character, but does not say in which order.
        """
        with self.content() as content:
            start = content.read(4)
        for mark, encoding in _MARKS.items():
            if start.startswith(mark):
                return encoding
        if b"\0" in start[:2]:
            raise InvalidInputError(f"{self.shown} is not UTF-8, nor UTF-16 with a mark: save it as UTF-8.")
        return "utf-8"

    @property
    def is_compressed(self) -> bool:
        """Whether `content` is another than its bytes."""
        with self._readable():
            start = self.raw.read(len(_XZ))
        return start.startswith((_GZIP, _ZSTD, _BZIP2, _XZ))

    @contextmanager
    def content(self, buffer: int = _BLOCK) -> Generator[IO[bytes]]:
        """Open its content from the first byte on, decompressed if it is compressed. Several may be open.

        Args:
            buffer: how many bytes are read at a time.

        Raises:
            InvalidInputError: it is cut short or damaged, which may be found at any point of reading it.
        """
        with self._readable():
            raw = self._bytes(buffer)
            start = raw.read(len(_XZ))
            raw.seek(0)
            if start.startswith(_GZIP):
                import gzip

                stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb"))
            elif start.startswith(_ZSTD):
                stream = cast("IO[bytes]", zstd().ZstdFile(raw))
            elif start.startswith(_BZIP2):
                import bz2

                stream = cast("IO[bytes]", bz2.BZ2File(raw))
            elif start == _XZ:
                import lzma

                stream = cast("IO[bytes]", lzma.LZMAFile(raw))  # noqa: SIM115 (closed below)
            else:
                yield raw
                return
            with io.BufferedReader(cast("Any", stream), buffer) as buffered:
                yield cast("IO[bytes]", buffered)

    @contextmanager
    def text(self, buffer: int = _BLOCK) -> Generator[IO[bytes]]:
        """Open its text in UTF-8, without a mark, whatever its encoding; otherwise as `content`."""
        encoding = self.encoding
        with self.content(buffer) as content:
            mark = content.read(4)
            length = next((len(known) for known in _MARKS if mark.startswith(known)), 0)
            # Not all can seek backwards cheaply, but each can within the block that it has just read.
            content.seek(length)
            if encoding == "utf-8":
                yield content
                return
            with io.BufferedReader(_InUtf8(content, encoding, self.shown), buffer) as buffered:
                yield cast("IO[bytes]", buffered)

    def _bytes(self, buffer: int) -> IO[bytes]:
        """Return its bytes, with a place of their own; to the end of what it is now, if it is a whole file."""
        section = _Section(self._file.fileno(), self._start or 0, None if self._start is None else self.size)
        return cast("IO[bytes]", io.BufferedReader(section, buffer))

    def _digest(self) -> str:
        digest = hashlib.sha256()
        stream = self.raw
        while block := stream.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()

    @contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except EOFError as error:
            raise InvalidInputError(
                f"{self.shown} ends in the middle of its compressed data: it is incomplete, so copy it again."
            ) from error
        except zlib.error as error:
            raise InvalidInputError(f"{self.shown} is damaged: its compressed data cannot be read.") from error
        except OSError as error:  # also gzip's
            raise _unreadable(self.shown, error) from error
        except Exception as error:
            if type(error).__name__ not in ("ZstdError", "LZMAError"):  # of modules that only some files need
                raise
            raise InvalidInputError(f"{self.shown} is damaged: its compressed data cannot be read.") from error


class _Section(io.RawIOBase):
    """The bytes of an open file, or a part of them, with a place of its own. It leaves the file open."""

    def __init__(self, descriptor: int, start: int, size: int | None) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        wanted = len(buffer) if self._size is None else max(0, min(len(buffer), self._size - self._at))
        found = read_at(self._descriptor, wanted, self._start + self._at)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        if whence == os.SEEK_END:
            offset += os.fstat(self._descriptor).st_size if self._size is None else self._size
        self._at = offset + (self._at if whence == os.SEEK_CUR else 0)
        return self._at


class _InUtf8(io.RawIOBase):
    """Text of another encoding, in UTF-8."""

    def __init__(self, content: IO[bytes], encoding: str, shown_as: str) -> None:
        self._content = content
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._shown = shown_as
        self._ready = b""

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        while not self._ready:
            block = self._content.read(_BLOCK)
            try:
                self._ready = self._decoder.decode(block, final=not block).encode()
            except UnicodeError:
                family = self._encoding[:-3].upper()
                raise InvalidInputError(
                    f"{self._shown} begins with the mark of {family}, but is not {family}: save it as UTF-8."
                ) from None
            if not block:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count


def encoding_of(file: SourceFile) -> dict[str, Any]:
    """Return what is kept of the encoding of a text: nothing of one in UTF-8, as of all that were imported before."""
    return {} if file.encoding == "utf-8" else {"encoding": file.encoding}


def notes_on_encoding(file: SourceFile) -> list[str]:
    """Return the encoding of a text for a report, if it is not the usual one."""
    return [] if file.encoding == "utf-8" else [file.encoding.upper()]


def _unreadable(shown: str, error: OSError) -> InvalidInputError:
    reason = error.strerror or f"it is damaged ({type(error).__name__})"
    return InvalidInputError(f"{shown} cannot be read: {reason}.")
