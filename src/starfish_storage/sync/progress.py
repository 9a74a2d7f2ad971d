# Made by scripts/make_sync.py from starfish_storage.interface.progress: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.progress`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starfish_storage import portal
from starfish_storage.interface import progress as asynchronous
from starfish_storage.interface.progress import ListedRun
from starfish_storage.runs import RunProgress, Timeline, TimelineOf
from starfish_storage.sync.face import Face

if TYPE_CHECKING:
    from starfish_storage.models import GenerationMasterJob


class ProgressLedger(Face):
    """How runs are going. Master jobs of pipelines that log by themselves are runs too, without a ledger."""

    @property
    def _called(self) -> asynchronous.ProgressLedger:
        return self._asynchronous

    def find_runs(
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
        return portal.call(
            self._called.find_runs(
                project_id=project_id, status_filter=status_filter, text=text, after=after, before=before, limit=limit
            )
        )

    def count_runs(self) -> dict[str, int]:
        """Return how many runs of the store are in each status that occurs. Raises nothing of its own."""
        return portal.call(self._called.count_runs())

    def list_runs(
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
        return portal.call(self._called.list_runs(project_id, status_filter, limit))

    def get_progress(self, jobs: Sequence[GenerationMasterJob], *, with_inputs: bool = True) -> list[RunProgress]:
        """Return how far runs are, in their order. Raises nothing of its own.

        Args:
            jobs: their master jobs.
            with_inputs: count their inputs; of a million, that takes a tenth of a second.
        """
        return portal.call(self._called.get_progress(jobs, with_inputs=with_inputs))

    def get_timeline(
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
        return portal.call(self._called.get_timeline(master_job_id, of=of, buckets=buckets, seconds=seconds))
