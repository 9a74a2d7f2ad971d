"""Choosing the pack that one object appends to: one of its own, so that several processes never share one."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from starfish_storage import keys
from starfish_storage.data.compressed_packs import ENDING
from starfish_storage.data.directories import Directories
from starfish_storage.files.atomic import FileOperations, close
from starfish_storage.files.descriptors import stat_of
from starfish_storage.files.locking import lock_now, unlock
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.interface.data import CommittedSizes
from starfish_storage.keys import PACKS_DIRECTORY

Result = TypeVar("Result")

LARGEST_PACK = 64 << 20
"""In bytes. What is appended in one step stays together, and has a pack of its own if it is larger."""

_NUMBERED = re.compile(r"(\d{6,15})\.jsonl(\.zst)?", re.ASCII)
_SPARE_PART = 16  # of a pack must be free
_MOST_LOOKED_AT = 50  # packs, when one is chosen to go on with
_ASKED_AT_ONCE = 50
# What file systems say that know no such locks.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class WrittenPack:
    """A pack that is open for writing until nobody refers to it: a thread may be syncing what another gives up.

    Attributes:
        name: of the pack.
        descriptor: the open file.
        end: where the next append begins.
        synced: how far it is known to be power-safe.
        is_all_ours: whether all that may not be power-safe was written through this descriptor.
        is_entered: whether its entry in the directory is power-safe.
    """

    __slots__ = ("_names", "descriptor", "end", "is_all_ours", "is_entered", "name", "synced")

    def __init__(self, name: str, descriptor: int, end: int, *, is_all_ours: bool, is_entered: bool) -> None:
        self.name = name
        self.descriptor = descriptor
        self.end = self.synced = end
        self.is_all_ours = is_all_ours
        self.is_entered = is_entered
        self._names = os.fstat(descriptor).st_nlink  # 1, or 0 where a file system does not count

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it, whoever refers to it, as the trace of an error may for long. Idempotent."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            close(descriptor)

    def has_room(self, length: int) -> bool:
        """Return whether so many bytes can be appended here: not if the file was removed, or has got another name.

        That may be another store's, a copy made with hard links.
        """
        if self.end and self.end + length > LARGEST_PACK:
            return False
        return os.fstat(self.descriptor).st_nlink == self._names

    def unlock(self) -> None:
        """Give the lock back, also where a forked child has inherited the open file. Never raises."""
        try:
            unlock(self.descriptor)
        except OSError:
            pass  # there are no locks


class PackChoice:
    """Finds a pack to go on with, or makes one. The caller sees to it that only one thread does at a time.

    Args:
        directories: the directories of the root.
        files: the file operations.
    """

    def __init__(self, directories: Directories, files: FileOperations) -> None:
        self._directories = directories
        self._files = files
        self._distrusted: set[str] = set()

    def distrust(self, name: str) -> None:
        """Never go on with this pack: it could not be written."""
        self._distrusted.add(name)

    def choose(self, length: int, committed: CommittedSizes | None) -> WrittenPack:
        """Return a pack that is locked from now on, to append so many bytes to.

        Args:
            length: how many bytes it needs room for.
            committed: returns how long the packs of these names are by what rows say, of those that rows know of. It
                is asked again once a pack is locked, and must see every commit by then. Without it a pack is made
                under a name that nobody else gives.

        Raises:
            OSError: none can be made.
            InvalidReferenceError: the directory is a link or a file.
        """
        if committed is None:
            return self._insisting(self._made_alone)
        return self._insisting(lambda directory: self._chosen(directory, length, committed))

    def restorable(self, name: str) -> WrittenPack | None:
        """Open a pack, without a lock, to write parts of it anew; it is made if it is not there.

        None: there is a compressed one in its place. It was made of what was power-safe by then, so all that a journal
        may still have of the pack is in it; a plain one, made for a part, would hide the rest.

        Raises:
            OSError: it cannot be opened or made.
        """
        file = keys.pack_key(name).rpartition("/")[2]

        def open_or_make(directory: int) -> int | None:
            try:
                return self._files.open_for_changes(directory, file)
            except FileNotFoundError:
                if self._files.is_file(directory, file + ENDING):
                    return None
                return self._files.create_for_changes(directory, file)

        descriptor = self._insisting(open_or_make)
        if descriptor is None:
            return None
        return WrittenPack(name, descriptor, 0, is_all_ours=True, is_entered=False)

    def names(self) -> list[str]:
        """Return the names of all packs that are there, in order.

        Raises:
            OSError: they cannot be listed.
        """
        try:
            directory = self._directories.acquire(PACKS_DIRECTORY)
        except FileNotFoundError:
            return []
        try:
            entries = self._entries(directory)
        finally:
            self._directories.release(PACKS_DIRECTORY, directory)
        found = {keys.pack_named(f"{PACKS_DIRECTORY}/{entry}") for entry in entries}
        return sorted((name for name in found if name is not None), key=lambda name: (len(name), name))

    def removed(self, name: str) -> bool:
        """Remove a pack, plain or compressed; return False where somebody appends to it, and it stays. Idempotent.

        Raises:
            OSError: it cannot be removed.
        """
        file = keys.pack_key(name).rpartition("/")[2]
        return self._insisting(lambda directory: all(self._gone(directory, one) for one in (file, file + ENDING)))

    def _gone(self, directory: int, file: str) -> bool:
        try:
            descriptor = self._files.open_for_changes(directory, file)
        except FileNotFoundError:
            return True
        try:
            lock_now(descriptor)
            self._files.remove(directory, file)
        except BlockingIOError:
            return False
        finally:
            close(descriptor)
        return True

    def _insisting(self, act: Callable[[int], Result]) -> Result:
        """Do something in the open directory, which is made; again, if it was replaced or removed."""
        try:
            return self._in_directory(act)
        except FileNotFoundError:
            if not self._directories.notice_replaced(PACKS_DIRECTORY):
                raise
        return self._in_directory(act)

    def _in_directory(self, act: Callable[[int], Result]) -> Result:
        directory = self._directories.acquire(PACKS_DIRECTORY, create=True)
        try:
            return act(directory)
        finally:
            self._directories.release(PACKS_DIRECTORY, directory)

    def _chosen(self, directory: int, length: int, committed: CommittedSizes) -> WrittenPack:
        found = [match for match in map(_NUMBERED.fullmatch, self._entries(directory)) if match]
        compressed = {match[1] for match in found if match[2]}
        names = sorted((match[1] for match in found if match[1] not in compressed), key=int, reverse=True)
        for name in self._worth_locking(names[:_MOST_LOOKED_AT], length, committed):
            if (pack := self._taken(directory, name, length, committed)) is not None:
                return pack
        return self._made(directory, max((int(match[1]) for match in found), default=0), committed)

    def _entries(self, directory: int) -> list[str]:
        # Opened anew: several threads that listed one open directory would each get a part of it.
        anew = self._files.open_directory(".", directory)
        try:
            return os.listdir(anew)
        except OSError as error:
            return SPARES.instead(error, lambda: os.listdir(anew))
        finally:
            close(anew)

    def _worth_locking(self, names: Sequence[str], length: int, committed: CommittedSizes) -> list[str]:
        """Return those of the names that are known and have room. One nobody knows may have been made this moment."""
        if not names:
            return []
        known = committed(names)
        return [name for name in names if name not in self._distrusted and _fits(known.get(name), length)]

    def _taken(self, directory: int, name: str, length: int, committed: CommittedSizes) -> WrittenPack | None:
        """Lock a pack, and cut off what nobody has committed; None if it is somebody else's, or not what it should be.

        That is one with another name: a copy made with hard links shares it, whose rows know another end.
        """
        try:
            descriptor = self._files.open_for_changes(directory, f"{name}.jsonl")
        except OSError:
            return None  # a link or a directory, or another user's
        pack = WrittenPack(name, descriptor, 0, is_all_ours=False, is_entered=False)
        try:
            lock_now(descriptor)
        except OSError:
            return None
        end = committed([name]).get(name)
        found = os.fstat(descriptor)
        if end is None or not _fits(end, length) or found.st_nlink > 1 or found.st_size < end:
            return None
        try:
            now = stat_of(f"{name}.jsonl", directory)
            if not os.path.samestat(found, now) or (found.st_size > end and not self._is_cut(pack, end, committed)):
                return None
        except OSError:
            return None  # it was removed, or cannot be written
        pack.end = pack.synced = end
        return pack

    def _is_cut(self, pack: WrittenPack, end: int, committed: CommittedSizes) -> bool:
        """Cut off what lies behind the committed end; return False if rows name some of it: `verify` tells."""
        if committed.last_end(pack.name) > end:
            return False  # the noted size is not what a writer has noted
        self._files.truncate(pack.descriptor, end)
        return True

    def _made(self, directory: int, last: int, committed: CommittedSizes) -> WrittenPack:
        """Make a pack under the next number that is neither there nor known."""
        while True:
            names = [f"{number:06d}" for number in range(last + 1, last + 1 + _ASKED_AT_ONCE)]
            last += _ASKED_AT_ONCE
            known = committed(names)
            for name in names:
                if name not in known and (pack := self._created(directory, name)) is not None:
                    return pack

    def _made_alone(self, directory: int) -> WrittenPack:
        """Make a pack under a name that nobody else gives."""
        while (pack := self._created(directory, keys.new_pack())) is None:
            pass
        return pack

    def _created(self, directory: int, name: str) -> WrittenPack | None:
        try:
            descriptor = self._files.create_for_changes(directory, f"{name}.jsonl")
        except FileExistsError:
            return None  # another process was quicker
        pack = WrittenPack(name, descriptor, 0, is_all_ours=True, is_entered=False)
        try:
            lock_now(descriptor)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                return None
            # Nobody can lock it, so nobody takes it.
        return pack


def _fits(committed: int | None, length: int) -> bool:
    """Return whether a pack is worth going on with: in one that is nearly full, every group would choose anew."""
    return committed is not None and 0 < committed <= LARGEST_PACK - max(length, LARGEST_PACK // _SPARE_PART)
