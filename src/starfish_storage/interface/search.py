"""The contract of the text search: which records contain these words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starfish_storage.models import Record


class SearchPlace(NamedTuple):
    """Where a hit stands in the order of hits, to go on behind it.

    Attributes:
        rank: how well the record matches; the greatest comes first.
        record_uid: breaks ties.
    """

    rank: float
    record_uid: str


class SearchHit(NamedTuple):
    """A record that matches.

    Attributes:
        record: the record, as it is now.
        rank: how well it matches, among the records of one store; the greatest comes first.
        field: the path of the field that the snippet is from, ``messages.content``; empty if there is no snippet.
        snippet: a part of that field's text, on one line. What models wrote is hostile: show it as text.
        marks: where in the snippet the words stand, as pairs of a start and an end, in characters, in order.
    """

    record: Record
    rank: float
    field: str
    snippet: str
    marks: tuple[tuple[int, int], ...]

    @property
    def place(self) -> SearchPlace:
        """Where it stands, as `RecordSearch.search_records` takes it."""
        return SearchPlace(self.rank, self.record.record_uid)


class SearchPage(NamedTuple):
    """Some of the records that match, the best first.

    Attributes:
        hits: the records.
        found: how many records match, as far as they were counted: see ``is_cut``.
        is_cut: more records match than were counted and ranked; these are the ones that were indexed last.
        has_more: there are hits behind the last one.
        indexed: how many records the index has.
        remaining: how many records of the store it does not have yet; they cannot be found.
    """

    hits: list[SearchHit]
    found: int
    is_cut: bool
    has_more: bool
    indexed: int
    remaining: int


class SearchState(NamedTuple):
    """How far the index of a store is.

    Attributes:
        indexed: how many records it has.
        remaining: how many records of the store it does not have yet.
    """

    indexed: int
    remaining: int


class RecordSearch(ABC):
    """Searching the data of records by its words.

    The index is derived from the store, and lies in the user's cache directory (``STARFISH_STORAGE_CACHE``), never in
    the store: a store that is opened for reading alone is searched too, and one that is never searched has no index.
    """

    @abstractmethod
    async def search_records(
        self,
        query: str,
        *,
        master_job_id: str | None = None,
        project_id: str | None = None,
        fields: Sequence[str] | None = None,
        limit: int = 50,
        after: SearchPlace | None = None,
    ) -> SearchPage:
        """Return records whose data contains all words of a query, the best match first.

        First it brings the index up to date, for a tenth of a second at most, and says how many records remain;
        `index_records` goes on until none does. What was deleted or replaced is not found by its old text.

        Args:
            query: words (in any case, with or without accents), ``"phrases"``, beginnings of words (``photo*``),
                alternatives (``cat OR dog``), what must not be there (``-draft``), and words in one field
                (``topic:physics``, ``messages.content:"thank you"``). A name in front of a colon that is no record's
                field is searched as text. Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese need no spaces.
            master_job_id: only records of this run.
            project_id: only records of this project.
            fields: only words in these fields and the fields within them.
            limit: the most hits, from 1 to 1,000.
            after: begin behind this hit.

        Raises:
            InvalidInputError: the query has no word to search for, only words that must not be there, or more than
                1,000 characters or 32 words; or another argument cannot be used.
        """

    @abstractmethod
    async def find_matching(self, query: str, record_uids: Sequence[str]) -> set[str]:
        """Return those of these records whose data contains all words of a query, however many match in the store.

        The index is not brought up to date first: `index_records` does that, and records that it lacks are not found.

        Args:
            query: as that of `search_records`.
            record_uids: among which is searched.

        Raises:
            InvalidInputError: the query cannot be used: see `search_records`.
        """

    @abstractmethod
    async def index_records(self, seconds: float | None = None) -> SearchState:
        """Bring the index up to date, as every search does. Idempotent. Not durable: an index is made again.

        Args:
            seconds: for how long, at most; without it, until nothing remains.

        Raises:
            InvalidInputError: ``seconds`` is no number, or negative.
        """

    @abstractmethod
    async def drop_search_index(self) -> None:
        """Remove the index, with all text in it. The next search makes it again. Idempotent. Not durable.

        Raises nothing of its own.
        """
