"""The stored request that is most like one: of the same input if there is any, else of another one at its endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import Step
from starfish_storage.runs.exchanges import CallRequest
from starfish_storage.runs.inputs import same_input_in
from starfish_storage.runs.request_differences import request_differences

_MOST_RUNS = 5  # that are compared with: the newest ones that have requests
_MOST_LOOKED_AT = 50  # runs, to find those
_MOST_SEGMENTS = 20  # of a run
_PAGE = 50
_MOST_OF_OTHERS = 20  # requests of other inputs, of each endpoint and run

_REDACTED = "a value changed that is not stored because it looks like a secret"
_ENDED = ("completed", "failed")

ComparedWith = Literal["input", "other input"]


@dataclass(frozen=True, slots=True)
class Nearest:
    """A stored request that is most like another.

    Attributes:
        step: holds it.
        of: whether the same input asked it, in this run or an earlier one, or another input.
        differences: what differs, a line each; none if the two are equal.
    """

    step: Step
    of: ComparedWith
    differences: tuple[str, ...]


class StoredRequests:
    """The requests that those of a run are compared with: a bounded number, however large the store is.

    Args:
        storage: holds them.
        run: the run; it is compared with itself and with earlier ones of its project.
    """

    def __init__(self, storage: Storage, run: GenerationMasterJob) -> None:
        self._storage = storage
        self._run = run
        self._earlier: list[str] | None = None
        self._other_functions: tuple[str, ...] = ()
        self._others: dict[str, list[Step]] | None = None
        self._input: tuple[str, list[Step]] = ("", [])

    async def nearest(self, step: Step) -> Nearest | None:
        """Return the stored request that is most like that of a step, and was stored before; None if there is none.

        Args:
            step: with its request; ``request_key``, ``job_id``, ``name`` and ``attempt`` tell which it is.
        """
        same = [one for one in await self._of_input(step.job_id) if _is_before(one, step)]
        found = _most_like(step, same, "input")
        if found is not None:
            return found
        others = await self._of_others(step.name)
        return _most_like(step, [one for one in others if one.job_id != step.job_id], "other input")

    async def _of_input(self, job_id: str) -> list[Step]:
        """Return the requests of an input, and those of equal inputs of earlier runs."""
        if self._input[0] != job_id:
            found = await self._storage.ledger.list_calls(job_id)
            for run_id in await self._runs():
                found += await self._of_equal_input(job_id, run_id)
            self._input = job_id, [one for one in found if one.request_key]
        return self._input[1]

    async def _of_equal_input(self, job_id: str, run_id: str) -> list[Step]:
        """Return the steps of an equal input of another run: at the same position, as nearly always, or elsewhere."""
        found = await self._storage.ledger.list_calls(same_input_in(run_id, job_id))
        if found:
            return found
        job = await self._storage.get_execution_job(job_id)
        if job is None or job.run_config_hash is None:
            return []
        for status in _ENDED:
            of_hash = self._storage.list_execution_jobs_by_master_id_and_config_hash
            for one in (await of_hash(run_id, job.run_config_hash, status))[:_MOST_OF_OTHERS]:
                found += await self._storage.ledger.list_calls(one.job_id)
        return found

    async def _of_others(self, name: str) -> list[Step]:
        """Return some requests to an endpoint, of whatever inputs of the earlier runs."""
        if self._others is None:
            self._others = {}
            for run_id in await self._runs():
                counted: dict[str, int] = {}
                for one in await self._storage.ledger.list_requests(run_id, limit=_PAGE):
                    counted[one.name] = counted.get(one.name, 0) + 1
                    if counted[one.name] <= _MOST_OF_OTHERS:
                        self._others.setdefault(one.name, []).append(one)
        return self._others.get(name, [])

    async def other_functions(self) -> tuple[str, ...]:
        """Return the functions of the earlier runs that are compared with, if none of those is of the run's own."""
        await self._runs()
        return self._other_functions

    async def _runs(self) -> list[str]:
        """Return the newest runs of the project that are older than this one and have requests.

        If there are runs of the same function among them, it is these alone: another one may have asked for anything.
        """
        if self._earlier is None:
            own, same, others = await self._functions_of(self._run.master_job_id), list[str](), dict[str, set[str]]()
            async for run_id in self._older():
                if len(same) == _MOST_RUNS:
                    break
                if not await self._storage.ledger.list_requests(run_id, limit=1):
                    continue
                functions = await self._functions_of(run_id)
                if own & functions or not own:
                    same.append(run_id)
                elif len(others) < _MOST_RUNS:
                    others[run_id] = functions
            if not same:
                self._other_functions = tuple(sorted(set[str]().union(*others.values())))
            self._earlier = same or list(others)
        return self._earlier

    async def _older(self) -> AsyncIterator[str]:
        """Yield the runs of the project that are older than this one, the newest first; not all of many."""
        run, looked_at, offset = self._run, 0, 0
        while page := await self._storage.list_master_jobs(run.project_id, limit=_PAGE, offset=offset):
            for job in page:
                if (job.creation_time, job.master_job_id) < (run.creation_time, run.master_job_id):
                    yield job.master_job_id
                    looked_at += 1
                if looked_at == _MOST_LOOKED_AT:
                    return
            if len(page) < _PAGE:
                return
            offset += _PAGE

    async def _functions_of(self, run_id: str) -> set[str]:
        """Return the names of the functions that a run was made by, as far as its segments say."""
        found = set[str]()
        for segment in await self._storage.ledger.list_segments(run_id, newest=_MOST_SEGMENTS):
            function = segment.identity.get("function")
            name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else None
            found |= {name} if isinstance(name, str) else set()
        return found


def _is_before(one: Step, step: Step) -> bool:
    """Return whether a request was stored when another was asked: not one of the same attempt."""
    return one.job_id != step.job_id or one.attempt < step.attempt


def _most_like(step: Step, stored: Sequence[Step], of: ComparedWith) -> Nearest | None:
    same_key = [one for one in stored if one.request_key == step.request_key]
    if same_key:
        return Nearest(max(same_key, key=lambda one: (one.job_id == step.job_id, *_usable(one))), of, ())
    asked = request_of(step)
    if asked is None:
        return None
    best: Nearest | None = None
    for one in _newest_first(stored):
        request = request_of(one) if one.name == step.name else None
        if request is None:
            continue
        lines = tuple(request_differences(request, asked)) or (_REDACTED,)  # their keys differ
        if best is None or len(lines) < len(best.differences):
            best = Nearest(one, of, lines)
    return best


def _usable(one: Step) -> tuple[bool, int]:
    return one.status == "kept", one.call


def _newest_first(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda one: one.saved_when, reverse=True)


def request_of(step: Step) -> CallRequest | None:
    """Return the request of a step; None if it was not kept, or cannot be read."""
    if step.request is None:
        return None
    try:
        return CallRequest.unpacked(step.request)
    except ValueError:
        return None
