"""Reading ranges of packs: the files that hold the data of many records each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from starfish_storage import keys
from starfish_storage.data.compressed_packs import RecentFrames
from starfish_storage.data.directories import Directories
from starfish_storage.data.open_packs import OpenPack, open_pack
from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StoreDamagedError
from starfish_storage.files.descriptors import share_of_descriptors
from starfish_storage.files.errors import translated
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.keys import PACKS_DIRECTORY, PackPlace

_MOST_KEPT_OPEN = 64
_LONGEST_GAP = 16 << 10  # bytes that are read in vain; another call costs as much
_LARGEST_READ = 4 << 20  # bytes that are read in one call for several places


class PackReader:
    """Reads packs, and keeps them open where the system's limit allows. Safe to use from several threads.

    Args:
        directories: the directories of the root.
    """

    def __init__(self, directories: Directories) -> None:
        self._directories = directories
        self._open: dict[str, OpenPack] = {}
        self._opens = 0  # since it was looked which are removed
        self._frames = RecentFrames()
        # A sixteenth of the descriptors at most: directories take a quarter, and the rest is the caller's.
        self._most = share_of_descriptors(16, _MOST_KEPT_OPEN)

    def read(self, place: PackPlace) -> bytes:
        """Return what is at a place.

        Raises:
            DataNotFoundError: there is no such pack, or it ends before.
            InvalidReferenceError: what is there is a link or no regular file.
            StoreDamagedError: it is compressed, and what is read of it is damaged.
            MissingExtraError: it is compressed, and what decompresses it is not installed.
            StorageIOError: it cannot be read.
        """
        content = self._read_at_once(place)
        if content is None:
            content = self._read(place)
        if content is None:
            raise self._missing(place)
        return content

    def read_each(self, places: Iterable[PackPlace]) -> Iterator[bytes | None]:
        """Yield what is at each place, in their order; None where there is nothing, or a frame is damaged.

        Neighbours are read in one call.

        Raises:
            InvalidReferenceError: as `read`.
            StorageIOError: as `read`.
        """
        portion: list[PackPlace] = []
        size = 0
        for place in places:
            if portion and size + place.length > _LARGEST_READ:
                yield from self._read_portion(portion)
                portion, size = [], 0
            portion.append(place)
            size += place.length
        yield from self._read_portion(portion)

    def read_parts(self, place: PackPlace, length: int) -> Iterator[bytes]:
        """Yield what is at a place in parts of so many bytes. Raises as `read`, with the first part."""
        pack = self._holding(place)
        if pack is None:
            raise self._missing(place)
        with translated(self._path(place.pack)):
            for start in range(place.start, place.end, length):
                part = pack.read(start, min(length, place.end - start))
                if not part:
                    raise self._missing(place)  # it was cut meanwhile
                yield part

    def holds(self, place: PackPlace) -> bool:
        """Return whether there is a pack of that name that reaches so far. Raises as `read`."""
        return self._holding(place) is not None

    def close(self) -> None:
        """Close the packs that are kept open. Idempotent."""
        kept, self._open = self._open, {}
        for pack in kept.values():
            pack.close()

    def _read_whole(self, place: PackPlace) -> bytes | None:
        """Return what is at a place; None if there is nothing, or it is damaged, which reading it alone tells."""
        try:
            return self._read(place)
        except StoreDamagedError:
            return None

    def _read_portion(self, places: Sequence[PackPlace]) -> list[bytes | None]:
        found: list[bytes | None] = [None] * len(places)
        for span, numbers in _spans(places):
            content = self._read_whole(span)
            if content is None:  # the pack is shorter, gone, or damaged in a part: each for itself
                for number in numbers:
                    found[number] = self._read_whole(places[number])
                continue
            for number in numbers:
                _, start, length = places[number]
                start -= span.start
                found[number] = content[start : start + length]
        return found

    def _read_at_once(self, place: PackPlace) -> bytes | None:
        """Return what is at a place as it usually is there; None where `_read` has to look closer."""
        pack = self._open.get(place.pack)
        if pack is None:
            return None
        try:
            content = pack.read(place.start, place.length) if pack.reaches(place.end) else b""
        except (OSError, StoreDamagedError):
            return None
        return content if len(content) == place.length else None

    def _read(self, place: PackPlace) -> bytes | None:
        pack = self._holding(place)
        if pack is None:
            return None
        with translated(self._path(place.pack)):
            content = pack.read(place.start, place.length)
            if len(content) == place.length:
                return content
            # It was cut since its size was looked at.
            self._open.pop(place.pack, None)
            pack = self._holding(place)
            content = b"" if pack is None else pack.read(place.start, place.length)
        return content if pack is not None and len(content) == place.length else None

    def _holding(self, place: PackPlace) -> OpenPack | None:
        """Return the open pack that reaches to the end of a place. None: there is none, also after another look."""
        pack = self._open.get(place.pack)
        if pack is not None and pack.reaches(place.end):
            return pack
        # Not there; or the name, or that of the directory, has gone to another since, as when a backup was restored.
        pack = self._found(place)
        if pack is None and self._directories.notice_replaced(PACKS_DIRECTORY):
            pack = self._found(place)
        return pack

    def _found(self, place: PackPlace) -> OpenPack | None:
        self._open.pop(place.pack, None)
        try:
            pack = self._opened(place.pack)
        except FileNotFoundError:
            return None
        return pack if pack.reaches(place.end) else None

    def _opened(self, name: str) -> OpenPack:
        """Open a pack anew. Raises a plain `FileNotFoundError` if there is none."""
        if keys.pack_named(keys.pack_key(name)) is None:
            raise InvalidReferenceError(name, "it is not the name of a pack")  # of a row that was tampered with
        pack = open_pack(self._directories, name, self._frames)
        self._keep(name, pack)
        return pack

    def _keep(self, name: str, pack: OpenPack) -> None:
        """Keep a pack open, in place of those that were removed since they were opened, and of the first of too many.

        A removed file takes up its space for as long as somebody has it open.
        """
        self._opens += 1
        if self._opens >= len(self._open):  # one look for each that is opened
            self._opens = 0
            for kept, other in list(self._open.items()):
                if other.is_removed():
                    self._open.pop(kept, None)
        if not self._most or SPARES.are_short:
            return
        for kept in list(self._open)[: max(0, len(self._open) + 1 - self._most)]:
            self._open.pop(kept, None)
        self._open[name] = pack

    def _missing(self, place: PackPlace) -> DataNotFoundError:
        return DataNotFoundError("data", f"{self._directories.root}/{place.key}", "it was never saved, or was deleted")

    def _path(self, name: str) -> str:
        return f"{self._directories.root}/{keys.pack_key(name)}"


def _spans(places: Sequence[PackPlace]) -> Iterator[tuple[PackPlace, list[int]]]:
    """Yield ranges that are worth reading in one call, and the numbers of the places that lie in each."""
    numbers: list[int] = []
    pack, start, end = "", 0, 0
    for number in sorted(range(len(places)), key=places.__getitem__):
        name, begin, length = places[number]
        reached = max(end, begin + length)
        if numbers and name == pack and begin - end <= _LONGEST_GAP and reached - start <= _LARGEST_READ:
            numbers.append(number)
            end = reached
            continue
        if numbers:
            yield PackPlace(pack, start, end - start), numbers
        numbers = [number]
        pack, start, end = name, begin, begin + length
    if numbers:
        yield PackPlace(pack, start, end - start), numbers
