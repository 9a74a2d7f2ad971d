"""The first page: the projects and runs of a store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import Storage
from starfish_storage.models import MASTER_JOB_STATUSES, GenerationMasterJob
from starfish_storage.viewer.pages.run_progress import progress_of
from starfish_storage.viewer.pages.sheet import Sheet

_PAGE = 50
_BATCH = 500
_MOST_PROJECTS = 500


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are shown.

    Attributes:
        project: only those of this project; empty: of all.
        statuses: only those in one of these; none: in any.
        text: only those in whose id, name or project this stands, whatever its case.
        skipped: how many come before the page.
    """

    project: str = ""
    statuses: tuple[str, ...] = ()
    text: str = ""
    skipped: int = 0

    @classmethod
    def of(cls, parameters: QueryParams) -> RunQuery:
        """Return the query of a URL.

        Raises:
            InvalidInputError: a parameter makes no sense.
        """
        skipped = parameters.get("skip", "0")
        if not skipped.isascii() or not skipped.isdecimal() or len(skipped) > 9:  # noqa: PLR2004 (digits)
            raise InvalidInputError("skip must be a number of runs.")
        statuses = tuple(one for one in parameters.getlist("status") if one)
        return cls(parameters.get("project", ""), statuses, parameters.get("q", ""), int(skipped))

    def to_parameters(self) -> dict[str, object]:
        """Return the parameters of a URL, without the place."""
        return {"project": self.project, "status": list(self.statuses), "q": self.text}


async def store_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page of the store: runs, newest first."""
    query = RunQuery.of(parameters)
    jobs = [job async for job in _found(sheet.storage, query)]
    runs = [await progress_of(sheet.storage, job, with_rate=False) for job in jobs[:_PAGE]]
    return await sheet.page(
        "store.html",
        runs=runs,
        query=query,
        has_more=len(jobs) > _PAGE,
        page=_PAGE,
        statuses=MASTER_JOB_STATUSES,
        projects=await sheet.storage.list_projects(_MOST_PROJECTS),
        start=sheet.command("generate", "FILE.py:function", "INPUTS.jsonl"),
    )


async def _found(storage: Storage, query: RunQuery) -> AsyncGenerator[GenerationMasterJob]:
    """Yield the runs of a page, and one more if there are more. A store has thousands of runs, not millions."""
    wanted, skipped = query.text.casefold(), query.skipped
    number = offset = 0
    while True:
        batch = await storage.list_master_jobs(query.project or None, query.statuses or None, _BATCH, offset)
        for job in batch:
            if wanted in f"{job.master_job_id}\n{job.name or ''}\n{job.project_id}".casefold():
                number += 1
                if number > skipped:
                    yield job
                if number > skipped + _PAGE:
                    return
        if len(batch) < _BATCH:
            return
        offset += len(batch)
