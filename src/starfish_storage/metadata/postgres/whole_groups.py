"""Groups that are written at once: the most frequent ones take one round trip, and not one for each of their parts.

Records with their data, inputs that are finished for the first time, claims and refreshed counts need no answer before
the commit. The server's function `write_group` stores them, and raises where something has to be looked at after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from starfish_storage.identifiers import fold
from starfish_storage.interface.rows import AttemptRow, ClaimedInputRow, FinishedInputRow, RecordRow
from starfish_storage.metadata.claiming import Claiming, Refreshing
from starfish_storage.metadata.finishing import Finishing
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.queries import Queries, postgres_queries
from starfish_storage.metadata.row import Row

_MOST_PARTS = 3  # a group that would fall into more is written as one
_Worker = tuple[str, str]


@dataclass(slots=True, eq=False, repr=False)
class WholeGroup:
    """What is written at once.

    Attributes:
        records: the rows of records.
        versions: of their data, by key.
        finishing: the outcomes of inputs.
        claiming: the claims beside those of outcomes.
        refreshing: runs whose counts are brought up to date.
        now: the latest time that any of its calls was given.
    """

    records: list[RecordRow] = field(default_factory=list[RecordRow])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    finishing: list[Finishing] = field(default_factory=list[Finishing])
    claiming: list[Claiming] = field(default_factory=list[Claiming])
    refreshing: list[Refreshing] = field(default_factory=list[Refreshing])
    now: str = ""

    def write(self, connection: PostgresConnection, queries: Queries, group: Row) -> None:
        """Write it, and give out what was claimed.

        Args:
            connection: the writing connection, outside a transaction.
            queries: the named queries.
            group: who writes it, its number, the version of the schema, and the lock of the store.

        Raises:
            Exception: the driver's; nothing was written, unless the connection was lost.
        """
        self.now = max((one.now for one in (*self.finishing, *self.claiming, *self.refreshing)), default="")
        records, finished = self.records, [one.plain_rows() for one in self.finishing]
        given = (
            *group,
            *_columns(records, len(RecordRow._fields)),
            [self.versions.get(row.output_ref or "") for row in records],
            [row.record_uid for row in records],
            *_columns([attempt for attempt, _ in finished], len(AttemptRow._fields)),
            *_columns([end for _, end in finished], len(FinishedInputRow._fields)),
            *self._workers(),
            list(self._limits().values()),
            sorted({one.master_job_id for one in self.refreshing}),
            self.now,
        )
        self._give_out(connection.execute(queries["write_group"], given))

    def look_again(self, connection: PostgresConnection) -> None:
        """Give out what was claimed by a group that was committed, but whose answer was lost."""
        if self._limits():
            queries = postgres_queries()
            self._give_out(connection.execute(queries["list_claimed_by_group"], (*self._workers(), self.now)))

    def _limits(self) -> dict[_Worker, int]:
        """Return how many inputs each worker of each run claims at most."""
        limits: dict[_Worker, int] = {}
        for one in self.finishing:
            if one.claim_next:
                worker = one.outcome.claimed.master_job_id, one.outcome.worker_id
                limits[worker] = limits.get(worker, 0) + 1
        for one in self.claiming:
            worker = one.master_job_id, one.worker_id
            limits[worker] = limits.get(worker, 0) + one.limit
        return limits

    def _workers(self) -> tuple[list[str], list[str]]:
        workers = list(self._limits())
        return [run for run, _ in workers], [worker_id for _, worker_id in workers]

    def _give_out(self, found: Iterable[Row]) -> None:
        rows: dict[_Worker, list[ClaimedInputRow]] = {}
        for *columns, worker_id in found:
            row = ClaimedInputRow._make(columns)
            rows.setdefault((row.master_job_id, str(worker_id)), []).append(row)
        for of_worker in rows.values():
            of_worker.sort(key=lambda row: row.position, reverse=True)  # the first ones are taken first
        for one in self.finishing:
            own = rows.get((one.outcome.claimed.master_job_id, one.outcome.worker_id))
            if one.claim_next and own:
                one.take(own.pop())
        for one in self.claiming:
            own = rows.get((one.master_job_id, one.worker_id), [])
            one.claimed = [own.pop() for _ in range(min(one.limit, len(own)))]


def parts_of(group: Sequence[WriteOperation]) -> list[list[WriteOperation]]:
    """Return a group in parts, in order, so that what can be written at once is; as one, if there would be many."""
    parts = [list(alike) for _, alike in groupby(group, _is_whole)]
    return parts if len(parts) <= _MOST_PARTS else [list(group)]


def whole_group(group: Sequence[WriteOperation]) -> WholeGroup | None:
    """Return a group as it is written at once; None if it cannot be."""
    whole = WholeGroup()
    for operation in group:
        if not _is_whole(operation):
            return None
        what: Any = None if operation.batch is None else operation.batch[1]
        if isinstance(what, Finishing):
            whole.finishing.append(what)
        elif isinstance(what, Claiming):
            whole.claiming.append(what)
        elif isinstance(what, Refreshing):
            what.run = None
            whole.refreshing.append(what)
        whole.records += operation.records
        whole.versions.update(operation.versions)
    uids = [row.record_uid for row in whole.records]
    if len(set(uids)) < len(uids) or list(map(fold, uids)) != uids:
        return None
    return whole


def _is_whole(operation: WriteOperation) -> bool:
    """Return whether an operation can be written with others at once, as far as that can be seen here."""
    if operation.decides or operation.removals is not None:
        return False
    if operation.batch is None:
        return operation.apply is None and len(operation.records) > 0
    what: Any = operation.batch[1]
    if isinstance(what, Finishing):
        return what.is_by_group and what.attempt.number == 1 and (what.budget is None or not what.claim_next)
    return isinstance(what, Refreshing) or (isinstance(what, Claiming) and what.budget is None)


def _columns(rows: Sequence[Row], width: int) -> list[list[Any]]:
    """Return rows as one list a column, also if there are none."""
    return list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in range(width)]
