"""Which records an export is of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.export.annotations import held_annotations, verdict_of
from starfish_storage.filtering import Condition, Sample, conditions_of, filter_records, on_one_line
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.models import GenerationMasterJob

DEFAULT_STATUSES = ("completed",)
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Selection:
    """Records of some master jobs, in a fixed order: job by job, each oldest first by start time, then by uid.

    Attributes:
        storage: where they are.
        jobs: the master jobs, in order.
        statuses: of the records; None for all.
        where: conditions that the records fit.
        sample: of the records of each master job that fit; None: all of them. It comes in the order of its shuffle.
        accepted_only: only records that at least one author has accepted, and none has rejected.
    """

    storage: Storage
    jobs: Sequence[GenerationMasterJob]
    statuses: Sequence[str] | None
    where: Sequence[Condition] = ()
    sample: Sample | None = None
    accepted_only: bool = False

    async def count(self) -> int:
        """Return how many records there are to look at, with data or without."""
        counts = [
            await self.storage.count_records_for_master_job(job.master_job_id, self.statuses) for job in self.jobs
        ]
        return sum(sum(count.values()) for count in counts)

    async def scan(self) -> AsyncGenerator[list[ScannedRecord]]:
        """Yield the records in batches; the data of each is one JSON object on one line, or an error stands for it."""
        for job in self.jobs:
            async for batch in self._accepted(job) if self.accepted_only else self._fitting(job, self.sample):
                yield [on_one_line(record) for record in batch]

    def _fitting(self, job: GenerationMasterJob, sample: Sample | None) -> AsyncGenerator[list[ScannedRecord]]:
        return filter_records(self.storage, job.master_job_id, self.where, self.statuses, sample=sample)

    async def _accepted(self, job: GenerationMasterJob) -> AsyncGenerator[list[ScannedRecord]]:
        """Yield the accepted ones of a master job; a sample is drawn from them alone."""
        left = _ALL if self.sample is None else self.sample.size
        every = None if self.sample is None else Sample(_ALL, self.sample.seed)
        async with aclosing(self._fitting(job, every)) as batches:
            async for batch in batches:
                held = await held_annotations(self.storage, [record.record_uid for record in batch])
                accepted = [one for one in batch if verdict_of(held.get(one.record_uid, ())) == "accepted"][:left]
                left -= len(accepted)
                if accepted:
                    yield accepted
                if not left:
                    return


async def select(
    storage: Storage,
    master_job_ids: Sequence[str] = (),
    project_id: str | None = None,
    statuses: Sequence[str] | None = DEFAULT_STATUSES,
    where: Sequence[str | Condition] = (),
    sample: Sample | None = None,
    *,
    accepted_only: bool = False,
) -> Selection:
    """Return the named master jobs in the order given, then those of the project, oldest first.

    Raises:
        InvalidInputError: neither master jobs nor a project are named, or a condition is none.
        NotFoundError: a master job, or the project, does not exist.
    """
    if isinstance(master_job_ids, str) or (not master_job_ids and project_id is None):
        raise InvalidInputError("no records are named: pass a list of master_job_ids, a project_id, or both.")
    conditions = conditions_of(where)
    found: dict[str, GenerationMasterJob] = {}
    for master_job_id in master_job_ids:
        job = await storage.get_master_job(master_job_id)
        if job is None:
            raise NotFoundError("master job", master_job_id, "'starfish-storage runs' lists all runs")
        found[job.master_job_id] = job
    if project_id is not None:
        if await storage.get_project(project_id) is None:
            raise NotFoundError("project", project_id, "'starfish-storage projects' lists all projects")
        for job in reversed(await storage.list_master_jobs(project_id)):
            found.setdefault(job.master_job_id, job)
    return Selection(storage, list(found.values()), statuses, conditions, sample and sample.checked(), accepted_only)
