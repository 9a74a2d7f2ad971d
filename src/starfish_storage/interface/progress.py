"""The contract of how runs are going: which there are, how far they are, and what they did over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starfish_storage.interface.rows import MasterJobRow
from starfish_storage.runs import RunProgress, RunState, Timeline, TimelineOf

if TYPE_CHECKING:
    from starfish_storage.models import GenerationMasterJob


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a list.

    Attributes:
        job: its master job, with JSON and times as text; references and URIs are those that callers use.
        state: what its ledger says; None if it has none, as of a pipeline that logs by itself.
        records: how many records are in each status; the master job's own counts are a little behind while it runs.
    """

    job: MasterJobRow
    state: RunState | None
    records: Mapping[str, int]


class ProgressLedger(ABC):
    """How runs are going. Master jobs of pipelines that log by themselves are runs too, without a ledger."""

    @abstractmethod
    async def find_runs(
        self,
        *,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        text: str = "",
        after: GenerationMasterJob | None = None,
        before: GenerationMasterJob | None = None,
        limit: int,
    ) -> list[GenerationMasterJob]:
        """Return runs in the order of `MasterJobContract.list_master_jobs`: a page that begins or ends at a run.

        The last of thousands of pages costs no more than the first.

        Args:
            project_id: only those of this project; None for all.
            status_filter: only those in one of these statuses.
            text: only those in whose id, name or project's id this stands, whatever its case in ASCII.
            after: begin behind this run.
            before: end before this run, with those that are nearest to it.
            limit: at most so many.

        Raises:
            InvalidInputError: ``after`` and ``before`` are both given, or ``limit`` is negative.
            InvalidStatusError: a status is unknown.
        """

    @abstractmethod
    async def count_runs(self) -> dict[str, int]:
        """Return how many runs of the store are in each status that occurs. Raises nothing of its own."""

    @abstractmethod
    async def list_runs(
        self, project_id: str | None = None, status_filter: Sequence[str] | None = None, limit: int | None = None
    ) -> list[ListedRun]:
        """Return runs in the order of `MasterJobContract.list_master_jobs`, with what `get_progress` says of them.

        It makes no models, and so imports no pydantic: that takes longer than to list the runs of most stores.

        Args:
            project_id: only those of this project; None for all.
            status_filter: only those in one of these statuses.
            limit: at most so many; None for all.

        Raises:
            InvalidInputError: ``limit`` is negative.
            InvalidStatusError: a status is unknown.
        """

    @abstractmethod
    async def get_progress(self, jobs: Sequence[GenerationMasterJob], *, with_inputs: bool = True) -> list[RunProgress]:
        """Return how far runs are, in their order. Raises nothing of its own.

        Args:
            jobs: their master jobs.
            with_inputs: count their inputs; of a million, that takes a tenth of a second.
        """

    @abstractmethod
    async def get_timeline(
        self, master_job_id: str, *, of: TimelineOf = "attempts", buckets: int = 120, seconds: float | None = None
    ) -> Timeline:
        """Return what a run did over time; an empty timeline if there is none. Raises nothing of its own.

        Of a million attempts, that takes one to two seconds, in portions: others read and write meanwhile.

        Args:
            master_job_id: the run.
            of: count attempts by when they ended, with durations, tokens and costs; or records by when they began,
                which works without a ledger too.
            buckets: at most about so many, 1 or more.
            seconds: stop to count attempts after this long, and return what is counted.
        """
