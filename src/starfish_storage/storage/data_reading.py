"""Reading data: from its file if that is what was saved, else from the journal, else with an error that says why."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from starfish_storage.codec import content_digest, decode
from starfish_storage.errors import (
    SEE_DAMAGE,
    DataLostError,
    DataNotFoundError,
    DataTooLargeError,
    InvalidInputError,
    InvalidReferenceError,
    StorageClosedError,
    StorageError,
    StoreDamagedError,
)
from starfish_storage.interface import (
    DataHandler,
    DataLocation,
    DataPlace,
    MetadataHandler,
    RecordRow,
    ScannedRecord,
)
from starfish_storage.keys import PackPlace, check_place, check_record_key, pack_key, place_in_pack

_READ_AT_ONCE = 500
_READER_THREADS = 4
_SCANNED_BYTES = 16 << 20
_COMPRESSED = ".zst"  # ends the name of a compressed pack
_COUNTED_BYTES = 1 << 20  # of a pack whose lines are counted, at a time
_LOOKS = 5  # at a file that is not what its row says: a writer may be replacing it
_READS_IN_A_ROW = 50  # done on the spot, then other tasks get their turn: a loop of reads must not starve them

Result = TypeVar("Result")


class DataReading:
    """Reads and checks data: single files on the spot, many, and what lies on another machine, in a pool of threads.

    Args:
        metadata: knows what was saved, and what is committed and not yet in place.
        data: where the files lie.
    """

    def __init__(self, metadata: MetadataHandler, data: DataHandler) -> None:
        self._metadata = metadata
        self._data = data
        self._locate_at_once = metadata.locate_at_once if self.is_near else _nowhere
        self._readers: ThreadPoolExecutor | None = None
        self._reads = 0

    @property
    def data(self) -> DataHandler:
        """Where the files lie."""
        return self._data

    @property
    def is_near(self) -> bool:
        """Whether the files lie on this machine: a hop to another thread costs more than reading one."""
        return self._data.parallel == 1

    @property
    def is_open(self) -> bool:
        """Whether it is between `open` and `close`."""
        return self._readers is not None

    def open(self) -> None:
        """Make the pool. Idempotent."""
        self._readers = self._readers or ThreadPoolExecutor(
            max(_READER_THREADS, self._data.parallel), "starfish-storage-data-reader"
        )

    async def close(self) -> None:
        """Finish what is being read. Idempotent."""
        readers, self._readers = self._readers, None
        if readers is not None:
            await asyncio.to_thread(readers.shutdown)

    async def read(self, key: str) -> dict[str, Any]:
        """Return the data under a key.

        Raises:
            DataNotFoundError: there is none; `DataLostError` if a record says that there should be.
            StoreDamagedError: it is not what was saved.
        """
        self._reads += 1
        if self._reads % _READS_IN_A_ROW == 0:
            await asyncio.sleep(0)
        payload = self._read_at_once(key)
        return self._decoded(key, await self._read_bytes(key) if payload is None else payload)

    async def read_bytes(self, key: str) -> bytes:
        """Return the data under a key as it is; raises as `read`, but accepts what is not JSON."""
        payload = self._read_at_once(key)
        return await self._read_bytes(key) if payload is None else payload

    async def _read_bytes(self, key: str) -> bytes:
        located = await self._metadata.locate_data((key,))
        place, sha256, pending = located.get(key) or (key, None, None)
        if pending is not None:
            return self._pending(DataLocation(place, sha256, pending))
        read = await self._read_once(place)
        if read is None or sha256 not in (None, content_digest(read)):
            return await self._read_again(key)
        return read

    async def read_many(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return the data under several keys, in their order; raises as `read`."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]
            known = await self._metadata.locate_data(some)
            read = await self._in_pool(partial(self._read_each, some, known))
            found += [await self.read(key) if data is None else data for key, data in zip(some, read, strict=True)]
        return found

    async def chunks(self, output_ref: str, chunk_size: int) -> AsyncGenerator[bytes]:
        """See `RecordScan.iter_record_data`."""
        self._metadata.check_open()
        if not isinstance(chunk_size, int) or chunk_size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"chunk_size {chunk_size!r} cannot be used: give 1 or more.")
        key = check_record_key(self._data.to_key(output_ref))
        location = await self._locate(key)
        parts = iter(()) if location.pending is not None else self._data.read_parts(location.key, chunk_size)
        first, second = [await self._part(parts), await self._part(parts)]
        if not second:  # it is small, or is not there: the usual way looks again where that may be about to change
            payload = await self.read_bytes(key)
            for begin in range(0, len(payload), chunk_size):
                yield payload[begin : begin + chunk_size]
            return
        digest, part = hashlib.sha256(first), second
        while first or part:
            for begin in range(0, len(first), chunk_size):
                yield first[begin : begin + chunk_size]
            digest.update(part)
            first, part = part, await self._part(parts) if part else b""
        if location.sha256 not in (None, digest.hexdigest()):
            reference = self._data.to_reference(key)
            raise StoreDamagedError(reference, f"it is not what was saved, or was replaced meanwhile; {SEE_DAMAGE}")

    async def find(self, output_ref: str) -> DataPlace:
        """See `RecordScan.locate_record_data`."""
        self._metadata.check_open()
        key = check_record_key(self._data.to_key(output_ref))
        location = await self._locate(key)
        place = place_in_pack(location.key)
        if place is None:
            return DataPlace(self._data.to_reference(location.key))
        if self._data.parallel > 1:  # its lines are not counted: the pack would be fetched from another machine
            return DataPlace(self._data.to_reference(pack_key(place.pack)), place.start, place.length)
        return await self._in_pool(partial(_place_in_file, place, self._data))

    async def _part(self, parts: Iterator[bytes]) -> bytes:
        """Return the next part; none at the end, and where there is nothing."""

        def part() -> bytes:
            try:
                return next(parts, b"")
            except DataNotFoundError:
                return b""

        return await self._in_pool(part)

    def unread(self, records: Sequence[RecordRow]) -> list[ScannedRecord]:
        """Return records without their data, as `scan` returns them with it."""
        to_reference = self._data.to_reference
        return [
            ScannedRecord(
                *row[:4], None if row.output_ref is None else to_reference(row.output_ref), *row[5:], None, None
            )
            for row in records
        ]

    async def read_scanned(
        self, records: Sequence[ScannedRecord], largest: int | None
    ) -> AsyncGenerator[list[ScannedRecord]]:
        """See `RecordScan.read_scanned`."""
        self._metadata.check_open()
        for start in range(0, len(records), _READ_AT_ONCE):
            some = records[start : start + _READ_AT_ONCE]
            keys = [None if one.output_ref is None else self._data.to_key(one.output_ref) for one in some]
            known = await self._metadata.locate_data([key for key in keys if key is not None])
            located = [None if key is None else known.get(key) or DataLocation(key, None) for key in keys]
            rows = [
                RecordRow(*one[:4], key, *one[5:9], None if place is None else place.sha256)
                for one, key, place in zip(some, keys, located, strict=True)
            ]
            places = [None if place is None else place.key for place in located]
            while rows:
                found = await self.scan(rows, places, largest)
                yield found
                rows, places = rows[len(found) :], places[len(found) :]

    async def scan(
        self, records: Sequence[RecordRow], places: Sequence[str | None], largest: int | None = None
    ) -> list[ScannedRecord]:
        """Return records with their data; one whose data is lost, damaged or larger has the error in its place.

        If the data is large, this returns the first records only, at least one: as many as have about 16 MB together.
        """
        # In one thread: two took turns and were slower together, as long as the files are in memory.
        found, unlike = await self._in_pool(partial(self._scan_now, records, places, largest))
        for number in unlike:
            found[number] = await self._scanned_again(records[number], found[number])
        return found

    def _scan_now(
        self, records: Sequence[RecordRow], places: Sequence[str | None], largest: int | None
    ) -> tuple[list[ScannedRecord], list[int]]:
        """Return records with their data, and the numbers of those whose data is not in its place as its row says."""
        wanted, refused = _checked(places)
        read = self._read_some(wanted, largest)
        to_reference, make, digest_of = self._data.to_reference, ScannedRecord._make, content_digest
        found: list[ScannedRecord] = []
        unlike: list[int] = []
        for (*first, key, started, ended, updated, message, sha256), place in zip(records, places, strict=True):
            payload = reference = None
            error = refused.get(place)
            if key is not None and place is not None and error is None:
                try:
                    payload = next(read)
                except StopIteration:  # they have had many bytes
                    break
                reference = to_reference(key)
                if isinstance(payload, int):
                    payload, error = None, DataTooLargeError(reference, payload, largest or 0)
                elif payload is None or (sha256 is not None and sha256 != digest_of(payload)):
                    unlike.append(len(found))
                    payload = None
            found.append(make((*first, reference, started, ended, updated, message, sha256, payload, error)))
        return found, unlike

    async def _scanned_again(self, record: RecordRow, found: ScannedRecord) -> ScannedRecord:
        assert record.output_ref is not None
        try:
            payload = await self._read_again(record.output_ref)
        except (DataNotFoundError, StoreDamagedError) as error:
            return found._replace(error=error)
        return found._replace(sha256=content_digest(payload), payload=payload)

    def _read_some(self, places: Sequence[str], largest: int | None) -> Iterator[bytes | int | None]:
        size, data = 0, self._data
        for payload in data.read_each(places) if largest is None else data.read_small(places, largest):
            yield payload
            size += len(payload) if isinstance(payload, bytes) else 0
            if size >= _SCANNED_BYTES:
                return

    def _read_at_once(self, key: str) -> bytes | None:
        """Return data that is where its row says, as it nearly always is; None where it takes a closer look."""
        found = self._locate_at_once(key)
        if found is None:
            return None
        place, sha256 = found
        data = self._data
        try:
            payload = data.read(place) if isinstance(place, str) else data.read_packed(place)
        except DataNotFoundError:
            return None
        return payload if sha256 is None or content_digest(payload) == sha256 else None

    async def _read_again(self, key: str) -> bytes:
        """Return data whose file is missing or not what its row says: a writer may be about to replace it."""
        payload, place = None, key
        for _ in range(_LOOKS):
            # Another process may have committed it and not yet have put the file in place.
            journaled = await self._metadata.get_journaled_data(key)
            if journaled is not None:
                return journaled
            # Or it has done both between the two looks: put the file in place, and emptied the journal.
            # Or it has replaced that version by another, and removed it.
            location = await self._locate(key)
            place = location.key
            payload = await self._read_once(place)
            if payload is not None and _is_whole(payload, location):
                return payload
            await asyncio.sleep(0)
        reference = self._data.to_reference(key)
        # No file of the name of the reference is there to look at.
        in_pack = place if place_in_pack(place) is not None else None
        if payload is not None:
            lies = "" if in_pack is None else f"; it lies at {in_pack}"
            raise StoreDamagedError(reference, f"it is not what was saved (its SHA-256 differs){lies}; {SEE_DAMAGE}")
        referrer = await self._metadata.get_referrer(key)
        if referrer == "record":
            raise DataLostError(reference, in_pack)
        remedy = "it was never saved, or was deleted"
        if referrer is not None:
            remedy = f"a {referrer} refers to it, so it was never saved, or is lost; {SEE_DAMAGE}"
        raise DataNotFoundError("data", reference, remedy)

    def _pending(self, location: DataLocation) -> bytes:
        if location.pending:
            return location.pending
        raise DataNotFoundError("data", self._data.to_reference(location.key), "it was deleted")

    async def _locate(self, key: str) -> DataLocation:
        """Return where the data of a key lies; under the key itself, if nothing else is known."""
        return (await self._metadata.locate_data((key,))).get(key) or DataLocation(key, None)

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        self._metadata.check_open()
        if self._readers is None:
            raise StorageClosedError("the storage is being closed; call setup() to open it again.")
        # Not as the result of the future: in its debug mode the event loop logs that.
        found: list[Result] = []
        await asyncio.get_running_loop().run_in_executor(self._readers, lambda: found.append(work()))
        return found[0]

    def _read_each(self, keys: Sequence[str], known: dict[str, DataLocation]) -> list[dict[str, Any] | None]:
        locations = [known.get(key) or DataLocation(key, None) for key in keys]
        read = self._data.read_each([location.key for location in locations])
        return [
            self._decoded(key, payload) if payload is not None and _is_whole(payload, location) else None
            for key, location, payload in zip(keys, locations, read, strict=True)
        ]

    async def _read_once(self, key: str) -> bytes | None:
        if self.is_near:
            return self._read_now(key)
        return await self._in_pool(lambda: self._read_now(key))

    def _read_now(self, key: str) -> bytes | None:
        try:
            return self._data.read(key)
        except DataNotFoundError:
            return None

    def _decoded(self, key: str, payload: bytes) -> dict[str, Any]:
        try:
            value = decode(payload)
        except (ValueError, RecursionError) as error:
            raise StoreDamagedError(
                self._data.to_reference(key), f"it is not JSON ({len(payload)} bytes); {SEE_DAMAGE}"
            ) from error
        if not isinstance(value, dict):
            raise StoreDamagedError(self._data.to_reference(key), f"it does not hold a JSON object; {SEE_DAMAGE}")
        return cast("dict[str, Any]", value)


def _nowhere(key: str) -> None:
    """Tell nothing on the spot."""


def _place_in_file(place: PackPlace, data: DataHandler) -> DataPlace:
    """Return a place in a pack that is a file, with its line if the pack is there."""
    path, line = data.to_reference(pack_key(place.pack)), None
    before = PackPlace(place.pack, 0, place.start)
    try:
        line = 1 + sum(part.count(b"\n") for part in data.read_parts(before.key, _COUNTED_BYTES) if before.length)
    except DataNotFoundError:
        pass
    if not os.path.lexists(path) and os.path.lexists(path + _COMPRESSED):
        path += _COMPRESSED
    return DataPlace(path, place.start, place.length, line)


def _checked(places: Sequence[str | None]) -> tuple[list[str], dict[str | None, StorageError]]:
    """Return the places to read, and why the others are not read: a row that was tampered with may name any file."""
    wanted: list[str] = []
    refused: dict[str | None, StorageError] = {}
    for place in places:
        if place is not None:
            try:
                wanted.append(check_place(place))
            except InvalidReferenceError as error:
                refused[place] = error
    return wanted, refused


def _is_whole(payload: bytes, location: DataLocation) -> bool:
    """Return whether data is what was saved; where no record says what that was, it is believed."""
    if location.pending is not None:
        return False
    return location.sha256 is None or location.sha256 == content_digest(payload)
