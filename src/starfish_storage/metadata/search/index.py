"""The index itself: which words which record has. Synchronous, for one thread at a time."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple, cast

from starfish_storage.codec import json_text
from starfish_storage.errors import StorageBusyError
from starfish_storage.interface.search import SearchPlace
from starfish_storage.metadata.row import Row, only_value
from starfish_storage.metadata.search.file import IndexFile
from starfish_storage.metadata.search.leaves import is_within
from starfish_storage.metadata.search.query import Query, compiled
from starfish_storage.metadata.search.words import indexed_text

MOST_RANKED = 4000
_MOST_COUNTED = 10_000
_COLUMNS = tuple(f"c{number}" for number in range(31))
OTHERS = "others"
"""The column of the fields that have none of their own."""

_MOST_FIELDS = 5000
_BETWEEN = " \ue000 "  # two texts of one field: a word that nobody writes, so that no phrase reaches across
_ALL = "- scope"
_IMPOSSIBLE = "{scope}"  # see `_scope_word`
_MERGED_PAGES = 200
_LEAST_CHANGES = 2  # as SQLite documents it: fewer, and there was nothing to merge
_AT_ONCE = 1000
_TF, _LENGTH = 1.2, 0.75  # of BM25: how soon a word that is repeated counts no more, and how much long texts lose


class Entry(NamedTuple):
    """A record as it is indexed.

    Attributes:
        record_uid: the record.
        stamp: what changes with its data.
        project_id: its project.
        master_job_id: its master job.
        texts: its texts with the paths of their fields; none, where it has no data.
    """

    record_uid: str
    stamp: str
    project_id: str
    master_job_id: str
    texts: Iterable[tuple[str, str]]


class IndexState(NamedTuple):
    """How far an index has come.

    Attributes:
        number: of times that something was taken in.
        cursor: how far the changes of the store were taken in.
    """

    number: int
    cursor: str | None


class Match(NamedTuple):
    """A record that matched when it was indexed.

    Attributes:
        place: its place among the hits.
        stamp: the hash of its stamp, as `hash_of` returns it.
    """

    place: SearchPlace
    stamp: int


class Matches(NamedTuple):
    """What a query found.

    Attributes:
        matches: in order, those behind the given place.
        found: how many there are, with those before it.
        is_cut: there are more, which were not ranked.
    """

    matches: list[Match]
    found: int
    is_cut: bool


class SearchIndex:
    """An open index.

    Args:
        path: its file, which exists.

    Raises:
        IndexDamagedError: it is not an index.
        StorageError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        self._weights: tuple[float, ...] = ()
        self._average = 0.0
        self._file = IndexFile(path, self._relevance)
        self._execute, self._first = self._file.execute, self._file.first

    def close(self) -> None:
        """Close it. Idempotent."""
        with self._lock:
            self._file.close()

    def state(self) -> IndexState:
        """Return how far it has come, for `take_in`."""
        with self._lock, self._file.translated():
            number = only_value(self._first("get_setting", "turn"))
            return IndexState(int(number or 0), only_value(self._first("get_setting", "cursor")))

    def list_runs(self) -> dict[str, int]:
        """Return how many records it has of each master job."""
        with self._lock, self._file.translated():
            return dict(self._execute("list_scopes", "run"))

    def list_fields(self) -> list[str]:
        """Return the paths of the fields that records have."""
        with self._lock, self._file.translated():
            return [path for path, _ in self._execute("list_fields")]

    def list_outdated(self, stamps: dict[str, str]) -> list[str]:
        """Return the records, of those with these stamps, that it does not have so."""
        with self._lock, self._file.translated():
            return [uid for uid, stamp in stamps.items() if not self._has(uid, hash_of(stamp))]

    def list_records_of(self, master_job_id: str, after: int) -> dict[str, int]:
        """Return some records of a master job behind a number, with their numbers, in order."""
        with self._lock, self._file.translated():
            run = only_value(self._first("get_scope", "run", master_job_id))
            found = self._execute("list_entries_of_scope", run, after, _AT_ONCE)
            return {uid: number for number, uid in found}

    def take_in(
        self, before: IndexState, cursor: str | None, entries: Sequence[Entry] = (), gone: Sequence[str] = ()
    ) -> IndexState | None:
        """Index records anew, forget others, and note how far that has come; all or nothing.

        Args:
            before: as it was before these records were read.
            cursor: how far the changes were taken in.
            entries: as they are now.
            gone: those that are not there any more.

        Returns:
            How far it has come. None: somebody else has taken something in since, or is about to; nothing was changed,
            as what was read may be older.
        """
        with self._lock:
            try:
                with self._file.transaction():
                    if self.state() != before:
                        return None
                    columns = dict(self._execute("list_fields"))
                    is_less = [uid for uid in gone if self._forget(uid)]
                    for entry in entries:
                        self._put(entry, columns)
                    if is_less:
                        self._execute("save_setting", "unmerged", "yes")
                    self._execute("save_setting", "turn", str(before.number + 1))
                    self._execute("save_setting", "cursor", cursor or "")
            except StorageBusyError:
                return None
            return IndexState(before.number + 1, cursor or "")

    def merge(self, seconds: float) -> bool:
        """Merge the parts of the index, so that what was deleted leaves the file; return whether that is done."""
        deadline = time.monotonic() + seconds
        with self._lock:
            with self._file.translated():
                unmerged = only_value(self._first("get_setting", "unmerged"))
            if unmerged is None:
                return True
            try:
                with self._file.transaction():
                    # A negative number begins a merge of everything; a positive one goes on with it.
                    self._execute("merge_text", _MERGED_PAGES if unmerged == "begun" else -_MERGED_PAGES)
                    self._execute("save_setting", "unmerged", "begun")
                while time.monotonic() < deadline:
                    with self._file.transaction():
                        before = self._file.changes()
                        self._execute("merge_text", _MERGED_PAGES)
                        if self._file.changes() - before < _LEAST_CHANGES:
                            self._execute("forget_setting", "unmerged")
                            break
                else:
                    return False
                self._file.empty_log()
            except StorageBusyError:
                return False
            return True

    def search(
        self,
        query: Query,
        scope: tuple[str, str] | None,
        fields: Sequence[str] | None,
        after: SearchPlace | None,
        most: int,
    ) -> Matches:
        """Return the records that match a query, the best first.

        Args:
            query: the query.
            scope: ``run`` or ``project``, and its id; None: all.
            fields: only words in these fields; None: in all.
            after: those behind this place.
            most: at most so many.
        """
        with self._lock, self._file.translated():
            word = None
            if scope is not None:
                number = only_value(self._first("get_scope", *scope))
                if number is None:
                    return Matches([], 0, is_cut=False)
                word = _scope_word(number)
            columns = dict(self._execute("list_fields"))
            expression = compiled(query, lambda field: _filter(columns, fields, field), word)
            self._weights, self._average = self._weights_of(expression.phrases), 0.0
            found = list(self._execute("rank_matches", expression.text, MOST_RANKED + 1))
            ranked = sorted((-round(rank, 6), number) for number, rank in found[:MOST_RANKED])
            matches = list(islice(self._behind(ranked, after), most))
        return Matches(matches, len(ranked), is_cut=len(found) > MOST_RANKED)

    def list_matches(self, query: Query, record_uids: Sequence[str]) -> list[Match]:
        """Return those of these records that match a query, in no order, and without a rank."""
        with self._lock, self._file.translated():
            columns = dict(self._execute("list_fields"))
            expression = compiled(query, lambda field: _filter(columns, None, field), None)
            found = self._execute("list_matches", json_text(list(record_uids)), expression.text)
            return [Match(SearchPlace(0.0, uid), stamp) for uid, stamp in found]

    def _behind(self, ranked: Sequence[tuple[float, int]], after: SearchPlace | None) -> Iterator[Match]:
        """Yield the matches behind a place, those of one rank by their uids."""
        for rank, group in groupby(ranked, lambda one: -one[0]):
            if after is not None and rank > after.rank:
                continue
            records = sorted(cast("Row", self._first("get_record", number)) for _, number in group)
            for uid, stamp in records:
                if after is None or rank < after.rank or uid > after.record_uid:
                    yield Match(SearchPlace(rank, uid), stamp)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _has(self, uid: str, stamp: int) -> bool:
        found = self._first("get_entry", uid)
        if found is None:
            return False
        _, _, known = found
        return known == stamp

    def _put(self, entry: Entry, columns: dict[str, str]) -> None:
        self._forget(entry.record_uid)
        project = self._scope("project", entry.project_id)
        run = self._scope("run", entry.master_job_id)
        self._execute("add_entry", entry.record_uid, run, hash_of(entry.stamp))
        number = self._file.last_number()
        self._execute("grow_scope", 1, run)
        texts: dict[str, list[str]] = {}
        for path, text in entry.texts:
            texts.setdefault(self._column(path, columns), []).append(indexed_text(text))
        joined = [_BETWEEN.join(texts[name]) if name in texts else None for name in (*_COLUMNS, OTHERS)]
        self._execute("add_text", number, f"{_scope_word(project)} {_scope_word(run)}", *joined)

    def _forget(self, uid: str) -> bool:
        """Forget a record; return whether there was one."""
        found = self._first("get_entry", uid)
        if found is None:
            return False
        number, scope, _ = found
        self._execute("delete_text", number)
        self._execute("delete_entry", number)
        self._execute("grow_scope", -1, scope)
        return True

    def _scope(self, kind: str, id: str) -> int:
        found = self._first("get_scope", kind, id)
        if found is None:
            self._execute("add_scope", kind, id)
            return self._file.last_number()
        (number,) = found
        return number

    def _column(self, path: str, columns: dict[str, str]) -> str:
        """Return the column of a field: one of its own, as long as there are any."""
        column = columns.get(path)
        if column is None:
            column = _COLUMNS[len(columns)] if len(columns) < len(_COLUMNS) else OTHERS
            if len(columns) < _MOST_FIELDS:
                columns[path] = column
                self._execute("add_field", path, column)
        return column

    def _weights_of(self, phrases: Sequence[str]) -> tuple[float, ...]:
        """Return what each phrase counts: the more, the fewer records have it."""
        if len(phrases) == 1:
            return (1.0,)
        ((total,),) = self._execute("count_entries")
        weights: list[float] = []
        for phrase in phrases:
            ((number,),) = self._execute("count_matches", phrase, _MOST_COUNTED)
            weights.append(math.log(1 + (total - number + 0.5) / (number + 0.5)))
        return tuple(weights)

    def _relevance(self, api: Any, *_: object) -> float:
        """Return how well the current row matches, by BM25, rare words by `_weights_of`."""
        if not self._average:  # the same for all rows of a search
            self._average = max(1.0, api.column_total_size(-1) / api.row_count)
        length = _TF * (1 - _LENGTH + _LENGTH * api.column_size(-1) / self._average)
        rank = 0.0
        # Behind these phrases stands the scope. There are fewer, where a phrase has only letters that SQLite knows not.
        for at, weight in zip(range(api.phrase_count), self._weights, strict=False):
            times = 0
            for column in api.phrase_locations(at):
                times += len(column)
            rank += weight * times * (_TF + 1) / (times + length)
        return rank


def hash_of(stamp: str) -> int:
    """Return a stamp in 8 bytes: the index has one for each record."""
    return int.from_bytes(hashlib.blake2b(stamp.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)


def _scope_word(number: int) -> str:
    return f"\ue001{number}"  # nobody can type it: it is no letter


def _filter(columns: dict[str, str], fields: Sequence[str] | None, field: str | None) -> str:
    """Return the filter of the columns that have a field, as FTS5 takes it; without one, those of all fields."""
    if field is None and fields is None:
        return _ALL
    names = {
        column
        for path, column in columns.items()
        if (field is None or is_within(path, field)) and (fields is None or any(is_within(path, one) for one in fields))
    }
    return f"{{{' '.join(sorted(names))}}}" if names else _IMPOSSIBLE
