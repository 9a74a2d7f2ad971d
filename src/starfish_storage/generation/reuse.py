"""Where a run looks for the answer to a request before it asks a model, and what it says if there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from starfish_storage.errors import NotFoundError, RequestNotStoredError
from starfish_storage.generation.nearest import StoredRequests
from starfish_storage.generation.under_way import StepKey
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import Step, StepSource
from starfish_storage.times import utc_now

Reuse = Literal["run", "project", "store"]
REUSES: tuple[Reuse, ...] = ("run", "project", "store")

Replay = Literal["off", "only"]
REPLAYS: tuple[Replay, ...] = ("off", "only")


class FoundAnswer(NamedTuple):
    """An answer that another input has stored.

    Attributes:
        step: holds it.
        source: who paid for it.
    """

    step: Step
    source: StepSource


class StoredAnswers:
    """The answers that a store has beside those of an input, as the options of a run say.

    Args:
        storage: holds them.
        run_id: the run.
        reuse: where they are looked for.
        replay: whether anything may be asked that is not stored.

    Attributes:
        looks_elsewhere: whether answers of other inputs may be used.
        sends_nothing: whether what is not stored is refused.
    """

    def __init__(self, storage: Storage, run_id: str, reuse: Reuse, replay: Replay) -> None:
        self.looks_elsewhere = reuse != "run"
        self.sends_nothing = replay == "only"
        self._storage = storage
        self._run_id = run_id
        self._reuse: Reuse = reuse
        self._run: GenerationMasterJob | None = None

    def turn(self, key: StepKey) -> StepKey:
        """Return what equal requests of all inputs wait for: while one is asked, the others wait for its answer."""
        return key._replace(master_job_id="", job_id="")

    async def find(self, key: StepKey) -> FoundAnswer | None:
        """Return the newest kept answer to a request, of whatever input; None if there is none.

        Raises:
            StorageError: the store cannot be read.
        """
        ledger, scope = self._storage.ledger, "store" if self._reuse == "store" else "project"
        run = await self._stored_run() if scope == "project" else None
        project_id = None if run is None else run.project_id
        step = await ledger.find_reply(key.request_key, key.call, scope=scope, project_id=project_id)
        if step is None:
            return None
        if step.reused_from is not None:
            return FoundAnswer(step, step.reused_from)
        job = await self._storage.get_execution_job(step.job_id)
        cost = sum(one.cost for one in step.usage)
        run_id = "" if job is None else job.master_job_id  # deleted meanwhile
        return FoundAnswer(step, StepSource(run_id, step.job_id, step.call, step.reply, cost))

    async def not_stored(self, key: StepKey, packed: str | None, attempt: int) -> RequestNotStoredError:
        """Return the error for a request whose answer is not stored: it names the nearest one.

        Args:
            key: the request, or a step of `context.once`, which has no request.
            packed: the request itself, as it would be stored.
            attempt: the number of the attempt.

        Raises:
            StorageError: the store cannot be read.
        """
        if not key.request_key:
            return RequestNotStoredError("", key.name)
        asked = Step(
            key.job_id, key.name, {}, attempt, utc_now(), call=key.call, request_key=key.request_key, request=packed
        )
        found = await StoredRequests(self._storage, await self._stored_run()).nearest(asked)
        if found is None:
            return RequestNotStoredError(key.request_key, key.name)
        return RequestNotStoredError(key.request_key, key.name, found.step.job_id, found.differences)

    async def _stored_run(self) -> GenerationMasterJob:
        if self._run is None:
            self._run = await self._storage.get_master_job(self._run_id)
            if self._run is None:
                raise NotFoundError("run", self._run_id, "it was deleted meanwhile")
        return self._run


def copied(found: FoundAnswer, key: StepKey, packed: str | None, attempt: int) -> Step:
    """Return the step of an input that holds a copy of an answer. It costs nothing, whatever the answer had cost.

    Its tokens stay with it: the function may report them, and they are not to be counted as paid then.
    """
    now = utc_now()
    usage = tuple(replace(one, cost=0.0) for one in found.step.usage)
    return Step(
        key.job_id,
        key.name,
        found.step.result,
        attempt,
        now,
        usage,
        key.call,
        request_key=key.request_key,
        request=packed,
        asked_when=now,
        reused_from=found.source,
    )
