"""Why the models of a run were asked: how its requests were answered, and what differs from those that are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from starfish_storage.errors import NotFoundError
from starfish_storage.generation.nearest import ComparedWith, Nearest, StoredRequests, request_of
from starfish_storage.interface import Storage
from starfish_storage.runs import Step

NEW = "no request like it is stored"

_PAGE = 100  # of steps with their responses: bounds the memory
_MOST_REASONS = 1000
_OTHER = "other reasons"


@dataclass(frozen=True, slots=True)
class AskedReason:
    """Requests of a run that a model was asked for the same reason.

    Attributes:
        reason: what differs from the nearest stored request, or why that one did not answer it.
        of: whether that is one of the same input, in an earlier attempt or run, or of another input; None if no
            request like it is stored.
        name: method, host and path.
        count: how many requests.
        cost: what they cost.
        job_id: the input of one of them.
        nearest: the input whose stored request is nearest to that one.
    """

    reason: str
    of: ComparedWith | None
    name: str
    count: int
    cost: float
    job_id: str
    nearest: str | None


@dataclass(frozen=True, slots=True)
class CallsExplained:
    """How the requests of a run were answered, and why models were asked.

    Attributes:
        master_job_id: the run.
        asked: requests that a model answered.
        replayed: those that were answered from what the input itself had stored.
        reused: those that were answered from what another input or run had stored.
        cost: what the stored answers cost.
        saved_cost: what the reused ones had cost.
        reasons: why models were asked, the most frequent first.
        other_functions: the functions of the earlier runs that were compared with, if none was of the run's own; empty
            if there was one, or no earlier run at all.
    """

    master_job_id: str
    asked: int
    replayed: int
    reused: int
    cost: float
    saved_cost: float
    reasons: tuple[AskedReason, ...]
    other_functions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        lists = {"reasons": [asdict(one) for one in self.reasons], "other_functions": list(self.other_functions)}
        return asdict(self) | lists


async def explain_calls(
    storage: Storage, master_job_id: str, *, progress: Callable[[int, int], object] | None = None
) -> CallsExplained:
    """Return how the requests of a run were answered, and for those that a model was asked, why.

    A request is compared with those that its input has asked in earlier attempts, and in the newest earlier runs of the
    project that are of the same function, or, where there is none, of whatever function. If there are no such requests,
    it is compared with some of other inputs. Changes nothing. It takes the memory of a page of requests.

    Args:
        storage: the store of the run, set up.
        master_job_id: the run.
        progress: called after each request with how many are explained, and of about how many.

    Raises:
        NotFoundError: the run does not exist.
        StorageError: the store failed.
    """
    job = await storage.get_master_job(master_job_id)
    if job is None:
        raise NotFoundError("run", master_job_id, "list_master_jobs lists the runs of a store")
    stored, groups, done = StoredRequests(storage, job), _Groups(), 0
    counts = await storage.ledger.count_calls(master_job_id)
    async for step in _asked(storage, master_job_id):
        await groups.add(step, stored)
        done += 1
        if progress is not None:
            progress(done, max(done, counts.asked))
    reasons = groups.most_frequent_first()
    return CallsExplained(
        master_job_id,
        sum(one.count for one in reasons),
        counts.replayed,
        counts.reused,
        sum(one.cost for one in reasons),
        counts.saved_cost,
        reasons,
        await stored.other_functions() if reasons else (),
    )


async def _asked(storage: Storage, run_id: str) -> AsyncIterator[Step]:
    """Yield the requests that a model answered, by input."""
    after: Step | None = None
    while page := await storage.ledger.list_requests(run_id, after, _PAGE):
        for step in page:
            if step.reused_from is None:
                yield step
        after = page[-1]


class _Groups:
    """Counts requests by reason; a bounded number of reasons."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None, str], AskedReason] = {}

    async def add(self, step: Step, stored: StoredRequests) -> None:
        nearest = await stored.nearest(step)
        reason, of = _reason(step, nearest), None if nearest is None else nearest.of
        key = (reason, of, step.name)
        if key not in self._found and len(self._found) >= _MOST_REASONS:
            reason, of = _OTHER, None
            key = (reason, of, step.name)
        cost = sum(one.cost for one in step.usage)
        known = self._found.get(key)
        if known is None:
            like = None if nearest is None or reason == _OTHER else nearest.step.job_id
            self._found[key] = AskedReason(reason, of, step.name, 1, cost, step.job_id, like)
        else:
            self._found[key] = replace(known, count=known.count + 1, cost=known.cost + cost)

    def most_frequent_first(self) -> tuple[AskedReason, ...]:
        return tuple(sorted(self._found.values(), key=lambda one: (-one.count, one.reason, one.name)))


def _reason(step: Step, nearest: Nearest | None) -> str:
    """Return why a model was asked, in words that are the same for requests asked for the same reason."""
    if nearest is None:
        return NEW if request_of(step) is not None else f"{NEW}, or they were not kept"
    if nearest.differences:
        return "; ".join(nearest.differences)
    if nearest.step.status != "kept":
        return f"the same request, whose answer was {nearest.step.status}"
    if nearest.step.call < step.call:
        return "the same request, which was asked for less often"
    if nearest.step.job_id == step.job_id:
        return "the same request, whose answer an earlier attempt has"
    return 'the same request of an earlier run, where reuse="run" does not look'
