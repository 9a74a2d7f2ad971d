"""Putting small packs together: each group of callers has made one, and to read many of them takes many requests."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from starfish_storage.interface import DataHandler, Layout, Storage
from starfish_storage.keys import PackPlace
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.metadata.sqlite.repacking import MovedData
from starfish_storage.storage.hybrid import HybridStorage

if TYPE_CHECKING:
    from starfish_storage.metadata.postgres.handler import PostgresMetadataHandler

_MERGED_BYTES = 8 << 20  # as much as lies in one object: see `LARGEST_PACK` of data/object_packs.py
_SMALL_BYTES = _MERGED_BYTES // 2
_ASKED_AT_ONCE = 500  # packs
_ASKED_BYTES = 64 << 20  # of packs whose rows are read at once

OnMerged = Callable[[int, int], None]
"""Called with how many packs have been looked at, and how many there are."""


@dataclass
class MergeReport:
    """What was put together.

    Attributes:
        packs: how many packs were merged into others, and are gone.
        young: how many more were merged, and are left for `collect`: somebody may be about to save a row of them.
        records: how much data was moved, of records and versions.
        bytes: how many bytes that were.
        is_whole: everything was looked at; else time or the allowed bytes were used up, and another call goes on.
    """

    packs: int = 0
    young: int = 0
    records: int = 0
    bytes: int = 0
    is_whole: bool = True


class _Contents(Protocol):
    async def packs(self, master_job_id: str | None) -> list[str]: ...
    async def sizes(self, packs: Sequence[str]) -> dict[str, int]: ...
    async def contents(self, packs: Sequence[str]) -> list[tuple[str, PackPlace]]: ...


class _Repacking(Protocol):
    async def move(self, moved: Sequence[MovedData], layout: Layout | None = None) -> int: ...
    async def give_up(self, packs: Sequence[str]) -> list[str]: ...


async def merge_packs(
    storage: Storage,
    master_job_id: str | None = None,
    *,
    progress: OnMerged | None = None,
    most_bytes: int | None = None,
    seconds: float | None = None,
    fewest: int = 2,
    chosen: Collection[str] | None = None,
) -> MergeReport:
    """Put what small packs on other machines hold into larger ones, and remove those. Durable. Idempotent.

    Others may read and write the store meanwhile. New packs are put, then rows are changed where they still name what
    was read, then what no row names any more is removed. So it may be killed at any point: what was moved stays so,
    and an object that was left is one that no row names, for `collect`.

    Args:
        storage: the store, open. One with its packs in a directory needs nothing of this: its packs are large.
        master_job_id: the master job whose packs are merged; other data that lies in them goes along. None: all.
        progress: told how far it is.
        most_bytes: stop before more than so much is read.
        seconds: stop after about so long.
        fewest: do nothing if there are fewer packs.
        chosen: packs that are written anew, however large they are, in place of small ones.

    Raises:
        StorageError: reading or writing failed; what was moved stays so, and another call goes on.
    """
    report = MergeReport()
    if not isinstance(storage, HybridStorage) or (storage.data.parallel == 1 and chosen is None):
        return report
    contents, repacking = _parts(storage)
    merging = _Merging(storage.data, repacking, report, most_bytes, seconds)
    merging.takes_all = chosen is not None
    names = await contents.packs(master_job_id) if chosen is None else sorted(chosen)
    sizes = await contents.sizes(names)
    if chosen is None:
        names = [name for name in names if sizes.get(name, 0) < _SMALL_BYTES]
        if len(names) < fewest:
            return report
    done = 0
    for some in _portions(names, sizes):
        if not await merging.take(some, await contents.contents(some)):
            break
        done += len(some)
        if progress is not None:
            progress(done, len(names))
    report.is_whole = done == len(names) and await merging.merge()
    return report


def _portions(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Divide packs so that what rows say of a part fits into memory."""
    some: list[str] = []
    size = 0
    for name in names:
        some.append(name)
        size += sizes.get(name, 0)
        if size >= _ASKED_BYTES or len(some) == _ASKED_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


class _Merging:
    """Gathers what small packs hold until there is enough for a large one."""

    def __init__(
        self,
        data: DataHandler,
        repacking: _Repacking,
        report: MergeReport,
        most_bytes: int | None,
        seconds: float | None,
    ) -> None:
        self._data = data
        self._repacking = repacking
        self._report = report
        self.takes_all = False
        self._most_bytes = math.inf if most_bytes is None else most_bytes
        self._end = math.inf if seconds is None else time.monotonic() + seconds
        self._gathered: list[tuple[str, PackPlace]] = []
        self._waiting = 0

    async def take(self, packs: Sequence[str], contents: Sequence[tuple[str, PackPlace]]) -> bool:
        """Take what packs hold; return False once no more is to be done."""
        found: dict[str, list[tuple[str, PackPlace]]] = {}
        for key, place in contents:
            found.setdefault(place.pack, []).append((key, place))
        for pack in packs:
            named = found.get(pack, [])
            self._gathered += named
            self._waiting += sum(place.length for place in {place for _, place in named})
            if self._waiting >= _MERGED_BYTES and not await self.merge():
                return False
        return True

    async def merge(self) -> bool:
        """Move what waits into a new pack, if it is of several, and remove those that nobody needs any more.

        Returns False where that would be more than is to be done.
        """
        if self._report.bytes + self._waiting > self._most_bytes or time.monotonic() > self._end:
            return False
        gathered, self._gathered, self._waiting = self._gathered, [], 0
        packs = {place.pack for _, place in gathered}
        if len(packs) < 2 and not self.takes_all:  # noqa: PLR2004 (alone it would become another like it)
            return True
        keys = [place.key for _, place in gathered]
        payloads = await asyncio.to_thread(lambda: list(self._data.read_each(keys)))
        # What is missing stays where rows say that it lies: `verify` tells.
        moved = [
            MovedData(key, place, payload)
            for (key, place), payload in zip(gathered, payloads, strict=True)
            if payload is not None
        ]
        self._report.records += await self._repacking.move(moved, "packed")
        self._report.bytes += sum(len(one.payload) for one in moved)
        free = await self._repacking.give_up(sorted(packs))
        gone = await asyncio.to_thread(self._data.remove_packs, free)
        self._report.packs += len(gone)
        self._report.young += len(packs) - len(gone)
        return True


def _parts(storage: HybridStorage) -> tuple[_Contents, _Repacking]:
    handler = storage.metadata
    if isinstance(handler, SQLiteMetadataHandler):
        return handler.pack_contents, handler.repacking
    repacking = cast("PostgresMetadataHandler", handler).repacking
    return repacking, repacking
