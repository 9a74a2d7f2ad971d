"""Files that are read: opened once, so that what is checked is what is read, plain or compressed."""

from __future__ import annotations

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

_GZIP, _ZSTD, _BZIP2, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"
_BLOCK = 2**20
_LONGEST_PATH = 300


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
            self._file = open(path, "rb")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise _unreadable(self.shown, error) from error
        self.size = found.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Idempotent."""
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
        """Its bytes, from the first one, as they lie there."""
        self._file.seek(0)
        return self._file

    @contextmanager
    def content(self) -> Generator[IO[bytes]]:
        """Open its content from the first byte on, decompressed if it is compressed.

        Raises:
            InvalidInputError: it is cut short or damaged, which may be found at any point of reading it.
        """
        with self._readable():
            start = self.raw.read(len(_XZ))
            if start.startswith(_GZIP):
                import gzip

                stream = cast("IO[bytes]", gzip.GzipFile(fileobj=self.raw, mode="rb"))
            elif start.startswith(_ZSTD):
                stream = cast("IO[bytes]", zstd().ZstdFile(self.raw))
            elif start.startswith(_BZIP2):
                import bz2

                stream = cast("IO[bytes]", bz2.BZ2File(self.raw))
            elif start == _XZ:
                import lzma

                stream = cast("IO[bytes]", lzma.LZMAFile(self.raw))  # noqa: SIM115 (closed below)
            else:
                stream = cast("IO[bytes]", _Unclosed(self.raw))
            with io.BufferedReader(cast("Any", stream), _BLOCK) as buffered:
                yield cast("IO[bytes]", buffered)

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


class _Unclosed(io.RawIOBase):
    """A file that stays open when what reads it is closed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = file

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        return cast("Any", self._stream).readinto(buffer)


def _unreadable(shown: str, error: OSError) -> InvalidInputError:
    reason = error.strerror or f"it is damaged ({type(error).__name__})"
    return InvalidInputError(f"{shown} cannot be read: {reason}.")
