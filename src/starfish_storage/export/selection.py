"""Which records an export is of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.export.provenance import Chosen
from starfish_storage.filtering import Condition, Sample, conditions_of, filter_records, on_one_line
from starfish_storage.interface import ScannedLines, ScannedRecord, Storage
from starfish_storage.models import GenerationMasterJob

DEFAULT_STATUSES = ("completed",)
ACCEPTED = Condition("@verdict", "is", "accepted")
"""What only accepted records fit: some author has accepted them, and none has rejected them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Records of some master jobs, in a fixed order: job by job, each oldest first by start time, then by uid.

    Attributes:
        storage: where they are.
        jobs: the master jobs, in order.
        statuses: of the records; None for all.
        where: conditions that the records fit.
        search: a query that finds them; None: all.
        sample: of the records of each master job that fit; None: all of them. It comes in the order of its shuffle.
    """

    storage: Storage
    jobs: Sequence[GenerationMasterJob]
    statuses: Sequence[str] | None
    where: Sequence[Condition] = ()
    search: str | None = None
    sample: Sample | None = None

    def chosen(self) -> Chosen:
        """Return how its records were chosen among those of their statuses; empty if all of them are in it."""
        found = Chosen()
        if where := [str(one) for one in self.where if one != ACCEPTED]:
            found["where"] = where
        if ACCEPTED in self.where:
            found["accepted_only"] = True
        if self.search is not None:
            found["search"] = self.search
        if self.sample is not None:
            found |= {"sample": self.sample.size, "sample_seed": self.sample.seed}
        return found

    async def count(self) -> int:
        """Return how many records there are to look at, with data or without."""
        counts = [
            await self.storage.count_records_for_master_job(job.master_job_id, self.statuses) for job in self.jobs
        ]
        return sum(sum(count.values()) for count in counts)

    async def scan(self) -> AsyncGenerator[list[ScannedRecord]]:
        """Yield the records in batches; the data of each is one JSON object on one line, or an error stands for it."""
        for job in self.jobs:
            found = filter_records(
                self.storage, job.master_job_id, self.where, self.statuses, search=self.search, sample=self.sample
            )
            async for batch in found:
                yield [on_one_line(record) for record in batch]

    async def scan_lines(self) -> AsyncGenerator[ScannedLines | list[ScannedRecord]]:
        """Yield what `scan` does, with the data alone where that is quicker: of all records of its statuses."""
        for job in self.jobs:
            async for batch in self.storage.scan_lines(job.master_job_id, self.statuses):
                yield batch if isinstance(batch, ScannedLines) else [on_one_line(record) for record in batch]

    @property
    def is_whole(self) -> bool:
        """Whether it has all records of its statuses, in their own order."""
        return not self.where and self.search is None and self.sample is None


def accepting(where: Sequence[str | Condition], accepted_only: bool) -> Sequence[str | Condition]:
    """Return conditions, with the one that only accepted records fit if that is wanted."""
    return [*conditions_of(where), ACCEPTED] if accepted_only else where


async def select(
    storage: Storage,
    master_job_ids: Sequence[str] = (),
    project_id: str | None = None,
    statuses: Sequence[str] | None = DEFAULT_STATUSES,
    where: Sequence[str | Condition] = (),
    sample: Sample | None = None,
    search: str | None = None,
) -> Selection:
    """Return the named master jobs in the order given, then those of the project, oldest first.

    Raises:
        InvalidInputError: neither master jobs nor a project are named, or a condition or the query is none.
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
    if search is not None:
        await storage.find_matching(search, ())  # what is wrong with it is said before anything is done
    return Selection(storage, list(found.values()), statuses, conditions, search, sample and sample.checked())
