"""The run of a factory in the ledger: its inputs, its worker, and what came of each input."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.generation.account import AttemptAccount
from starfish_storage.generation.code_identity import code_identity
from starfish_storage.generation.lease import is_dead, release_dead
from starfish_storage.generation.options import Options
from starfish_storage.generation.outside import OutsideRun
from starfish_storage.generation.segments import segment_identity
from starfish_storage.generation.spooled import take_in
from starfish_storage.interface import Storage
from starfish_storage.keys import record_key, request_config_key
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import ClaimedInput, Outcome, RunInput, RunState, input_job_id
from starfish_storage.runs.outcomes import output_record_uid
from starfish_storage.statuses import COUNTED_STATUSES, StatusMasterJob
from starfish_storage.times import utc_now

Result = TypeVar("Result")

_BATCH = 1000
_OPEN = ("pending", "running")


class FactoryRun(OutsideRun):
    """A run that a factory of this process works on.

    Args:
        storage: holds it.
        state: where it stands.
        job: its master job.
        function: the user's function.
        options: how it is called.
        segment: the number of its segment.
    """

    def __init__(
        self,
        storage: Storage,
        state: RunState,
        job: GenerationMasterJob,
        function: Callable[..., Any],
        options: Options,
        segment: int,
    ) -> None:
        super().__init__(storage, state, job, lambda: code_identity(function), options, segment)
        of_config = storage.generate_request_config_path(self.id)
        self._data_place = of_config.removesuffix(f"/{request_config_key(self.id)}")
        self._inputs: dict[int, ClaimedInput] = {}
        self._ended: dict[int, str] = {}  # and the status of each, until it is put back

    # --- its inputs -----------------------------------------------------------------------------------------------

    async def register(self, inputs: Sequence[RunInput]) -> None:
        """Store the inputs of a new run."""
        for batch in batches(inputs):
            await self.ledger.register_inputs(self.id, batch)
        await self.ledger.complete_inputs(self.id)
        for one in inputs:
            job_id = input_job_id(self.id, one.position, one.digest())
            self._inputs[one.position] = ClaimedInput(job_id, self.id, one.position, one.run_config, 0)

    async def find_inputs(self) -> list[int]:
        """Read the inputs of a stored run, and return the positions of those that are completed."""
        done: list[int] = []
        last = None
        while page := await self.ledger.list_inputs(self.id, after=last, limit=_BATCH):
            accounts = await self.ledger.account_for_inputs([one.job_id for one in page])
            for one in page:
                found = accounts[one.job_id]
                claimed = ClaimedInput(one.job_id, self.id, one.position, found.run_config or {}, found.attempts)
                self._inputs[one.position] = claimed
                if one.status == "completed":
                    done.append(one.position)
                elif one.status not in _OPEN:
                    self._ended[one.position] = one.status
            last = page[-1]
        return done

    async def outputs_of(self, positions: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the completed outputs of these inputs, in order."""
        of_job = {self._inputs[position].job_id: position for position in positions}
        found: dict[int, list[tuple[int, str]]] = {position: [] for position in positions}
        async for record in self.storage.iter_records(self.id, ["completed"]):
            position = of_job.get(record.job_id)
            if position is not None and record.output_ref is not None:
                number = record.record_uid.rpartition("-")[2]
                found[position].append((int(number) if number.isdigit() else 0, record.output_ref))
        outputs: dict[int, list[dict[str, Any]]] = {}
        for batch in batches(positions):
            references = [reference for position in batch for _, reference in sorted(found[position])]
            data = iter(await self.storage.get_records_data(references))
            for position in batch:
                outputs[position] = list(itertools.islice(data, len(found[position])))
        return outputs

    async def begin(self, position: int) -> ClaimedInput:
        """Return an input that is about to be tried; one that has ended is put back, and what came of it stands."""
        claimed = self._inputs.get(position)
        if claimed is None:
            raise InvalidInputError(
                f"run {self.id!r} has no input {position}: a factory runs the inputs that it began with."
            )
        status = self._ended.pop(position, None)
        if status is not None:
            await self.ledger.reset_inputs(self.id, [status], job_ids=[claimed.job_id])
        return claimed

    def account(self, claimed: ClaimedInput) -> AttemptAccount:
        """Return what keeps the usage and the recorded calls of the next attempt at an input."""
        claimed = replace(claimed, attempts=claimed.attempts + 1)
        self._inputs[claimed.position] = claimed
        return super().account(claimed)

    # --- what came of them ----------------------------------------------------------------------------------------

    async def finish(self, outcome: Outcome) -> list[str]:
        """Store an outcome, and return the references of its records. It is stored though the caller be cancelled."""
        return await self._in_background(self._finish(outcome))

    async def _finish(self, outcome: Outcome) -> list[str]:
        finished = await self.store(outcome)
        claimed = outcome.claimed
        if finished.status is not None and finished.status != "completed":
            self._ended[claimed.position] = finished.status
        uids = (output_record_uid(claimed.job_id, number) for number in range(len(outcome.outputs)))
        return [f"{self._data_place}/{record_key(uid)}" for uid in uids]

    async def forget_answers(self, claimed: ClaimedInput) -> None:
        """Let the next attempt at an input ask its models anew."""
        names = {one.name for one in await self.ledger.list_calls(claimed.job_id)}
        await self.ledger.forget_steps(self.id, sorted(names), [claimed.job_id])

    # --- its end --------------------------------------------------------------------------------------------------

    async def settle(self, status: str, target: int) -> tuple[StatusMasterJob, dict[str, Any]]:
        """Wait until everything is stored; return the status of the run, and its summary."""
        await self.written()
        state = await self.ledger.refresh_run(self.id, utc_now())
        records = await self.storage.count_records_for_master_job(self.id)
        inputs = await self.ledger.count_inputs(self.id)
        summary = {
            **{name: records.get(name, 0) for name in COUNTED_STATUSES},
            "inputs": inputs,
            "attempts": state.attempts,
            "failed_attempts": state.failed_attempts,
            "input_tokens": state.input_tokens,
            "output_tokens": state.output_tokens,
            "cost": state.cost,
            "stop_reason": self.stop_reason,
        }
        return _status(status, inputs, target), summary


def _status(told: str, inputs: Mapping[str, int], target: int) -> StatusMasterJob:
    """Return how a run has ended, of which the framework says no more than that it failed or did not."""
    if set(inputs) == {"failed"} or (told == "failed" and not inputs.get("completed")):
        return "failed"
    if any(inputs.get(status) for status in _OPEN) and (told == "failed" or inputs.get("completed", 0) < target):
        return "cancelled"  # as of a run that was interrupted: it can go on
    return "completed_with_errors" if inputs.get("failed") else "completed"


async def new_run(
    storage: Storage, id: str, function: Callable[..., Any], options: Options, config: Mapping[str, Any]
) -> FactoryRun:
    """Make a master job the run of a factory."""
    await storage.ledger.start_run(id)
    return await _opened(storage, id, function, options, config)


async def stored_run(
    storage: Storage, id: str, function: Callable[..., Any], options: Options, config: Mapping[str, Any]
) -> FactoryRun | None:
    """Go on with a stored run; None if the master job is none.

    Raises:
        InvalidInputError: another process works on it.
    """
    if await storage.ledger.get_run(id) is None:
        return None
    await refuse_under_way(storage, id)
    await take_in(storage, id)
    await release_dead(storage.ledger, id)
    await storage.ledger.request_stop(id, None)
    await storage.update_master_job_status(id, "running", utc_now())
    return await _opened(storage, id, function, options, config)


async def refuse_under_way(storage: Storage, id: str) -> None:
    """Refuse to go on with a run that another process works on: it would pay for the same inputs.

    Raises:
        InvalidInputError: another process does.
    """
    now = await storage.ledger.now()
    if any(not is_dead(worker, now) for worker in await storage.ledger.list_workers(id)):
        raise InvalidInputError(f"run {id!r} is under way in another process: wait until that has ended.")


async def refuse_begun_or_under_way(storage: Storage, id: str) -> None:
    """Refuse to go on with a run that is under way, or that was killed before it had stored its inputs.

    Raises:
        InvalidInputError: it is one of these.
    """
    state = await storage.ledger.get_run(id)
    if state is None or not state.inputs_complete:
        raise InvalidInputError(
            f"run {id!r} was killed before it had stored all of its inputs, and before its first call: run the factory "
            "again."
        )
    await refuse_under_way(storage, id)


async def _opened(
    storage: Storage, id: str, function: Callable[..., Any], options: Options, config: Mapping[str, Any]
) -> FactoryRun:
    state, job = await storage.ledger.get_run(id), await storage.get_master_job(id)
    if state is None or job is None:
        raise NotFoundError("run", id, "it was deleted meanwhile")
    made_of = await asyncio.to_thread(segment_identity, function, config, options.to_json() | {"output_schema": {}})
    segment = await storage.ledger.add_segment(id, made_of)
    run = FactoryRun(storage, state, job, function, options, segment.number)
    await run.open()
    return run


async def stored_inputs(storage: Storage, id: str, index: str) -> list[dict[str, Any]]:
    """Return the inputs of a run as the framework has them: each with its position.

    Args:
        storage: holds the run.
        id: the run.
        index: the field of an input that holds its position.
    """
    found: list[dict[str, Any]] = []
    last = None
    while page := await storage.ledger.list_inputs(id, after=last, limit=_BATCH):
        accounts = await storage.ledger.account_for_inputs([one.job_id for one in page])
        found += [{index: one.position, **(accounts[one.job_id].run_config or {})} for one in page]
        last = page[-1]
    return found


def batches(items: Sequence[Result]) -> Iterator[Sequence[Result]]:
    """Return items in portions."""
    return (items[first : first + _BATCH] for first in range(0, len(items), _BATCH))
