# Made by scripts/make_sync.py from starfish_storage.interface.search: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.search`."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage import portal
from starfish_storage.interface import search as asynchronous
from starfish_storage.interface.search import SearchPage, SearchPlace, SearchState
from starfish_storage.sync.face import Face


class RecordSearch(Face):
    """Searching the data of records by its words.

    The index is derived from the store, and lies in the user's cache directory (``STARFISH_STORAGE_CACHE``), never in
    the store: a store that is opened for reading alone is searched too, and one that is never searched has no index.
    """

    @property
    def _called(self) -> asynchronous.RecordSearch:
        return self._asynchronous

    def search_records(
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
        return portal.call(
            self._called.search_records(
                query, master_job_id=master_job_id, project_id=project_id, fields=fields, limit=limit, after=after
            )
        )

    def find_matching(self, query: str, record_uids: Sequence[str]) -> set[str]:
        """Return those of these records whose data contains all words of a query, however many match in the store.

        The index is not brought up to date first: `index_records` does that, and records that it lacks are not found.

        Args:
            query: as that of `search_records`.
            record_uids: among which is searched.

        Raises:
            InvalidInputError: the query cannot be used: see `search_records`.
        """
        return portal.call(self._called.find_matching(query, record_uids))

    def index_records(self, seconds: float | None = None) -> SearchState:
        """Bring the index up to date, as every search does. Idempotent. Not durable: an index is made again.

        Args:
            seconds: for how long, at most; without it, until nothing remains.

        Raises:
            InvalidInputError: ``seconds`` is no number, or negative.
        """
        return portal.call(self._called.index_records(seconds))

    def drop_search_index(self) -> None:
        """Remove the index, with all text in it. The next search makes it again. Idempotent. Not durable.

        Raises nothing of its own.
        """
        return portal.call(self._called.drop_search_index())
