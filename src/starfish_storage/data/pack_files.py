"""Packs below ``data/packs/``: files that hold the data of many records each, one a line."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack

from starfish_storage import keys
from starfish_storage.data.directories import Directories
from starfish_storage.data.pack_owning import PackChoice, WrittenPack
from starfish_storage.data.pack_reading import PackReader
from starfish_storage.errors import InvalidReferenceError, StorageError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.interface.data import CommittedSizes
from starfish_storage.keys import DATA_DIRECTORY, PACKS_DIRECTORY, PackPlace


class PackFiles:
    """Packs below ``data/packs/`` of one root: appended to by their owner, read by anybody.

    A pack is appended to only by who holds a ``flock`` on it. Packs are numbered, and the number of one that rows know
    of is not given again, be its file gone: who still has a place in it, or its file open, would read another's data.
    Where many machines write, nobody knows all numbers, and names are given that nobody else gives.

    Args:
        directories: the directories of the root.
        files: the file operations.
    """

    def __init__(self, directories: Directories, files: FileOperations) -> None:
        self._directories = directories
        self._files = files
        self._reader = PackReader(directories)
        self._choice = PackChoice(directories, files)
        self._process = os.getpid()
        self._appending = threading.Lock()
        self._syncing = threading.Lock()
        self._own: WrittenPack | None = None
        self._unsynced: dict[str, WrittenPack] = {}  # full or restored; the own one is not among them

    def append(self, payloads: Sequence[bytes], committed: CommittedSizes | None, *, safe: bool) -> list[PackPlace]:
        """Append payloads to the own pack in one write, and return their places. Not idempotent.

        Args:
            payloads: whole lines.
            committed: what rows know of packs: see `PackChoice.choose`.
            safe: make it power-safe; else `sync` does.

        Raises:
            StorageFullError: no space was left.
            StorageIOError: it failed.
            InvalidReferenceError: the directory of packs is a link or a file. In all three cases, nothing was appended.
        """
        if self._process != os.getpid():
            self._leave_to_parent()
        content = b"".join(payloads)
        with self._appending, translated(f"{self._directories.root}/{PACKS_DIRECTORY}"):
            own, start = self._append(content, committed)
            if safe:
                self._make_safe_or_give_up(own, start)
        places: list[PackPlace] = []
        for payload in payloads:
            places.append(PackPlace(own.name, start, len(payload)))
            start += len(payload)
        return places

    def take_back(self, places: Sequence[PackPlace]) -> None:
        """Forget what was appended last, at these places, as far as nothing was appended behind it.

        Never raises: what cannot be cut off is written over. Idempotent until something is appended again.
        """
        if self._process != os.getpid():
            return
        with self._appending:
            own = self._own
            if own is None:
                return
            end = own.end
            for place in sorted((place for place in places if place.pack == own.name), reverse=True):
                if place.end == end:
                    end = place.start
            if end < own.end:
                self._cut(own, end)

    def owned(self) -> str | None:
        """Return the name of the pack that this object appends to; None if it has none yet."""
        own = self._own
        return None if own is None or self._process != os.getpid() else own.name

    def read(self, place: PackPlace) -> bytes:
        """See `PackReader.read`."""
        return self._reader.read(place)

    def read_each(self, places: Iterable[PackPlace]) -> Iterator[bytes | None]:
        """See `PackReader.read_each`."""
        return self._reader.read_each(places)

    def read_parts(self, place: PackPlace, length: int) -> Iterator[bytes]:
        """See `PackReader.read_parts`."""
        return self._reader.read_parts(place, length)

    def holds(self, place: PackPlace) -> bool:
        """See `PackReader.holds`."""
        return self._reader.holds(place)

    def restore(self, place: PackPlace, payload: bytes) -> None:
        """Write a range of a pack anew; a pack that is missing is made, and a compressed one stays.

        Idempotent. Power-safe after `sync`.

        Raises:
            StorageFullError: no space was left.
            StorageIOError: it failed, or what is there is a link or no regular file.
            InvalidReferenceError: the payload does not fit the place.
        """
        if place.length != len(payload):
            raise InvalidReferenceError(place.key, f"{len(payload)} bytes are to be put there")
        with self._appending, translated(f"{self._directories.root}/{keys.pack_key(place.pack)}"):
            pack = self._written(place.pack)
            if pack is None:
                pack = self._choice.restorable(place.pack)
                if pack is None:
                    return
                self._unsynced[place.pack] = pack
            self._files.write_at(pack.descriptor, payload, place.start)
            pack.end = max(pack.end, place.end)

    def sync(self, packs: Collection[str]) -> None:
        """Make what was appended to these packs, by whomever, or restored, power-safe. Idempotent.

        What this object has written is synced through the descriptor that it was written through: one that is opened
        later need not hear of a write that has failed. For the same reason, what others have written is synced with
        the whole file system, through a directory that is open since before.

        Raises:
            StorageIOError: it is not known to be safe; `restore` all of it before trying again.
        """
        with self._syncing, translated(f"{self._directories.root}/{PACKS_DIRECTORY}"):
            with self._appending:
                written = {name: self._written(name) for name in packs}
                ends = {name: pack.end for name, pack in written.items() if pack is not None}
            ours = [pack for pack in written.values() if pack is not None and pack.is_all_ours]
            if len(ours) == len(written):
                for pack in ours:
                    self._files.sync(pack.descriptor)
                self._enter(ours)
            else:
                self._sync_all(packs)
            with self._appending:
                for name, end in ends.items():
                    self._note_synced(written[name], end)

    def names(self) -> list[str]:
        """Return the names of all packs that are there, in order. What else lies there does not count.

        Raises:
            StorageIOError: they cannot be listed.
        """
        with translated(f"{self._directories.root}/{PACKS_DIRECTORY}"):
            return self._choice.names()

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove packs that no row names; return those that are gone, and not those that somebody appends to.

        Raises:
            StorageIOError: one cannot be removed.
        """
        with translated(f"{self._directories.root}/{PACKS_DIRECTORY}"):
            return [name for name in names if self._choice.removed(name)]

    def close(self) -> None:
        """Give back the own pack, and close all files. Idempotent; a forked child leaves the pack to its parent."""
        self._reader.close()
        if self._process != os.getpid():
            self._leave_to_parent()
            return
        own = self._own
        for pack in (own, *self._unsynced.values()):
            if pack is not None:
                pack.unlock()
                pack.close()
        self._own, self._unsynced = None, {}
        if own is not None and not own.end:
            self._remove_unused(own.name)

    def _remove_unused(self, name: str) -> None:
        """Remove a pack that was made for what was refused then: nobody goes on with one that no row knows."""
        try:
            self._choice.removed(name)
        except (OSError, StorageError):
            pass  # 'collect' does

    def _leave_to_parent(self) -> None:
        """Close what a forked child has inherited. The lock stays the parent's, which has the file open, too."""
        self._process = os.getpid()
        self._appending, self._syncing = threading.Lock(), threading.Lock()  # threads that stayed behind may hold them
        self._own, self._unsynced = None, {}

    def _append(self, content: bytes, committed: CommittedSizes | None) -> tuple[WrittenPack, int]:
        """Append, and return where; go on in another pack where files may not be so large as packs are."""
        while True:
            own = self._with_room(len(content), committed)
            start = own.end
            try:
                self._files.write_at(own.descriptor, content, start)
            except BaseException as error:
                self._cut(own, start)
                if not isinstance(error, OSError) or error.errno != errno.EFBIG or not start:
                    raise
                self._choice.distrust(own.name)
                self._give_up_own()
            else:
                own.end += len(content)
                return own, start

    def _with_room(self, length: int, committed: CommittedSizes | None) -> WrittenPack:
        """Return the own pack, or another in its place if that is full, removed, or shared."""
        own = self._own
        if own is not None and own.has_room(length):
            return own
        self._give_up_own()
        self._own = own = self._choice.choose(length, committed)
        return own

    def _give_up_own(self) -> None:
        own, self._own = self._own, None
        if own is not None and own.synced < own.end:
            self._unsynced[own.name] = own
        elif own is not None:
            own.unlock()

    def _cut(self, own: WrittenPack, end: int) -> None:
        """Cut off what was appended behind an end. Never raises."""
        own.end = end
        own.synced = min(own.synced, end)
        try:
            self._files.truncate(own.descriptor, end)
        except OSError:
            pass  # the next append writes over it

    def _written(self, name: str) -> WrittenPack | None:
        own = self._own
        return own if own is not None and own.name == name else self._unsynced.get(name)

    def _make_safe_or_give_up(self, own: WrittenPack, start: int) -> None:
        """Make an append power-safe. A pack of which that has failed is not gone on with."""
        try:
            self._files.sync(own.descriptor)
            self._enter([own])
        except BaseException:
            self._cut(own, start)
            self._choice.distrust(own.name)
            self._give_up_own()
            raise
        own.synced = own.end

    def _enter(self, packs: Sequence[WrittenPack]) -> None:
        """Make the entries of new packs in their directory power-safe, and its own."""
        if all(pack.is_entered for pack in packs):
            return
        for path in (PACKS_DIRECTORY, DATA_DIRECTORY, ""):
            directory = self._directories.acquire(path)
            try:
                self._files.sync(directory)
            finally:
                self._directories.release(path, directory)
        for pack in packs:
            pack.is_entered = True

    def _sync_all(self, packs: Collection[str]) -> None:
        with ExitStack() as stack:
            directories: list[int] = []
            for path in (PACKS_DIRECTORY, DATA_DIRECTORY, ""):
                directories.append(self._directories.acquire(path, create=True))
                stack.callback(self._directories.release, path, directories[-1])
            names = [keys.pack_key(name).rpartition("/")[2] for name in packs]
            self._files.sync_all(directories[-1], ((directories[0], name) for name in names), directories)

    def _note_synced(self, pack: WrittenPack | None, end: int) -> None:
        assert pack is not None
        pack.synced = max(pack.synced, min(end, pack.end))
        pack.is_all_ours = pack.is_entered = True
        if pack is not self._own and pack.synced >= pack.end:
            self._unsynced.pop(pack.name, None)
            pack.unlock()
