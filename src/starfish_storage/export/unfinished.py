"""Runs that had not ended when they were exported: what they still make is not in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from starfish_storage.codec import json_text
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import UNFINISHED
from starfish_storage.statuses import StatusMasterJob
from starfish_storage.wording import number_of


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that had not ended.

    Attributes:
        master_job_id: which one.
        status: its status; that of a run that was stopped before its end is ``cancelled``.
        inputs_left: how many inputs have no outcome yet.
        inputs: how many inputs it has, as far as they are stored.
    """

    master_job_id: str
    status: StatusMasterJob
    inputs_left: int
    inputs: int

    def __str__(self) -> str:
        """Return it for people.

        >>> print(UnfinishedRun("capitals-1", "running", 3, 10))
        run capitals-1 is not complete: it is running, with 3 of 10 inputs left
        """
        left = f", with {self.inputs_left:,} of {number_of(self.inputs, 'input')} left" if self.inputs_left else ""
        return f"run {self.master_job_id} is not complete: it is {self.status}{left}"


def unfinished(job: GenerationMasterJob, inputs: Mapping[str, int]) -> UnfinishedRun | None:
    """Return what is left of a run; None if it has ended.

    Args:
        job: the run.
        inputs: how many inputs are in each status.
    """
    left = sum(inputs.get(status, 0) for status in UNFINISHED)
    if job.status not in UNFINISHED and not left:
        return None
    whole = sum(count for status, count in inputs.items() if status != "cancelled")
    return UnfinishedRun(job.master_job_id, job.status, left, whole)


def told_of_unfinished(runs: Sequence[UnfinishedRun]) -> dict[str, str]:
    """Return what a file says about runs that have not ended; nothing if all of them have."""
    return {"starfish_storage.unfinished": json_text([asdict(one) for one in runs])} if runs else {}


async def unfinished_runs(storage: Storage, jobs: Sequence[GenerationMasterJob]) -> list[UnfinishedRun]:
    """Return those runs that have not ended, in their order."""
    found = [unfinished(job, await storage.ledger.count_inputs(job.master_job_id)) for job in jobs]
    return [one for one in found if one is not None]
