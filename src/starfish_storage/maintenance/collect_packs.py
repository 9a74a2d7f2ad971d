"""Freeing what packs of a store in a directory hold and no row names any more.

What is still named is appended to another pack, as ordinary writes of a store that is open for it; then the pack goes,
once neither a row nor the journal names it. Killed in between, all data lies where rows say, and the next run goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import cast

from starfish_storage.codec import content_digest
from starfish_storage.data.compressed_packs import ENDING
from starfish_storage.data.directories import Directories
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import FoundFile, Inventory
from starfish_storage.data.pack_scan import ScannedPack
from starfish_storage.errors import StorageError, StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.keys import PACKS_DIRECTORY, PackPlace
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.placing import PackFill
from starfish_storage.metadata.sqlite.repacking import MovedData, Repacking
from starfish_storage.storage.local import LocalStorage

MOST_DEAD = 0.3
"""How much of a pack may be dead before it is written anew, as a part of its size."""

_SAMPLE = 20  # records: if what rows name is none of theirs, this is not the place
_MOST_MOVED = 500  # records at a time: other writers wait for a group
_MOST_BYTES = 4 << 20


@dataclass
class PackCollection:
    """What was done with packs, or would be.

    Attributes:
        removed: keys of loose data, and packs that no row knows.
        lines: how many of them are data in packs: lines, and not files.
        size: of them, in bytes.
        younger: how many more there are that are not old enough.
        younger_lines: how many of them are lines.
        rewritten: how many packs were written anew, or were all dead and went.
        freed: how many bytes that has freed.
        decompressed: how many of those were compressed, and what lives of them is not any more.
    """

    removed: list[str] = field(default_factory=list[str])
    lines: int = 0
    size: int = 0
    younger: int = 0
    younger_lines: int = 0
    rewritten: int = 0
    freed: int = 0
    decompressed: int = 0


def has_own_packs(inspection: Inspection, data: FileSystemDataHandler) -> bool:
    """Return whether the packs in a place are those that rows name: packs of two stores may well be called the same.

    Raises:
        StoreOpenError: they are another store's.
    """
    is_named = False
    for key, *place in inspection.rows("sample_packed_data", (_SAMPLE,)):
        digests = {digest for digest in inspection.digests_of(key) if digest is not None}
        is_named = is_named or bool(digests)
        try:
            if content_digest(data.read(PackPlace._make(place).key)) in digests:
                return True
        except StorageError:
            pass
    if is_named:
        reason = f"its packs in {data.root!r} hold something else; name the store's own data directory, or run 'verify'"
        raise StoreOpenError(inspection.path, reason)
    return False


class PackCollector:
    """One run over the packs of a store.

    Args:
        inspection: the database.
        inventory: what lies in the place of the data.
        roots: absolute paths of the directories of the database and of the data.
        before: what was changed last at that time or later is not removed, in nanoseconds since 1970.
    """

    def __init__(self, inspection: Inspection, inventory: Inventory, roots: tuple[str, str], before: int) -> None:
        self._inspection = inspection
        self._inventory = inventory
        self._roots = roots
        self._before = before
        self._done = PackCollection()

    def run(self, *, dry_run: bool) -> PackCollection:
        """Free what can be freed; in a dry run, only say what that would be."""
        there = self._files()
        fills = {fill.pack: fill for fill in self._inspection.packs()}
        unknown = [file for name, files in there.items() for file in files if _is_unknown(fills.get(name))]
        old = [file for file in unknown if file.changed < self._before]
        self._done.younger += len(unknown) - len(old)
        loose = self._loose(there)
        worth = [fill for fill in fills.values() if fill.pack in there and _is_worth_it(fill, loose)]
        if dry_run:
            self._plan(old, loose, worth, there)
        elif old or loose or worth:
            with ThreadPoolExecutor(1) as thread:  # the caller's own may run an event loop
                thread.submit(lambda: asyncio.run(self._collect(old, loose, there))).result()
        return self._done

    def _files(self) -> dict[str, list[FoundFile]]:
        there: dict[str, list[FoundFile]] = {}
        for file in self._inventory.files(PACKS_DIRECTORY):
            if file.pack is not None:
                there.setdefault(file.pack, []).append(file)
        return there

    def _loose(self, there: dict[str, list[FoundFile]]) -> dict[str, PackPlace]:
        """Return the data that no record refers to, in packs to which nothing was appended for long."""
        loose: dict[str, PackPlace] = {}
        for (key,) in self._inspection.rows("every_unreferenced_packed_key"):
            place = self._inspection.data_of(key).place
            if place is None:
                continue
            if all(file.changed < self._before for file in there.get(place.pack, ())):
                loose[key] = place
            else:
                self._done.younger += 1
                self._done.younger_lines += 1
        return loose

    def _plan(
        self,
        old: Sequence[FoundFile],
        loose: dict[str, PackPlace],
        worth: Sequence[PackFill],
        there: dict[str, list[FoundFile]],
    ) -> None:
        self._note_removed([(file.key, file.size) for file in old])
        self._note_removed([(key, place.length) for key, place in loose.items()])
        self._done.lines = len(loose)
        self._done.rewritten = len(worth)
        self._done.decompressed = sum(_is_decompressed(there[fill.pack], _live(fill, loose)) for fill in worth)
        self._done.freed = sum(_freed(there[fill.pack], _live(fill, loose)) for fill in worth)

    def _note_removed(self, removed: Sequence[tuple[str, int]]) -> None:
        self._done.removed += (key for key, _ in removed)
        self._done.size += sum(size for _, size in removed)

    async def _collect(
        self, old: Sequence[FoundFile], loose: dict[str, PackPlace], there: dict[str, list[FoundFile]]
    ) -> None:
        async with LocalStorage(*self._roots) as storage:
            repacking = cast("SQLiteMetadataHandler", storage.metadata).repacking
            forgotten = await repacking.forget(list(loose))
            self._note_removed([(key, loose[key].length) for key in forgotten])
            self._done.lines = len(forgotten)
            with closing(Directories(self._roots[1], FileOperations())) as directories:
                fills = [fill for fill in self._inspection.packs() if fill.pack in there and _is_worth_it(fill, {})]
                # One after the other, first those with least to be moved: on a full disk, only what goes makes room.
                for fill in sorted(fills, key=lambda fill: fill.live):
                    if await self._is_freed(directories, there[fill.pack], repacking):
                        self._done.rewritten += 1
                        self._done.freed += _freed(there[fill.pack], fill.live)
                        self._done.decompressed += _is_decompressed(there[fill.pack], fill.live)
                unknown = {file.pack: file for file in old if file.pack is not None}
                for name, file in unknown.items():
                    if await self._is_freed(directories, there[name], repacking):
                        self._note_removed([(file.key, file.size)])

    async def _is_freed(self, directories: Directories, files: Sequence[FoundFile], repacking: Repacking) -> bool:
        """Remove the files of a pack once nothing of it is needed; return False if something still is."""
        name = cast("str", files[0].pack)
        with ExitStack() as stack:
            pack = self._taken(directories, name, stack)
            if pack is None or not await self._move_all(pack, repacking) or not await repacking.give_up([name]):
                return False
            for file in files:
                FileOperations().remove_path(f"{self._roots[1]}/{file.key}")
        return True

    def _taken(self, directories: Directories, name: str, stack: ExitStack) -> ScannedPack | None:
        """Open a pack, and keep others from appending to it; None if somebody does, or it cannot be read."""
        try:
            pack = stack.enter_context(ScannedPack(directories, name))
        except (FileNotFoundError, StorageError):
            return None  # 'verify' tells
        return pack if pack.take() else None

    async def _move_all(self, pack: ScannedPack, repacking: Repacking) -> bool:
        """Append what rows name of a pack to another; return False if some of it is damaged, and stays."""
        is_whole = True
        some: list[MovedData] = []
        for key, start, length in self._inspection.rows("every_packed_data_of_pack", (pack.pack,)):
            place = PackPlace(pack.pack, start, length)
            payload = pack.read(start, length)
            digests = {digest for digest in self._inspection.digests_of(key) if digest is not None}
            if len(payload) < length or not digests <= {content_digest(payload)}:
                is_whole = False  # or its record was replaced just now: then the next run moves the others
                continue
            some.append(MovedData(key, place, payload))
            if len(some) == _MOST_MOVED or sum(len(one.payload) for one in some) >= _MOST_BYTES:
                await repacking.move(some)
                some = []
        if some:
            await repacking.move(some)
        return is_whole


def _is_unknown(fill: PackFill | None) -> bool:
    return fill is None or not fill.size + fill.live


def _live(fill: PackFill, loose: dict[str, PackPlace]) -> int:
    return fill.live - sum(place.length for place in loose.values() if place.pack == fill.pack)


def _is_decompressed(files: Sequence[FoundFile], live: int) -> bool:
    """Return whether what is live of a pack goes from a compressed one into a plain one: writers append to no other."""
    return live > 0 and all(file.key.endswith(ENDING) for file in files)


def _freed(files: Sequence[FoundFile], live: int) -> int:
    """Return how much smaller the store gets: not at all, if what is live of a compressed pack has more bytes."""
    return max(0, sum(file.size for file in files) - live)


def _is_worth_it(fill: PackFill, loose: dict[str, PackPlace]) -> bool:
    return not _is_unknown(fill) and fill.size - _live(fill, loose) > MOST_DEAD * fill.size
