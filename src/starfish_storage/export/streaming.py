"""An export to whom it concerns at once: into a stream, such as the standard output, in place of a file."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
from types import TracebackType
from typing import Any, Protocol, Self

from starfish_storage.files.descriptors import CLOSED_IN_CHILDREN

_AT_ONCE = 1 << 16  # bytes, as a pipe holds
_LAST_SECONDS = 1.0  # for the last lines before an error: a reader that takes nothing is not waited for longer


class ByteStream(Protocol):
    """What an export can be written to: a binary file, a socket's, or anything that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take all of these bytes."""
        ...

    def flush(self) -> object:
        """Hand on what was taken."""
        ...


class Stream:
    """A stream that an export is written to; a context. See `Destination`, in whose place it stands.

    A form that writes line after line does so into a pipe, from which a thread feeds the stream: so the first lines
    are read while the last ones are made. Another form gets a temporary file, which follows when it is whole.

    Args:
        output: the stream.
        is_direct: the form writes line after line.

    Attributes:
        path: ``-``.
        partial: what the form writes to.
    """

    path = "-"

    def __init__(self, output: ByteStream, *, is_direct: bool) -> None:
        self.partial = ""
        self._output = output
        self._is_direct = is_direct
        self._directory = ""
        self._read_end = self._write_end = -1
        self._pump = threading.Thread(target=self._feed, name="starfish-storage-stream", daemon=True)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._bytes = 0

    def __enter__(self) -> Self:
        """Make the pipe, and the temporary file if there is to be one."""
        self._output.flush()
        if not self._is_direct:
            self._directory = tempfile.mkdtemp(prefix="starfish-storage-")
        self._read_end, self._write_end = os.pipe()
        self.partial = f"/dev/fd/{self._write_end}" if self._is_direct else f"{self._directory}/export"
        self._pump.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the temporary file. If the reader of the stream has left, that is the error, and not its effects."""
        self._close_write_end()
        self._ended.wait(_LAST_SECONDS)
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
        if self._error is not None and isinstance(error, Exception):
            raise self._error

    def put(self) -> int:
        """Wait until the stream has taken everything; return how many bytes.

        Raises:
            OSError: it takes nothing any more.
        """
        if not self._is_direct:
            with open(self.partial, "rb") as whole, open(self._write_end, "wb", closefd=False) as pipe:
                shutil.copyfileobj(whole, pipe, _AT_ONCE)
        self._close_write_end()
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._bytes

    def stop(self) -> None:
        """Let go of whoever waits for the stream, which may take nothing for hours: writing to it fails from now on."""
        with self._lock:
            if self._read_end >= 0:  # a thread may be reading from it: its number is not free for another file
                nothing = os.open(os.devnull, os.O_RDONLY | CLOSED_IN_CHILDREN)
                os.dup2(nothing, self._read_end, inheritable=False)
                os.close(nothing)
        self._ended.set()

    def _close_write_end(self) -> None:
        end, self._write_end = self._write_end, -1
        if end >= 0:
            os.close(end)

    def _feed(self) -> None:
        try:
            while piece := os.read(self._read_end, _AT_ONCE):
                self._give(piece)
                self._bytes += len(piece)
        except BaseException as error:  # noqa: BLE001 (raised in the thread of the export)
            self._error = error
        with self._lock:
            end, self._read_end = self._read_end, -1
            os.close(end)
        self._ended.set()

    def _give(self, piece: bytes) -> None:
        """Hand on bytes, past the buffer of the standard output.

        A thread that waits for a reader in the lock of that buffer is a fatal error where the interpreter ends.
        """
        raw: Any = getattr(self._output, "raw", None)
        if not isinstance(raw, io.RawIOBase):
            self._output.write(piece)
            self._output.flush()
            return
        left = memoryview(piece)
        while left:
            left = left[raw.write(left) or 0 :]
