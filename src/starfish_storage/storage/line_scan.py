"""Reading the data of all records of a run as lines of packs, many at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from starfish_storage.codec import content_digest
from starfish_storage.errors import DataNotFoundError, StorageError
from starfish_storage.interface import MetadataHandler, ScannedRecord
from starfish_storage.interface.scanning import ScannedLines, is_line
from starfish_storage.keys import PackPlace
from starfish_storage.storage.data_reading import DataReading

_LINES = 2000
_BYTES = 4 << 20  # of the lines that are read at a time; at least one
_BATCH = 500  # records, where they are looked at one by one
_MOST_PASSED_OVER = 64
_SPARSE = 2  # times the lines: what a range may have in it that is read for them


class _NextLines(NamedTuple):
    """What was found of the next lines.

    Attributes:
        batch: the lines; None if one of them needs a closer look.
        last: uid and start time of the last record that was looked at; None: there was none.
        is_last: nothing comes behind them.
    """

    batch: ScannedLines | None
    last: tuple[str, str] | None
    is_last: bool


class LineScan:
    """One scan of a master job's records, as lines where they lie in packs as such, and as records elsewhere.

    Whatever is not as usual is left to `DataReading.scan`: data that is lost, damaged or replaced meanwhile, what a
    killed writer has left in the journal, and files.

    Args:
        rows: lists the records.
        data: reads data.
        master_job_id: which master job.
        status_filter: only records in one of these statuses.
    """

    def __init__(
        self, rows: MetadataHandler, data: DataReading, master_job_id: str, status_filter: Sequence[str] | None
    ) -> None:
        self._rows = rows
        self._data = data
        self._of = (master_job_id, status_filter)
        self._after: ScannedRecord | None = None
        self._is_last = False
        self._passed_over = 0

    async def batches(self) -> AsyncIterator[ScannedLines | list[ScannedRecord]]:
        """Yield the batches. Raises as `RecordScan.scan_lines`."""
        left = 0  # batches that are read as records: lines were none, and may go on being none
        while not self._is_last:
            lines = await self._lines() if left == 0 else None
            if lines is not None:
                self._passed_over = 0
                if lines.lines:
                    yield lines
                continue
            if left == 0:
                left = self._passed_over = min(1 + 2 * self._passed_over, _MOST_PASSED_OVER)
            left -= 1
            async for batch in self._records():
                yield batch

    async def _lines(self) -> ScannedLines | None:
        """Return the next lines, if all of them are as usual."""
        if not self._data.is_near:
            return None
        found = await self._rows.read_lines(*self._of, self._after, _LINES, self._read)
        if found is None or found.batch is None:
            return None
        if found.last is not None:
            uid, start_time = found.last
            self._after = _position(uid, start_time)
        self._is_last = found.is_last
        return found.batch

    async def _records(self) -> AsyncIterator[list[ScannedRecord]]:
        """Yield the records of the next batch."""
        records, places = await self._rows.list_record_rows(*self._of, after=self._after, batch_size=_BATCH)
        self._is_last = len(records) < _BATCH
        while records:
            found = await self._data.scan(records, places)
            yield found
            self._after = found[-1]
            records, places = records[len(found) :], places[len(found) :]

    def _read(self, rows: Sequence[Sequence[Any]]) -> _NextLines:
        """Return the lines of rows. By columns: a step for each row would take as long again."""
        if not rows:
            return _NextLines(ScannedLines((), ()), None, is_last=True)
        uids, times, digests, packs, starts, lengths = zip(*rows, strict=True)
        if None in packs:
            return _NextLines(None, None, is_last=False)
        count = max(1, sum(end <= _BYTES for end in accumulate(lengths)))
        try:
            lines = self._lines_at(packs[:count], starts[:count], lengths[:count])
        except (StorageError, OSError):
            return _NextLines(None, None, is_last=False)  # said of the record that it is of
        if lines is None or list(map(content_digest, lines)) != [*digests[:count]] or not all(map(is_line, lines)):
            return _NextLines(None, None, is_last=False)
        is_last = count == len(rows) < _LINES
        return _NextLines(ScannedLines(uids[:count], lines), (uids[count - 1], times[count - 1]), is_last=is_last)

    def _lines_at(self, packs: Sequence[str], starts: Sequence[int], lengths: Sequence[int]) -> list[bytes] | None:
        """Return what lies in places; None if a place is none, or what is there is shorter."""
        if min(starts) < 0 or min(lengths) < 1:
            return None
        first = min(starts)
        end = max(map(int.__add__, starts, lengths))
        if len(set(packs)) == 1 and end - first <= _SPARSE * sum(lengths):
            try:
                content = self._data.data.read_packed(PackPlace(packs[0], first, end - first))
            except DataNotFoundError:
                return None
            return [content[start - first : start - first + n] for start, n in zip(starts, lengths, strict=True)]
        places = [PackPlace(*place).key for place in zip(packs, starts, lengths, strict=True)]
        found = list(self._data.data.read_each(places))
        return None if None in found else [one for one in found if one is not None]


def _position(uid: str, start_time: str) -> ScannedRecord:
    """Return what stands for a record behind which a scan goes on."""
    return ScannedRecord(uid, "", "", "completed", None, start_time, "", "", None, None, None, None)
