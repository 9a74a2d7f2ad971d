"""Putting record data into packs, and out of them, while others read and write the store.

Data is read, checked against its digest, and handed to the store's own writer in batches, each one durable step. So the
command may be killed at any moment: what it has moved lies where its rows say, the rest is where it was, and the next
call goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Protocol

from starfish_storage.codec import content_digest, decode, encode
from starfish_storage.errors import (
    DataNotFoundError,
    InvalidDataError,
    InvalidReferenceError,
    StorageError,
    StorageIOError,
    StoreDamagedError,
)
from starfish_storage.interface import DataLocation, Layout, Storage
from starfish_storage.keys import place_in_pack
from starfish_storage.maintenance.empty_packs import remove_empty_packs
from starfish_storage.maintenance.packing_report import PackingReport
from starfish_storage.maintenance.packing_sources import (
    handlers_of,
    keys_in_packs,
    keys_of_files,
    keys_of_run,
    keys_of_runs,
    merges_only,
)
from starfish_storage.metadata.sqlite.repacking import MovedData
from starfish_storage.storage.pack_merging import merge_packs

_RECORDS_AT_ONCE = 250  # other writers wait while the files of a batch are removed
_BYTES_AT_ONCE = 8 << 20  # after so many a batch ends
_PASSES = 5  # over a whole store, at most: what others write as files meanwhile is found by the next

_OF_ONE_ALONE = (InvalidReferenceError, StorageIOError, StoreDamagedError)

Payload = bytes | StorageError | None
"""What was found in a place; None: nothing."""


class MoveProgress(Protocol):
    """Told how many records have been gone through, and of how many, where that is known."""

    def __call__(self, done: int, total: int | None, doing: str | None = None) -> None:
        """Show it."""
        ...


async def pack(
    storage: Storage, master_job_id: str | None = None, *, dry_run: bool = False, progress: MoveProgress | None = None
) -> PackingReport:
    """Put the data of records and versions that lies in files of its own into packs.

    What lies in small packs in an object store is put together in larger ones; of a store with its rows in PostgreSQL,
    which keeps the layout that it was made with, that is all. Others may use the store meanwhile. Data that is not one
    line, as Starfish wrote it, is written as one: equal JSON.

    Args:
        storage: the store, open.
        master_job_id: the run whose data is moved; None: all of the store's. Then new data goes into packs, too.
        dry_run: read and check all data, and move none.
        progress: told how far it is.

    Raises:
        StoreOpenError: the store is of a kind whose layout cannot be changed.
        StorageError: reading or writing failed. What was moved stays so, and another call goes on.
    """
    report = PackingReport(storage.storage_uri, "packed", master_job_id, dry_run)
    if not merges_only(storage):
        report = await _change(storage, "packed", master_job_id, dry_run=dry_run, progress=progress)
    if not dry_run:
        began = time.monotonic()
        merged = await merge_packs(storage, master_job_id, progress=progress and partial(progress, doing="merging"))
        report.merged_packs, report.young_packs = merged.packs, merged.young
        report.seconds += time.monotonic() - began
    return report


async def unpack(
    storage: Storage, master_job_id: str | None = None, *, dry_run: bool = False, progress: MoveProgress | None = None
) -> PackingReport:
    """Put the data of records and versions that lies in packs, compressed or not, into files of its own. See `pack`.

    Packs of which nothing is left are removed.
    """
    return await _change(storage, "files", master_job_id, dry_run=dry_run, progress=progress)


async def _change(
    storage: Storage, layout: Layout, master_job_id: str | None, *, dry_run: bool, progress: MoveProgress | None
) -> PackingReport:
    _, data, repacking = handlers_of(storage)
    report = PackingReport(storage.storage_uri, layout, master_job_id, dry_run)
    mover = _Mover(storage, report, progress)
    began = time.monotonic()
    if master_job_id is not None:
        total = sum((await storage.count_records_for_master_job(master_job_id)).values())
        await mover.move(keys_of_run(storage, master_job_id), total)
    else:
        if not dry_run:
            await repacking.set_layout("mixed" if layout == "packed" else "files")
        if layout == "packed" and not dry_run:
            # In the order in which records are read again: neighbours are read in one call, or out of one frame.
            await mover.move(keys_of_runs(storage), None)
        for _ in range(1 if dry_run else _PASSES):
            report.left.clear()
            if not await mover.move(keys_of_files(data) if layout == "packed" else keys_in_packs(repacking), None):
                if layout == "packed" and not report.left and not dry_run:
                    await repacking.set_layout("packed")
                break
    if layout == "files" and not dry_run:
        report.removed_packs = await remove_empty_packs(storage)
    report.seconds = time.monotonic() - began
    return report


class _Mover:
    """Moves data page by page, and reads the next batch while one is being made durable.

    Args:
        storage: the store.
        report: of what is done; it says where to.
        progress: told how far it is.
    """

    def __init__(self, storage: Storage, report: PackingReport, progress: MoveProgress | None) -> None:
        self._metadata, self._data, self._repacking = handlers_of(storage)
        self._report = report
        self._progress = progress
        self._looked_at = 0
        self._changing = 0  # data that others are changing just now

    async def move(self, pages: AsyncIterator[Sequence[str]], total: int | None) -> int:
        """Move what lies under keys, given in pages; return how much was moved or is being changed by others."""
        before, self._changing = self._report.records, 0
        under_way: asyncio.Task[None] | None = None
        try:
            async for keys in pages:
                located = await self._located(keys)
                payloads = self._payloads([location.key for _, location in located])
                while batch := await asyncio.to_thread(_taken, payloads):
                    some, located = located[: len(batch)], located[len(batch) :]
                    moved = await self._checked(some, batch)
                    if under_way is not None:
                        await under_way
                    under_way = asyncio.create_task(self._put(moved))
                self._looked_at += len(keys)
                if self._progress is not None:
                    self._progress(
                        self._looked_at, total, "packing" if self._report.layout == "packed" else "unpacking"
                    )
            if under_way is not None:
                await under_way
        finally:
            if under_way is not None:
                under_way.cancel()  # the wait for it, after a failure elsewhere
        return self._report.records - before + self._changing

    async def _put(self, moved: Sequence[MovedData]) -> None:
        report = self._report
        done = len(moved)
        if moved and not report.dry_run:
            done = await self._repacking.move(moved, report.layout)
            self._changing += len(moved) - done
        report.records += done
        report.bytes += sum(len(one.payload) for one in moved)

    async def _located(self, keys: Sequence[str]) -> list[tuple[str, DataLocation]]:
        """Return what is to be moved, and where it lies, in the order in which that is read best."""
        known = await self._metadata.locate_data(keys)
        located = [(key, known.get(key) or DataLocation(key, None)) for key in dict.fromkeys(keys)]
        if self._report.layout == "packed":
            return [(key, location) for key, location in located if place_in_pack(location.key) is None]
        places = [(place, number) for number, (_, one) in enumerate(located) if (place := place_in_pack(one.key))]
        return [located[number] for _, number in sorted(places)]

    def _payloads(self, places: Sequence[str]) -> Iterator[Payload]:
        """Yield what lies in places, and errors that are of one place alone."""
        read = self._data.read_each(places)
        number = 0
        for number in range(len(places)):  # noqa: B007 (where it stopped)
            try:
                payload = next(read)
            except _OF_ONE_ALONE:
                break  # it does not tell which
            yield payload
        else:
            return
        for place in places[number:]:
            yield self._read(place)

    def _read(self, place: str) -> Payload:
        try:
            return self._data.read(place)
        except DataNotFoundError:
            return None
        except _OF_ONE_ALONE as error:
            return error

    async def _checked(
        self, located: Sequence[tuple[str, DataLocation]], payloads: Sequence[Payload]
    ) -> list[MovedData]:
        """Return what can be moved; note what is damaged."""
        checked: list[MovedData] = []
        for (key, location), payload in zip(located, payloads, strict=True):
            found = payload if _is_whole(payload, location) else await self._looked_again(key, location)
            if not isinstance(found, bytes):
                continue
            line = None
            if self._report.layout == "packed":
                try:
                    line = _line_of(found, location)
                except (ValueError, RecursionError, InvalidDataError):
                    self._report.left.append((key, "it is not a JSON object"))
                    continue
            checked.append(MovedData(key, place_in_pack(location.key), found, line))
        return checked

    async def _looked_again(self, key: str, location: DataLocation) -> bytes | None:
        """Return data that was not what its row says, if it is by now; else note why it stays where it is."""
        if await self._metadata.get_journaled_data(key) is None:
            now = (await self._metadata.locate_data((key,))).get(key)
            if now is None and place_in_pack(location.key) is None:
                now = DataLocation(key, None)
            if now == location:
                payload = await asyncio.to_thread(self._read, location.key)
                if isinstance(payload, bytes) and _is_whole(payload, location):
                    return payload
                if payload is not None or await self._metadata.get_referrer(key) is not None:
                    self._report.left.append((key, _why(payload)))
                return None
        self._changing += 1  # the next pass finds it, if it is still where it is not to be
        return None


def _taken(payloads: Iterator[Payload]) -> list[Payload]:
    """Return the next batch; none at the end."""
    batch: list[Payload] = []
    size = 0
    for payload in payloads:
        batch.append(payload)
        size += len(payload) if isinstance(payload, bytes) else 0
        if len(batch) >= _RECORDS_AT_ONCE or size >= _BYTES_AT_ONCE:
            break
    return batch


def _is_whole(payload: Payload, location: DataLocation) -> bool:
    return isinstance(payload, bytes) and location.sha256 in (None, content_digest(payload))


def _line_of(payload: bytes, location: DataLocation) -> bytes | None:
    """Return what is written in place of data, as `MovedData` has it.

    Raises:
        ValueError: it is not JSON.
        InvalidDataError: it is not an object.
    """
    is_line = payload.endswith(b"\n") and payload.count(b"\n") == 1
    if is_line and location.sha256 is not None:
        return None
    value = decode(payload)
    return payload if is_line and isinstance(value, dict) else encode(value, location.key)


def _why(payload: Payload) -> str:
    if payload is None:
        return "it is missing"
    return "it is not what was saved (its SHA-256 differs)" if isinstance(payload, bytes) else str(payload)
