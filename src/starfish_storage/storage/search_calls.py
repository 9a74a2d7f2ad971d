"""The calls of the text search, as a part of a storage."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.interface import MetadataHandler, SearchPage, SearchPlace, SearchState
from starfish_storage.interface.search import RecordSearch
from starfish_storage.metadata.values import text
from starfish_storage.storage.data_reading import DataReading
from starfish_storage.storage.search_arguments import checked_search, checked_seconds
from starfish_storage.storage.searching import TextSearch


class SearchCalls(RecordSearch):
    """See `RecordSearch`.

    Args:
        metadata: knows what changed.
        storage_uri: the store, without a password.
        reading: reads data.
    """

    def __init__(self, metadata: MetadataHandler, storage_uri: str, reading: DataReading) -> None:
        self._search = TextSearch(storage_uri, metadata.changes, reading)
        self._check_open = metadata.check_open

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
        """See `RecordSearch.search_records`."""
        self._check_open()
        return await self._search.search(checked_search(query, master_job_id, project_id, fields, limit, after))

    async def find_matching(self, query: str, record_uids: Sequence[str]) -> set[str]:
        """See `RecordSearch.find_matching`."""
        self._check_open()
        return await self._search.matching(text("query", query), [text("record_uid", uid) for uid in record_uids])

    async def index_records(self, seconds: float | None = None) -> SearchState:
        """See `RecordSearch.index_records`."""
        self._check_open()
        return await self._search.bring_up_to_date(checked_seconds(seconds))

    async def drop_search_index(self) -> None:
        """See `RecordSearch.drop_search_index`."""
        self._check_open()
        await self._search.drop()
