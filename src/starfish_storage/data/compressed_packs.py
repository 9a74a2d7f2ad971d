"""Packs that are compressed: zstd frames and their seek table, so that ``zstdcat`` reads them and any range is near.

The form is the *zstd seekable format*, version 0.1.0: frames that know nothing of each other, then a table of their
sizes in a frame that every decoder skips. Only Python's own ``compression.zstd``, or its backport, is needed; pyzstd's
`SeekableZstdFile` believes the table, whatever it says, and decodes a frame of any size for it.
"""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate, count
from struct import Struct
from typing import Any, NamedTuple

from starfish_storage.errors import SEE_DAMAGE, StoreDamagedError
from starfish_storage.extras import zstd
from starfish_storage.files.descriptors import read_at

FRAME_CONTENT = 1 << 18
"""The most bytes of content in a frame: what is decoded to read one record. No reader accepts more."""

ENDING = ".zst"
"""What the name of a compressed pack has more than that of the pack."""

_LEVEL = 6  # of zstd: 3 leaves 4 % more and is done in half the time; 12 leaves 7 % less and takes ten times as long
_MOST_COMPRESSED = FRAME_CONTENT + (FRAME_CONTENT >> 7)  # what cannot be compressed grows a little
_MOST_FRAMES = 1 << 16  # 8 GB of content at least, far beyond what a pack may hold; the table of so many has 512 KB
_WINDOW_LOG = 18  # as large as the content of a frame: one that asks for more memory is refused

_TABLE_MAGIC, _FOOTER_MAGIC = 0x184D2A5E, 0x8F92EAB1
_HEAD, _ENTRY, _FOOTER = Struct("<II"), Struct("<II"), Struct("<IBI")
_HAS_CHECKSUMS, _RESERVED = 0x80, 0x7C
_CHECKSUM_SIZE = 4
_FRAME_HEAD = 18  # bytes, the most that the head of a frame has

_KEPT_FRAMES = 8  # 2 MB: neighbours are often read one after the other


class _SeekTable(NamedTuple):
    """Where each frame of a pack begins, and the content of each; both have one item more, the end.

    Attributes:
        frames: offsets in the file.
        content: offsets in what is compressed.
    """

    frames: array[int]
    content: array[int]


class RecentFrames:
    """The contents of the frames that were read last, of any packs. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def get(self, pack: int, number: int, decode: Callable[[int], bytes]) -> bytes:
        """Return the content of a frame, decoded if it is not kept: outside the lock, so two threads may do the same.

        Args:
            pack: a number that no other pack has.
            number: of the frame.
            decode: returns its content.
        """
        with self._lock:
            if (content := self._kept.get((pack, number))) is not None:
                self._kept.move_to_end((pack, number))
                return content
        content = decode(number)
        with self._lock:
            self._kept[pack, number] = content
            while len(self._kept) > _KEPT_FRAMES:
                self._kept.popitem(last=False)
        return content


class CompressedPack:
    """An open compressed pack. Safe to use from several threads.

    Args:
        descriptor: the open file, which is the caller's to close.
        path: what errors call it.
        frames: keeps the frames that were read last.

    Raises:
        StoreDamagedError: it is no compressed pack, or its seek table is damaged.
        MissingExtraError: what decompresses it is not installed.
        OSError: it cannot be read.
    """

    _numbers = count()

    def __init__(self, descriptor: int, path: str, frames: RecentFrames) -> None:
        self._descriptor = descriptor
        self._path = path
        self._recent = frames
        self._number = next(self._numbers)
        self._table = _seek_table(descriptor, path)

    @property
    def size(self) -> int:
        """How many bytes its content has."""
        return self._table.content[-1]

    def read(self, start: int, length: int) -> bytes:
        """Return a range of its content; less, or nothing, where it ends before.

        Args:
            start: of the range, in bytes of content.
            length: of the range, in bytes.

        Raises:
            StoreDamagedError: a frame is damaged that holds some of the range.
            OSError: it cannot be read.
        """
        return b"".join(self.parts(start, length))

    def parts(self, start: int, length: int) -> Iterator[bytes]:
        """Yield what `read` returns, in parts of at most the content of a frame. Raises as `read`."""
        begins = self._table.content
        end = min(start + length, self.size)
        while start < end:
            number = bisect_right(begins, start) - 1
            content = self._recent.get(self._number, number, self._decoded)
            yield content[start - begins[number] : end - begins[number]]
            start = begins[number + 1]

    def _decoded(self, number: int) -> bytes:
        """Decode a frame. Its own checksum tells whether what comes out is what went in."""
        library = _zstd()
        frames, begins = self._table
        length = begins[number + 1] - begins[number]
        decoder = library.ZstdDecompressor(options={library.DecompressionParameter.window_log_max: _WINDOW_LOG})
        try:
            frame = read_at(self._descriptor, frames[number + 1] - frames[number], frames[number])
            content: bytes = decoder.decompress(frame, length + 1)
        except library.ZstdError as error:
            raise _damaged(self._path, f"frame {number} cannot be decompressed") from error
        if len(content) != length or not decoder.eof or decoder.unused_data:
            raise _damaged(self._path, f"frame {number} is not what its seek table says")
        return content


def require_zstd() -> None:
    """Raise unless packs can be compressed, and read.

    Raises:
        MissingExtraError: what does it is not installed.
    """
    _zstd()


def _seek_table(descriptor: int, path: str) -> _SeekTable:
    """Return the seek table of a pack, once it agrees with the size of the file and with the head of each frame."""
    size = os.fstat(descriptor).st_size
    before, entries = _entries(descriptor, path, size)
    table = _SeekTable(
        array("Q", accumulate((compressed for compressed, _ in entries), initial=0)),
        array("Q", accumulate((content for _, content in entries), initial=0)),
    )
    if table.frames[-1] != before:
        raise _damaged(path, "its seek table and its size disagree")
    for number, (compressed, content) in enumerate(entries):
        if compressed > _MOST_COMPRESSED or not 0 < content <= FRAME_CONTENT:
            raise _damaged(path, f"frame {number} is larger than a frame of a pack can be, or empty")
        # If it were wrong about one, all that lies behind would be looked for in another place.
        if content != _content_size(descriptor, path, table.frames[number]):
            raise _damaged(path, f"frame {number} is not what its seek table says")
    return table


def compressed_frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a compressed pack in pieces: a frame for each of the chunks, which `frame_chunks` makes, and the table."""
    library = _zstd()
    parameters = library.CompressionParameter
    options = {parameters.compression_level: _LEVEL, parameters.checksum_flag: 1}
    entries: list[bytes] = []
    for chunk in chunks:
        frame = library.compress(chunk, options=options)
        entries.append(_ENTRY.pack(len(frame), len(chunk)))
        yield frame
    content = b"".join([*entries, _FOOTER.pack(len(entries), 0, _FOOTER_MAGIC)])
    yield _HEAD.pack(_TABLE_MAGIC, len(content)) + content


def frame_chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Divide what a function reads into the contents of frames, at the ends of lines where lines are not long.

    Args:
        read: returns the next bytes, so many or less, and none at the end.
    """
    rest = b""
    while more := read(FRAME_CONTENT - len(rest)):
        rest += more
        if len(rest) < FRAME_CONTENT:
            continue
        end = rest.rfind(b"\n", FRAME_CONTENT // 2) + 1 or FRAME_CONTENT
        yield rest[:end]
        rest = rest[end:]
    if rest:
        yield rest


def _entries(descriptor: int, path: str, size: int) -> tuple[int, list[tuple[int, int]]]:
    """Return where a seek table begins, and what it says of each frame: its size in the file, and of its content."""
    footer = read_at(descriptor, _FOOTER.size, max(0, size - _FOOTER.size))
    if len(footer) < _FOOTER.size:
        raise _damaged(path, "it is too short for a compressed pack")
    frames, described, magic = _FOOTER.unpack(footer)
    if magic != _FOOTER_MAGIC or described & _RESERVED or frames > _MOST_FRAMES:
        raise _damaged(path, "its end is not that of a seek table, so it may be cut off")
    each = _ENTRY.size + (_CHECKSUM_SIZE if described & _HAS_CHECKSUMS else 0)
    table = read_at(descriptor, length := _HEAD.size + frames * each + _FOOTER.size, max(0, size - length))
    if len(table) < length or _HEAD.unpack_from(table) != (_TABLE_MAGIC, length - _HEAD.size):
        raise _damaged(path, "its seek table does not begin where its end says")
    ends = length - _FOOTER.size
    return size - length, [_ENTRY.unpack_from(table, at) for at in range(_HEAD.size, ends, each)]


def _content_size(descriptor: int, path: str, begins: int) -> int | None:
    library = _zstd()
    try:
        size: int | None = library.get_frame_info(read_at(descriptor, _FRAME_HEAD, begins)).decompressed_size
    except library.ZstdError as error:
        raise _damaged(path, f"no frame begins at {begins:,}, where its seek table says") from error
    return size


def _damaged(path: str, reason: str) -> StoreDamagedError:
    return StoreDamagedError(path, f"{reason}; {SEE_DAMAGE}")


def _zstd() -> Any:
    return zstd("Compressed packs")
