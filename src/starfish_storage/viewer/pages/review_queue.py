"""The records that somebody has yet to judge: of a run, or of those that the table of the run shows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import QueryParams

from starfish_storage.interface import Storage
from starfish_storage.runs import Annotation, holding
from starfish_storage.viewer.record_pages import record_page
from starfish_storage.viewer.table_state import state_of

LONGEST_LOOK = 0.5
"""Seconds after which the look for the next one ends, and the page says how to go on."""
MOST_UNDONE = 10
"""Annotations that can be taken back one after another."""

# Of the address of a review, beside the parameters of the table.
_OWN = frozenset({"at", "after", "before", "undo"})


@dataclass(frozen=True, slots=True)
class Queue:
    """What is reviewed, as the address of a page says it.

    Attributes:
        state: the parameters of the table whose records are the queue; the run among them.
        undo: what can be taken back, the newest at the end: the ids of an annotation and its record, with a colon.
    """

    state: Mapping[str, Sequence[str]]
    undo: Sequence[str] = ()

    @classmethod
    def of(cls, parameters: QueryParams) -> Queue:
        """Return the queue of an address, or of a form that has one in its field ``queue``."""
        given = QueryParams(parameters.get("queue", "")) if "queue" in parameters else parameters
        names = dict.fromkeys(name for name in given if name not in _OWN)
        state = {name: found for name in names if (found := [one for one in given.getlist(name) if one])}
        # A filter is three parameters that belong together by their places: none may be left out alone.
        state |= {name: given.getlist(name) for name in ("field", "compare", "value") if name in names}
        return cls(state, given.getlist("undo")[-MOST_UNDONE:])

    @property
    def master_job_id(self) -> str:
        """The run."""
        return next(iter(self.state.get("run", ())), "")

    @property
    def is_filtered(self) -> bool:
        """Whether it is less than all completed records of the run, or they come in another order."""
        return any(one for name in self.state if name not in ("run", "column") for one in self.state[name])

    def to_parameters(self, **further: Any) -> dict[str, Any]:
        """Return the parameters of an address."""
        return {**self.state, **further, "undo": list(self.undo)}

    def with_done(self, said: Annotation) -> Queue:
        """Return it after something was said, which can be taken back."""
        return replace(self, undo=[*self.undo, f"{said.annotation_id}:{said.record_uid}"][-MOST_UNDONE:])

    def without(self, taken: Annotation) -> Queue:
        """Return it after something was taken back."""
        return replace(self, undo=[one for one in self.undo if not one.startswith(f"{taken.annotation_id}:")])


@dataclass(frozen=True, slots=True)
class NextRecord:
    """What comes next in a queue.

    Attributes:
        uid: the record; None if there is none.
        stopped: the record at which the look has ended; None if it came to an end.
        looked_at: how many records were looked at.
    """

    uid: str | None
    stopped: str | None = None
    looked_at: int = 0


async def next_in(storage: Storage, queue: Queue, author: str, after: str | None) -> NextRecord:
    """Return the next record of a queue without a verdict of an author.

    Raises:
        NotFoundError: the record behind which it is looked for is not there any more.
        InvalidInputError: the filter makes no sense.
    """
    if not queue.is_filtered:
        border = None if after is None else await storage.get_record_metadata(after)
        found = await storage.annotations.next_unreviewed(queue.master_job_id, author, after=border)
        return NextRecord(found[0].record_uid if found else None)
    query = state_of(QueryParams([(name, one) for name, values in queue.state.items() for one in values])).query
    until = time.monotonic() + LONGEST_LOOK
    looked_at = 0
    while True:
        page = await record_page(storage, replace(query, after=after))
        looked_at += page.looked_at
        uids = [one.uid for one in page.lines]
        judged = await judged_by(storage, uids, author)
        waiting = next((uid for uid in uids if uid not in judged), None)
        after = page.stopped or (uids[-1] if uids else None)
        if waiting is not None or not page.following or after is None:
            return NextRecord(waiting, None, looked_at)
        if time.monotonic() > until:
            return NextRecord(None, after, looked_at)


async def judged_by(storage: Storage, uids: Sequence[str], author: str) -> set[str]:
    """Return those of some records that have a verdict of an author."""
    found = holding(await storage.annotations.list(uids))
    return {one.record_uid for one in found if one.kind == "verdict" and one.author == author}
