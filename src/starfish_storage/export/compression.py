"""Files that are compressed as they are written: the same bytes for the same content."""

from __future__ import annotations

import gzip
from typing import IO, Literal, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.extras import zstd
from starfish_storage.form_option import FormOption

Compression = Literal["gzip", "zstd"]

ENDINGS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
"""Of file names, with what they mean."""

COMPRESSION = FormOption(
    "compression", "Compress it so: gzip or zstd; Parquet also snappy, brotli, lz4, none [default: by FILE].", "NAME"
)
"""The option of all forms that are compressed."""

_GZIP_LEVEL = 6
_BUFFER = 1 << 20


def ending_of(compression: Compression | None) -> str:
    """Return the ending of a file that is compressed so; empty for one that is not.

    >>> ending_of("gzip"), ending_of(None)
    ('.gz', '')
    """
    return next((ending for ending, name in ENDINGS.items() if name == compression), "")


def open_compressed(path: str, compression: Compression | None) -> IO[bytes]:
    """Open a file for writing; closing it writes the end of what is compressed.

    Raises:
        InvalidInputError: the compression is unknown.
        MissingExtraError: what compresses it is not installed.
        OSError: it cannot be opened.
    """
    if compression is None:
        return open(path, "wb", buffering=_BUFFER)
    if compression == "gzip":
        # Neither a time nor a name in its head: two exports of the same records are the same bytes.
        return cast("IO[bytes]", _ClosingGzip(open(path, "wb", buffering=_BUFFER)))
    if compression == "zstd":
        return cast("IO[bytes]", zstd().open(path, "wb"))
    raise InvalidInputError(f"compression {compression!r} is unknown: use one of {', '.join(ENDINGS.values())}.")


class _ClosingGzip(gzip.GzipFile):
    """Closes the file below it too, which `GzipFile` leaves to those who gave it."""

    def __init__(self, below: IO[bytes]) -> None:
        self._below = below
        super().__init__(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=below, mtime=0)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._below.close()
