"""Row logs in which every record stands once, as it is: most do, and their records need not be replayed to see that.

To replay a record is to parse its line and to insert it with its indexes and counts: 20 µs, and nearly half of what
`verify` does with a packed store. A record whose line says what its row says, and that no other line speaks of, is what
a replay would make of it. So the lines of records are compared with the rows as bytes: as many of either, and the same
sum of their hashes, which no dictionary has to hold. Whatever is not as usual is left to the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from starfish_storage.codec import encode_row
from starfish_storage.interface.rows import ExecutionJobRow
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite import row_changes
from starfish_storage.metadata.sqlite.driver import Connection, Row

_RECORD = "save_record"
_BEGINNING = f'["{_RECORD}",'.encode()
_NOT_PLAIN = frozenset(
    {"note_deletion", "forget_deletion"}
    | {"delete_master_job", "delete_project", "delete_execution_job", "delete_record"}
    | {"save_version", "delete_version", "save_annotation", "withdraw_annotation", "delete_annotation"}
)
"""Changes that remove records, or that hold only where their record is."""

_PLAIN = tuple(f'["{name}",'.encode() for name in row_changes.CHANGES if name not in {*_NOT_PLAIN, _RECORD})
_MOST_KNOWN = 10_000  # execution jobs that are remembered; a megabyte


class NotPlainError(Exception):
    """Only a replay can tell what a log says of its records."""


class RecordLines:
    """Takes the lines of records from a log, and compares them with the rows of a database.

    Args:
        replayed: the database into which the other lines are replayed, each before the next one is asked for.
    """

    def __init__(self, replayed: Connection) -> None:
        self._replayed = replayed
        self._known: set[bytes] = set()
        self._queries = sqlite_queries()
        self._taken = (0, 0)

    def left_over(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines that are not of records.

        Raises:
            NotPlainError: it is not a log of this release, something was deleted, or a record has no execution job yet,
                so that a replay would refuse it.
        """
        header = row_changes.header(self._queries)
        has_header = False
        count = total = 0
        for line in lines:
            if line.startswith(_BEGINNING) and has_header:
                count += 1
                total += hash(line)
                self._need_execution_job(line)
            elif line == header or (has_header and line.startswith(_PLAIN)):
                has_header = True
                yield line
            else:
                raise NotPlainError
        self._taken = (count, total)

    def are(self, rows: Callable[[str], Iterator[Row]]) -> bool:
        """Return whether they say of all records what the rows of a database say, and nothing else.

        Args:
            rows: returns the rows of a named query over that database.
        """
        query = next(query for query, change in row_changes.ALL_ROWS if change == _RECORD)
        count = total = 0
        for row in rows(query):
            count += 1
            total += hash(encode_row((_RECORD, *row)))
        return self._taken == (count, total)

    def _need_execution_job(self, line: bytes) -> None:
        # The id of the record, of its execution job, and of its master job. Where an id holds what stands between them,
        # there is hardly such an execution job.
        _, job_id, master_job_id, *_ = (*line[len(_BEGINNING) :].split(b'","', 3), b"", b"")
        told = job_id + b'"' + master_job_id
        if told in self._known:
            return
        try:
            found = self._replayed.execute(self._queries["get_execution_job"], (job_id.decode(),)).fetchone()
            is_there = found is not None and ExecutionJobRow._make(found).master_job_id == master_job_id.decode()
        except UnicodeDecodeError:
            is_there = False
        if not is_there:
            raise NotPlainError
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add(told)
