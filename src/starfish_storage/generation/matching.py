"""Matches inputs with those of a run by what they hold, each equal input once, wherever it stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from starfish_storage.errors import NotFoundError
from starfish_storage.generation.inputs import Feed
from starfish_storage.generation.lease import release_dead
from starfish_storage.interface import RunLedger, Storage
from starfish_storage.runs import RunInput, RunState, StoredInput
from starfish_storage.times import utc_now

_PAGE = 5000
_CHANGED_AT_ONCE = 500

_RANK = ("completed", "filtered", "duplicate", "failed", "running", "pending", "cancelled")
"""Of equal inputs, those that are further are taken first."""


class StoredInputs:
    """The inputs of a run by what they hold; each is taken once. Of an input, it keeps about 300 bytes.

    Args:
        found: the inputs.
    """

    def __init__(self, found: Iterable[StoredInput] = ()) -> None:
        self._left = defaultdict[str, list[StoredInput]](list)
        self.add(found)

    def add(self, found: Iterable[StoredInput]) -> None:
        """Add inputs."""
        grown: set[str] = set()
        for one in found:
            self._left[one.digest].append(one)
            grown.add(one.digest)
        for digest in grown:
            self._left[digest].sort(key=lambda one: (_RANK.index(one.status), one.position), reverse=True)

    def take(self, digest: str) -> StoredInput | None:
        """Return an input, and remove it; None if none is left."""
        left = self._left.get(digest)
        return left.pop() if left else None

    def rest(self) -> list[StoredInput]:
        """Return those that were not taken, by position."""
        return sorted((one for left in self._left.values() for one in left), key=lambda one: one.position)


@dataclass(slots=True)
class Matched:
    """What matching has changed.

    Attributes:
        new: how many inputs are new.
        back: how many that were gone are there again.
        gone: how many are not among those given.
        is_complete: whether the store has all inputs.
    """

    new: int = 0
    back: int = 0
    gone: int = 0
    is_complete: bool = field(default=True, repr=False)

    @property
    def is_change(self) -> bool:
        """Whether there is anything to note."""
        return bool(self.new or self.back or self.gone)

    def to_json(self) -> dict[str, int]:
        """Return it as it stands in a segment."""
        return {"new": self.new, "back": self.back, "gone": self.gone}


async def list_all(ledger: RunLedger, master_job_id: str, first: int = 0) -> list[StoredInput]:
    """Return all inputs of a run from a position on."""
    found = await ledger.list_inputs(master_job_id, first=first, limit=_PAGE)
    all_of_them = list(found)
    while len(found) == _PAGE:
        found = await ledger.list_inputs(master_job_id, after=found[-1], limit=_PAGE)
        all_of_them += found
    return all_of_them


class Matching:
    """Makes the inputs that were given those of a run. It reads all of them.

    Several processes may do so at the same time: of each new input, one stores it.

    Args:
        storage: has the run.
        state: where the run stands.
        feed: the inputs that were given; it has been compared.
    """

    def __init__(self, storage: Storage, state: RunState, feed: Feed) -> None:
        self._storage, self._ledger = storage, storage.ledger
        self._run_id = state.master_job_id
        self._registered = state.registered
        self._feed = feed
        self._same = feed.compared
        self._stored = StoredInputs()
        self._matched = Matched(is_complete=state.inputs_complete)

    async def match(self, *, cancels: bool) -> Matched:
        """Store inputs that are new, restore those that are back, and perhaps cancel those that are gone.

        Killed on the way, the run needs its inputs again.
        """
        await release_dead(self._ledger, self._run_id)  # what nobody works on can be cancelled
        # Read before the inputs: what others append meanwhile is found when this appends.
        await self._know(0)
        async for batch in self._feed:
            await self._take(batch)
        gone = [one for one in self._stored.rest() if one.status not in ("running", "cancelled")]
        if cancels and gone:
            await self._reopen()
            for part in _parts(gone):
                self._matched.gone += await self._ledger.cancel_inputs(self._run_id, part, utc_now())
        if not self._matched.is_complete:
            await self._ledger.complete_inputs(self._run_id)
        return self._matched

    async def finds_the_same(self) -> bool:
        """Return whether the run has the inputs that were given, and no others, in whatever order. Changes nothing."""
        await self._know(0)
        async for batch in self._feed:
            back: list[StoredInput] = []
            if self._unknown(batch, back) or back:
                return False
        return all(one.status == "cancelled" for one in self._stored.rest())

    async def _know(self, first: int) -> None:
        """Learn which inputs the run has, from a position on."""
        found = await list_all(self._ledger, self._run_id, first)
        self._registered = max([self._registered, *(one.position + 1 for one in found)])
        self._stored.add(one for one in found if one.position >= self._same or one.status == "cancelled")

    async def _take(self, batch: list[RunInput]) -> None:
        back: list[StoredInput] = []
        new = self._unknown(batch, back)
        while new:
            await self._reopen()
            placed = [replace(one, position=place) for place, one in enumerate(new, self._registered)]
            if await self._ledger.append_inputs(self._run_id, placed, self._registered):
                self._registered += len(placed)
                self._matched.new += len(placed)
                break
            await self._learn_more()
            new = self._unknown(new, back)
        if back:
            await self._reopen()
            for part in _parts(back):
                self._matched.back += await self._ledger.restore_inputs(self._run_id, part, utc_now())

    def _unknown(self, batch: list[RunInput], back: list[StoredInput]) -> list[RunInput]:
        """Return the inputs that the run does not have, and add those that were gone to a list."""
        unknown: list[RunInput] = []
        for one in batch:
            there = self._stored.take(one.digest())
            if there is None:
                unknown.append(one)
            elif there.status == "cancelled":
                back.append(there)
        return unknown

    async def _learn_more(self) -> None:
        """Learn what others have appended."""
        before = self._registered
        await self._know(before)
        if self._registered > before:
            return
        state = await self._ledger.get_run(self._run_id)
        if state is None:
            raise NotFoundError("run", self._run_id, "it was deleted meanwhile")
        self._registered = state.registered  # an append whose answer was lost, or the last input was skipped

    async def _reopen(self) -> None:
        if self._matched.is_complete:
            # First: killed in between, a run that had finished is not taken for one that still has.
            await self._storage.update_master_job_status(self._run_id, "running", utc_now())
            await self._ledger.reopen_inputs(self._run_id)
            self._matched.is_complete = False


def _parts(inputs: list[StoredInput]) -> Iterable[list[str]]:
    for start in range(0, len(inputs), _CHANGED_AT_ONCE):
        yield [one.job_id for one in inputs[start : start + _CHANGED_AT_ONCE]]
