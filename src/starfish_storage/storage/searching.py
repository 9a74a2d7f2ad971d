"""The text search of a store: it brings the index up to date, asks it, and shows only what the store still says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from starfish_storage.codec import decode
from starfish_storage.errors import StorageClosedError, StorageError, StorageIOError
from starfish_storage.interface import ChangeFeed, ScannedRecord, SearchHit, SearchPage, SearchPlace, SearchState
from starfish_storage.interface.change_feed import CurrentRecord
from starfish_storage.metadata.search.file import IndexDamagedError
from starfish_storage.metadata.search.index import (
    Entry,
    IndexState,
    Match,
    Matches,
    SearchIndex,
    hash_of,
)
from starfish_storage.metadata.search.leaves import is_within, leaves_of
from starfish_storage.metadata.search.place import IndexPlace
from starfish_storage.metadata.search.query import Query, parse
from starfish_storage.metadata.search.snippets import Snippets
from starfish_storage.storage.data_reading import DataReading
from starfish_storage.storage.search_arguments import Search
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")

_AT_ONCE = 500
_IN_A_HURRY = 100
_SPARE = 20  # hits that may have been replaced or deleted meanwhile
_SEARCH_SECONDS = 0.1  # what a search spends on bringing the index up to date
_MERGE_SECONDS = 0.05
_FORGET_SECONDS = 2.0
_WAIT_SECONDS = 0.05
_AGAIN_SECONDS = 60.0


class TextSearch:
    """See `RecordSearch`, over the changes of a store and its data.

    Args:
        storage_uri: the store, without a password.
        changes: tells what changed.
        reading: reads data.
    """

    def __init__(self, storage_uri: str, changes: ChangeFeed, reading: DataReading) -> None:
        self._index = _OpenIndex(IndexPlace(storage_uri))
        self._changes = changes
        self._reading = reading
        self._begun_anew = float("-inf")

    async def close(self) -> None:
        """Close the index. Idempotent."""
        await self._index.close()

    async def drop(self) -> None:
        """Remove the index. Idempotent."""
        await self._index.drop()

    async def search(self, asked: Search) -> SearchPage:
        """See `RecordSearch.search_records`."""
        parse(asked.query, lambda _: True)  # what is wrong with it is said before anything is done
        state = await self.bring_up_to_date(_SEARCH_SECONDS)
        parsed = await self._parsed(asked.query)
        snippets = Snippets(parsed.terms, asked.fields)
        hits: list[SearchHit] = []
        limit, place, most = asked.limit, asked.after, asked.limit + _SPARE
        while True:
            found = await self._index.ask(_searching(parsed, asked, place, most))
            left = found.matches
            while left and len(hits) <= limit:
                some, left = left[: limit + 1 - len(hits)], left[limit + 1 - len(hits) :]
                hits += await self._shown(some, snippets)
                place = some[-1].place
            if len(hits) > limit or len(found.matches) < most:
                break
            most *= 4  # many were replaced or deleted: a few more searches are enough
        return SearchPage(hits[:limit], found.found, found.is_cut, len(hits) > limit, *state)

    async def matching(self, query: str, record_uids: Sequence[str]) -> set[str]:
        """See `RecordSearch.find_matching`."""
        parsed = await self._parsed(query)
        matches = await self._index.ask(lambda index: index.list_matches(parsed, record_uids))
        snippets = Snippets(parsed.terms, None)
        if snippets.is_filtered:  # the index knows only some of the fields apart
            return {hit.record.record_uid for hit in await self._shown(matches, snippets)}
        return {match.place.record_uid for match, _ in await self._valid(matches)}

    async def bring_up_to_date(self, seconds: float | None) -> SearchState:
        """See `RecordSearch.index_records`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        before = await self._sizes()
        while not (is_last := await self._take_in_next(deadline)):
            if deadline is not None and time.monotonic() >= deadline:
                break
        now = await self._sizes()
        if is_last:
            await self._compare(before, now)
            await self._index.ask(lambda index: index.merge(_MERGE_SECONDS))
        indexed = sum((await self._index.ask(lambda index: index.list_runs())).values())
        return SearchState(indexed, max(0, sum(now.values()) - indexed))

    async def forget_deleted(self) -> None:
        """Forget what was deleted with its run, so that its text does not outlive it. An index that fails stays."""
        if not self._index.is_there():
            return
        try:
            await self._forget_runs(await self._sizes())
            await self._index.ask(lambda index: index.merge(_FORGET_SECONDS))
        except StorageError as error:
            logger.warning("what was deleted is still in the search index, until the next search: %s", error)

    async def _parsed(self, query: str) -> Query:
        paths = await self._index.ask(lambda index: index.list_fields())
        return parse(query, lambda field: any(is_within(path, field) for path in paths))

    # --- parts ----------------------------------------------------------------------------------------------------

    async def _take_in_next(self, deadline: float | None) -> bool:
        """Take in the next changes, or as many as there is time for; return whether they are the last ones.

        Those that were taken in before the time was over are not read again: the index has them as they are.
        """
        turn = await self._index.ask(lambda index: index.state())
        changed = await self._changes.list_changed(turn.cursor or None)
        outdated = await self._index.ask(lambda index: index.list_outdated(changed.stamps))
        step = _AT_ONCE if deadline is None or deadline - time.monotonic() > 1 else _IN_A_HURRY
        for start in range(0, len(outdated), step):
            if start and deadline is not None and time.monotonic() >= deadline:
                return False
            next_turn = await self._take_in(turn, outdated[start : start + step])
            if next_turn is None:
                await asyncio.sleep(_WAIT_SECONDS)  # somebody else is at it
                return False
            turn = next_turn
        if outdated or changed.cursor != turn.cursor:
            ended = await self._index.ask(partial(SearchIndex.take_in, before=turn, cursor=changed.cursor))
            return ended is not None and changed.is_last
        return changed.is_last

    async def _take_in(self, turn: IndexState, record_uids: Sequence[str]) -> IndexState | None:
        """Index records as they are now; return None if somebody else has taken something in meanwhile."""
        current = {one.row.record_uid: one for one in await self._changes.get_current(record_uids)}
        projects = {size.master_job_id: size.project_id for size in await self._changes.list_sizes()}
        there = [one for uid in record_uids if (one := current.get(uid)) and one.row.master_job_id in projects]
        gone = [uid for uid in record_uids if uid not in current]
        next_turn: IndexState | None = turn
        while next_turn is not None and (there or gone):
            read = await self._reading.scan([one.row for one in there], [one.place for one in there]) if there else []
            entries = [_entry(one, data, projects) for one, data in zip(there, read, strict=False)]
            next_turn = await self._index.ask(_taking_in(next_turn, entries, gone))
            there, gone = there[len(read) :], []
        return next_turn

    async def _sizes(self) -> dict[str, int]:
        """Return how many records each run of the store has."""
        return {size.master_job_id: size.records for size in await self._changes.list_sizes()}

    async def _compare(self, before: dict[str, int], now: dict[str, int]) -> None:
        """Forget what was deleted, and begin anew if something is missing that was there before."""
        await self._forget_runs(now)
        indexed = await self._index.ask(lambda index: index.list_runs())
        for run, number in indexed.items():
            if number > now.get(run, 0):
                await self._forget_gone(run)
        is_less = any(indexed.get(run, 0) < min(number, now.get(run, 0)) for run, number in before.items())
        if is_less and time.monotonic() > self._begun_anew + _AGAIN_SECONDS:
            self._begun_anew = time.monotonic()
            turn = await self._index.ask(lambda index: index.state())
            await self._index.ask(partial(SearchIndex.take_in, before=turn, cursor=None))

    async def _forget_runs(self, runs: Container[str]) -> None:
        """Forget all records of runs but these."""
        indexed = await self._index.ask(lambda index: index.list_runs())
        for run, number in indexed.items():
            if number and run not in runs:
                await self._forget_gone(run)

    async def _forget_gone(self, run: str) -> None:
        """Forget the records of a run that are not there any more."""
        after = 0
        while True:
            found = await self._index.ask(partial(SearchIndex.list_records_of, master_job_id=run, after=after))
            if not found:
                return
            *_, after = found.values()
            turn = await self._index.ask(lambda index: index.state())
            there = {one.row.record_uid for one in await self._changes.get_current(list(found))}
            gone = [uid for uid in found if uid not in there]
            if gone:
                await self._index.ask(_taking_in(turn, (), gone))

    async def _valid(self, matches: Sequence[Match]) -> list[tuple[Match, CurrentRecord]]:
        """Return those matches that the store still has as they were indexed, in order, with their records."""
        current = {
            one.row.record_uid: one for one in await self._changes.get_current([m.place.record_uid for m in matches])
        }
        return [
            (match, one)
            for match in matches
            if (one := current.get(match.place.record_uid)) is not None and hash_of(one.stamp) == match.stamp
        ]

    async def _shown(self, matches: Sequence[Match], snippets: Snippets) -> list[SearchHit]:
        """Return the hits of those matches that the store still has as they were indexed, in order."""
        valid = await self._valid(matches)
        hits: list[SearchHit] = []
        while valid:
            read = await self._reading.scan([one.row for _, one in valid], [one.place for _, one in valid])
            hits += await asyncio.to_thread(_hits, valid, read, snippets)
            valid = valid[len(read) :]
        return hits


class _OpenIndex:
    """An index that is opened when it is first asked, and made anew where it is damaged or was removed.

    Args:
        place: where it lies.
    """

    def __init__(self, place: IndexPlace) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._index: SearchIndex | None = None
        self._path = ""
        self._file: os.stat_result | None = None

    def is_there(self) -> bool:
        """Return whether there is an index."""
        return self._index is not None or self._place.is_there()

    async def ask(self, work: Callable[[SearchIndex], Result]) -> Result:
        """Return what work with the index returns, done in a thread of its own."""
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(1, "starfish-storage-search")
            pool = self._pool
        found: list[Result] = []  # not as the result of the future: in its debug mode the event loop logs that
        try:
            running = pool.submit(lambda: found.append(self._done(work)))
        except RuntimeError as error:
            raise StorageClosedError("the storage is being closed; call setup() to open it again.") from error
        await asyncio.wrap_future(running)
        return found[0]

    async def close(self) -> None:
        """Close it. Idempotent; asking opens it again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.submit(self._let_go)
            await asyncio.to_thread(pool.shutdown)

    async def drop(self) -> None:
        """Close and remove it. Idempotent."""
        await self.close()
        await asyncio.to_thread(self._place.remove)

    def _done(self, work: Callable[[SearchIndex], Result]) -> Result:
        try:
            return work(self._opened())
        except IndexDamagedError:
            logger.warning("the search index is damaged, or of another version; it is made anew")
            self._let_go()
            self._place.remove()
        try:
            return work(self._opened())
        except IndexDamagedError as error:
            raise StorageIOError(
                self._place.made(), None, "the search index cannot be made; see to its disk"
            ) from error

    def _opened(self) -> SearchIndex:
        """Return the index, opened; another one, if somebody has removed it meanwhile."""
        if self._index is None or not self._is_the_same():
            self._let_go()
            self._path = self._place.made()
            self._index, self._file = SearchIndex(self._path), os.stat(self._path)
        return self._index

    def _is_the_same(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, os.stat(self._path))
        except OSError:
            return False

    def _let_go(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            with contextlib.suppress(StorageError, IndexDamagedError):
                index.close()


def _searching(query: Query, asked: Search, after: SearchPlace | None, most: int) -> Callable[[SearchIndex], Matches]:
    return lambda index: index.search(query, asked.scope, asked.fields, after, most)


def _taking_in(
    before: IndexState, entries: Sequence[Entry], gone: Sequence[str]
) -> Callable[[SearchIndex], IndexState | None]:
    return lambda index: index.take_in(before, before.cursor, entries, gone)


def _entry(one: CurrentRecord, data: ScannedRecord, projects: dict[str, str]) -> Entry:
    row = one.row
    return Entry(row.record_uid, one.stamp, projects[row.master_job_id], row.master_job_id, _texts(data))


def _hits(
    valid: Sequence[tuple[Match, CurrentRecord]], read: Sequence[ScannedRecord], snippets: Snippets
) -> list[SearchHit]:
    """Return the hits of which data was read; looked for in a thread, as data may be large."""
    hits: list[SearchHit] = []
    for (match, one), data in zip(valid, read, strict=False):
        snippet = snippets.of(_decoded(data))
        if snippet.is_match or not snippets.is_filtered or data.payload is None:
            hits.append(SearchHit(one.record, match.place.rank, snippet.field, snippet.text, snippet.marks))
    return hits


def _texts(data: ScannedRecord) -> Iterator[tuple[str, str]]:
    """Yield the texts of a record; parsed when they are asked for, in the thread of the index."""
    yield from leaves_of(_decoded(data))


def _decoded(data: ScannedRecord) -> object:
    try:
        return None if data.payload is None else decode(data.payload)
    except (ValueError, RecursionError):
        return None  # what is damaged is found by `verify`, and nothing in it by a search
