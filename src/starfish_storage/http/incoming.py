"""An answer as it comes in: decoded within bounds, and not believed to be whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress

from starfish_storage.runs.exchanges import LARGEST_BODY

ENCODING = "gzip"
"""What requests say that they accept: the one encoding whose result can be bounded while it is decoded."""

_PIECE = 1 << 20
_GZIP_OR_ZLIB = 47  # zlib's own number
_PLAIN = frozenset({"", "identity"})
_STREAMS = frozenset({
    "text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson", "application/jsonl",
    "application/stream+json",
})  # fmt: skip


class UndecodableError(Exception):
    """An answer cannot be recorded; whoever asked gets it as it came.

    Attributes:
        kind: what is wrong with it, in a word or two.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Incoming:
    """Gathers an answer.

    Args:
        status: its status.
        headers: its headers, by lower-case names.

    Attributes:
        status: its status.
        media_type: what it says that it is.
        raw: what has come, as it came.
        is_stream: whether it is to be passed on piece by piece.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.media_type = headers.get("content-type", "")
        self.raw: list[bytes] = []
        self.is_stream = self.media_type.partition(";")[0].strip().lower() in _STREAMS
        self._encoding = headers.get("content-encoding", "").strip().lower()
        self._length = headers.get("content-length", "")
        self._came = 0

    @property
    def can_be_decoded(self) -> bool:
        """Whether this knows the encoding of the answer."""
        return self._encoding in _PLAIN or self._encoding in ("gzip", "x-gzip", "deflate")

    def add(self, piece: bytes) -> bool:
        """Take what came; return whether it is still small enough to be recorded."""
        self.raw.append(piece)
        self._came += len(piece)
        return self._came < LARGEST_BODY

    def body(self) -> bytes:
        """Return the whole answer, decoded.

        Raises:
            UndecodableError: it is too large when it is decoded, or not what its headers say.
        """
        if self._length.isdigit() and int(self._length) != self._came:
            raise UndecodableError("truncated", f"{self._came} bytes came of {self._length}")
        decoder, pieces = self.decoder(), list[bytes]()
        self._decode_into(pieces, decoder)
        if not decoder.is_whole:
            raise UndecodableError("truncated", f"its {self._encoding} ends too early")
        return b"".join(pieces)

    def part(self) -> bytes:
        """Return what has come, as far as it can be decoded and is not too large."""
        pieces = list[bytes]()
        with suppress(UndecodableError):
            self._decode_into(pieces, self.decoder())
        return b"".join(pieces)

    def _decode_into(self, pieces: list[bytes], decoder: Decoder) -> None:
        size = 0
        for raw in self.raw:
            for piece in decoder.add(raw):
                size += len(piece)
                if size >= LARGEST_BODY:
                    raise UndecodableError("too large", f"it is larger than {LARGEST_BODY >> 20} MB when it is decoded")
                pieces.append(piece)

    def decoder(self) -> Decoder:
        """Return what decodes the answer piece by piece."""
        return Decoder(is_plain=self._encoding in _PLAIN)


class Decoder:
    """Decodes gzip in pieces of a bounded size: of one that unpacks to gigabytes, nothing is held."""

    def __init__(self, *, is_plain: bool) -> None:
        self._unpacking = None if is_plain else zlib.decompressobj(_GZIP_OR_ZLIB)
        self._is_empty = True

    @property
    def is_whole(self) -> bool:
        """Whether it may end here."""
        return self._unpacking is None or self._unpacking.eof or self._is_empty

    def add(self, raw: bytes) -> Iterator[bytes]:
        """Yield what a piece decodes to.

        Raises:
            UndecodableError: it is not what its headers say.
        """
        self._is_empty = self._is_empty and not raw
        if self._unpacking is None:
            yield raw
            return
        while raw:
            try:
                piece = self._unpacking.decompress(raw, _PIECE)
            except zlib.error as error:
                raise UndecodableError("broken", f"it cannot be decoded: {error}") from error
            if piece:
                yield piece
            if self._unpacking.eof:
                return
            raw = self._unpacking.unconsumed_tail
