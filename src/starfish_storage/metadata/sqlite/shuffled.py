"""Records in a seeded order: rows are picked by their numbers, as the order has them, and those of other runs dropped.

So a page costs the same at a thousand records as at a million, and no index is paid for when they are saved. A run that
is a small part of a large store would need too many picks: the numbers of all its rows are sorted instead, which gives
the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from starfish_storage.errors import InvalidInputError
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.shuffling import Shuffle, Shuffled
from starfish_storage.metadata.sqlite.readers import Readers

_PICKED_TOGETHER = 256
_WORTH_SORTING = 50
"""Sorting the numbers of n rows costs about as much as picking n of them; a page wants some fifty."""


class ShuffledRecords:
    """Reads records of a run in a seeded order. Blocks.

    Args:
        readers: run the queries.
        queries: by their names.
        master_job_id: the run.
        statuses: of the records.
    """

    def __init__(self, readers: Readers, queries: Queries, master_job_id: str, statuses: Sequence[str]) -> None:
        self._readers = readers
        self._queries = queries
        self._master_job_id = master_job_id
        self._statuses = statuses

    def rows(self, asked: Shuffled) -> list[Row]:
        """Return rows as ``scan_records`` does.

        Raises:
            InvalidInputError: the record to begin behind is gone.
        """
        (largest,) = self._readers.first(self._queries["largest_row_number"], ()) or (None,)
        if largest is None:
            return []
        shuffle = Shuffle(asked.seed, largest)
        border = shuffle.size if asked.backwards else -1
        if asked.after is not None:
            border = shuffle.place_of(self._number_of(asked.after))
        count = self._count()
        if count * count < _WORTH_SORTING * shuffle.size:
            numbers = self._sorted(shuffle, border, backwards=asked.backwards)
        else:
            places = range(border - 1, -1, -1) if asked.backwards else range(border + 1, shuffle.size)
            numbers = (shuffle.number_at(place) for place in places)
        return self._first_of(numbers, asked.limit)

    def _first_of(self, numbers: Iterator[int], limit: int) -> list[Row]:
        found: list[Row] = []
        while len(found) < limit:
            picked = list(islice(numbers, _PICKED_TOGETHER))
            if not picked:
                break
            rows = self._picked(picked)
            found += [rows[number] for number in picked if number in rows]
        return found[:limit]

    def _picked(self, numbers: Sequence[int]) -> dict[int, Row]:
        query = self._queries.repeated("records_of_row_numbers", len(numbers))
        found: dict[int, Row] = {}
        for *columns, master_job_id, status, number in self._readers.all_at_once(query, tuple(numbers)):
            if master_job_id == self._master_job_id and status in self._statuses:
                found[number] = tuple(columns)
        return found

    def _sorted(self, shuffle: Shuffle, border: int, *, backwards: bool) -> Iterator[int]:
        query = self._queries.merged("row_numbers", len(self._statuses))
        parameters = tuple(value for status in self._statuses for value in (self._master_job_id, status))
        places = (shuffle.place_of(number) for (number,) in self._readers.all_at_once(query, parameters))
        chosen = [place for place in places if (place < border if backwards else place > border)]
        return (shuffle.number_at(place) for place in sorted(chosen, reverse=backwards))

    def _count(self) -> int:
        counts = dict(self._readers.all_at_once(self._queries["count_records"], (self._master_job_id,)))
        return sum(counts.get(status, 0) for status in self._statuses)

    def _number_of(self, uid: str) -> int:
        found = self._readers.first(self._queries["get_row_number"], (uid,))
        if found is None:
            raise InvalidInputError(f"record {uid!r}, to begin behind, is not in the store any more: begin anew.")
        (number,) = found
        return number
