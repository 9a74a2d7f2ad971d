"""The packs of a backup: what the store has appended is appended there too, and nothing that is there is changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from starfish_storage.codec import content_digest
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.errors import DataNotFoundError
from starfish_storage.files.errors import translated
from starfish_storage.keys import PACKS_DIRECTORY, PackPlace, pack_key, pack_named, place_in_pack
from starfish_storage.metadata.sqlite.snapshot import EarlierBackup, PackedReference, Snapshot

_PIECE = 4 << 20  # bytes that are copied at a time
_READ_AT_ONCE = 500
_END = 4 << 10  # bytes, by which it is seen whether two packs of a name are the same


class PackFile(NamedTuple):
    """A file of a pack.

    Attributes:
        pack: the name of the pack.
        is_plain: it is not compressed.
        size: in bytes.
        modified: when it was changed last, in nanoseconds since 1970.
    """

    pack: str
    is_plain: bool
    size: int
    modified: int

    @property
    def key(self) -> str:
        """Its path, relative to the root."""
        return pack_key(self.pack) if self.is_plain else f"{pack_key(self.pack)}.zst"


class PackCopies:
    """Brings the packs of a backup up to date with a snapshot.

    A pack there is not changed, up to where the earlier backup's database ends it, before the new database is in place:
    what lies behind that is nobody's. Where a pack of the store is another than the one of that name in the backup (the
    store was restored, say, or is another one), its content goes into the journal of the snapshot, as files do that
    replace others.

    Args:
        source: the data of the store.
        target: the data of the backup.
        earlier: the database of the earlier backup.

    Attributes:
        copied: how many bytes of each pack were copied.
        kept: how many packs were there already, whole.
    """

    def __init__(self, source: FileSystemDataHandler, target: FileSystemDataHandler, earlier: EarlierBackup) -> None:
        self._source = source
        self._target = target
        self._earlier = earlier
        self._ends = earlier.packs()  # how much of each pack in the backup is that of the store's pack
        self._replaced: set[str] = set()  # go through the journal
        self._whole: set[str] = set()  # compressed, and copied in this run
        self._found: Mapping[str, PackFile] = {}
        self._committed: Mapping[str, int] = {}
        self._needed: set[str] = set()
        self.copied: dict[str, int] = {}
        self.kept = 0

    def copy(self, snapshot: Snapshot) -> int:
        """Copy what a snapshot has of packs and the backup has not; return how many packs there are."""
        self._committed = snapshot.packs()
        self._found = pack_files(self._source)
        there = pack_files(self._target)
        # Others were made after the snapshot, or by a writer that was killed before its first commit.
        packs = sorted(self._found.keys() & self._committed.keys())
        for pack in packs:
            self._copy(self._found[pack], there.get(pack), self._committed[pack], snapshot)
        self.kept = len(set(packs) - self.copied.keys())
        return len(packs)

    def unlike_their_rows(self, snapshot: Snapshot, journal: Mapping[str, object]) -> tuple[int, dict[str, str]]:
        """Return how many rows refer to data in packs, and of packs with wrong data the place of the first of it.

        Data that the earlier backup's rows have in the same place is not read again.
        """
        count, unlike = 0, dict[str, str]()
        self._needed = set()
        ranges = [place for place in map(place_in_pack, journal) if place is not None]
        unsure: list[PackedReference] = []
        for one in self._not_known(snapshot.packed_references()):
            count += 1
            if one is not None:
                unsure.append(one)
            if len(unsure) == _READ_AT_ONCE:
                self._check(unsure, ranges, unlike)
                unsure = []
        self._check(unsure, ranges, unlike)
        self._replaced |= unlike.keys()  # in another pass, if there is one
        return count, unlike

    def tidy(self) -> int:
        """Remove packs that the store no longer has, and what lies behind the ends of the others; return how many.

        Once the new database is in place.
        """
        gone = 0
        with translated(f"{self._target.root}/{PACKS_DIRECTORY}"):
            for file in every_pack_file(self._target):
                found = self._found.get(file.pack)
                is_wanted = file.pack in self._needed if found is None else file.pack in self._committed
                if found is not None and is_wanted:
                    is_wanted = file.is_plain == (found.is_plain or file.pack in self._replaced)
                if not is_wanted:
                    self._remove(file)
                    gone += found is None
                elif file.is_plain and file.size > self._committed.get(file.pack, file.size):
                    self._cut(file)
        return gone

    def _copy(self, file: PackFile, there: PackFile | None, end: int, snapshot: Snapshot) -> None:
        pack, begin = file.pack, self._ends.get(file.pack, 0)
        if there is None:
            begin = 0
        elif pack in self._ends:
            if not there.is_plain and self._is_equal(file, there):
                return
            if not (there.is_plain and self._is_same(pack, begin, end)):
                self._replaced.add(pack)
        if pack in self._replaced:
            self._journal(PackPlace(pack, 0, min(file.size, end) if file.is_plain else end), snapshot)
        elif file.is_plain:
            self._append(pack, begin, min(file.size, end))
        else:
            self._copy_whole(file)
            self._ends[pack] = end

    def _is_equal(self, file: PackFile, there: PackFile) -> bool:
        """Return whether a compressed pack is the backup's: by its time, or by its content if it was only copied."""
        if file[:3] != there[:3] or file.modified == there.modified:
            return file == there
        ours, theirs = (data.read_with_time(file.key) for data in (self._source, self._target))
        return ours is not None and theirs is not None and ours[0] == theirs[0]

    def _is_same(self, pack: str, begin: int, end: int) -> bool:
        """Return whether a pack of the store begins with what the backup has of it, going by the end of that."""
        length = min(_END, begin)
        last = PackPlace(pack, begin - length, length)
        ours, theirs = (next(iter(data.packs.read_each([last]))) for data in (self._source, self._target))
        return begin <= end and ours is not None and ours == theirs

    def _append(self, pack: str, begin: int, end: int) -> None:
        if begin < end and _copied(self._source, self._target, PackPlace(pack, begin, end - begin)):
            self.copied[pack] = self.copied.get(pack, 0) + end - begin
            self._ends[pack] = end

    def _copy_whole(self, file: PackFile) -> None:
        found = self._source.read_with_time(file.key)
        if found is not None:
            self._target.put(file.key, *found)
            self._target.sync([file.key])
            self._whole.add(file.pack)
            self.copied[file.pack] = len(found[0])

    def _journal(self, whole: PackPlace, snapshot: Snapshot) -> None:
        try:
            for piece in _pieces(whole):
                snapshot.journal_data(piece.key, self._source.packs.read(piece))
        except DataNotFoundError:
            return  # removed since they were listed: the rows that refer to it are looked at next
        self.copied[whole.pack] = whole.length

    def _not_known(self, references: Iterator[PackedReference]) -> Iterator[PackedReference | None]:
        """Yield what the backup is not known to have in its place; None for what it is."""
        known = self._earlier.packed_references()
        ahead = next(known, None)
        for one in references:
            self._needed.add(one.place.pack)
            while ahead is not None and ahead.place < one.place:
                ahead = next(known, None)
            is_known = one == ahead and one.sha256 is not None
            yield None if is_known and not self._is_replaced(one) else one

    def _check(
        self, references: Sequence[PackedReference], ranges: Sequence[PackPlace], unlike: dict[str, str]
    ) -> None:
        for is_replaced, some in groupby(references, self._is_replaced):
            data, ones = self._source if is_replaced else self._target, list(some)
            for one, payload in zip(ones, data.packs.read_each([one.place for one in ones]), strict=True):
                is_whole = payload is not None and one.sha256 in (None, content_digest(payload))
                if not is_whole and not any(known.holds(one.place) for known in ranges):  # else the journal has it
                    unlike.setdefault(one.place.pack, one.place.key)

    def _is_replaced(self, reference: PackedReference) -> bool:
        """Return whether the store's own pack is to be read: what replaces that of the backup is not there yet."""
        return reference.place.pack in self._replaced or reference.place.pack in self._whole

    def _remove(self, file: PackFile) -> None:
        directory = self._target.directories.acquire(PACKS_DIRECTORY)
        try:
            self._target.files.remove(directory, file.key.rpartition("/")[2])
        finally:
            self._target.directories.release(PACKS_DIRECTORY, directory)

    def _cut(self, file: PackFile) -> None:
        directory = self._target.directories.acquire(PACKS_DIRECTORY)
        try:
            descriptor = self._target.files.open_for_changes(directory, file.key.rpartition("/")[2])
            try:
                self._target.files.truncate(descriptor, self._committed[file.pack])
            finally:
                os.close(descriptor)
        finally:
            self._target.directories.release(PACKS_DIRECTORY, directory)


def pack_files(data: FileSystemDataHandler) -> dict[str, PackFile]:
    """Return the file of each pack that is read: the plain one, where there is also a compressed one."""
    return {file.pack: file for file in sorted(every_pack_file(data), key=lambda file: file.is_plain)}


def every_pack_file(data: FileSystemDataHandler) -> list[PackFile]:
    """Return every file of packs, in the order of their names.

    Raises:
        StorageIOError: the directory cannot be listed.
    """
    found: list[PackFile] = []
    with translated(f"{data.root}/{PACKS_DIRECTORY}"):
        try:
            directory = data.directories.acquire(PACKS_DIRECTORY)
        except FileNotFoundError:
            return []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    pack, state = pack_named(f"{PACKS_DIRECTORY}/{entry.name}"), entry.stat(follow_symlinks=False)
                    if pack is not None and stat.S_ISREG(state.st_mode):
                        is_plain = entry.name.endswith(".jsonl")
                        found.append(PackFile(pack, is_plain, state.st_size, state.st_mtime_ns))
        finally:
            data.directories.release(PACKS_DIRECTORY, directory)
    return sorted(found)


def copy_packs(original: FileSystemDataHandler, data: FileSystemDataHandler, ends: Mapping[str, int]) -> list[int]:
    """Copy the packs of a store, up to their committed ends; return the sizes of what was copied. Power-safe."""
    sizes: list[int] = []
    for file in pack_files(original).values():
        if file.pack not in ends:
            continue
        if file.is_plain:
            whole = PackPlace(file.pack, 0, min(file.size, ends[file.pack]))
            if _copied(original, data, whole):
                sizes.append(whole.length)
        elif (found := original.read_with_time(file.key)) is not None:
            data.put(file.key, *found)
            data.sync([file.key])
            sizes.append(len(found[0]))
    return sizes


def _copied(source: FileSystemDataHandler, target: FileSystemDataHandler, whole: PackPlace) -> bool:
    """Copy a range of a pack, power-safe; return False if it is no longer there."""
    try:
        for piece in _pieces(whole):
            target.packs.restore(piece, source.packs.read(piece))
    except DataNotFoundError:
        return False
    target.packs.sync([whole.pack])
    return True


def _pieces(whole: PackPlace) -> Iterator[PackPlace]:
    for begin in range(whole.start, whole.end, _PIECE):
        yield PackPlace(whole.pack, begin, min(_PIECE, whole.end - begin))
