"""The first page: the projects and runs of a store, and how large it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import InvalidInputError, NotFoundError, StorageError
from starfish_storage.interface import Storage, StoreSize
from starfish_storage.models import GenerationMasterJob
from starfish_storage.statuses import MASTER_JOB_STATUSES
from starfish_storage.viewer.gathering import Gathered, WaitingTime
from starfish_storage.viewer.pages.sheet import Sheet

_PAGE = 50
_MOST_PROJECTS = 500


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are shown.

    Attributes:
        project: only those of this project; empty: of all.
        statuses: only those in one of these; none: in any.
        text: only those in whose id, name or project this stands, whatever its case.
        after: id of the run behind which the page begins.
        before: id of the run before which it ends.
        at: id of the run with which it begins: a page that is shown again begins where it did.
    """

    project: str = ""
    statuses: tuple[str, ...] = ()
    text: str = ""
    after: str = ""
    before: str = ""
    at: str = ""

    @classmethod
    def of(cls, parameters: QueryParams) -> RunQuery:
        """Return the query of a URL.

        Raises:
            InvalidInputError: a parameter makes no sense.
        """
        statuses = tuple(one for one in parameters.getlist("status") if one)
        places = {name: parameters.get(name, "") for name in ("after", "before", "at")}
        if sum(map(bool, places.values())) > 1:
            raise InvalidInputError("a page begins after a run, or with one, or ends before one; not several of these.")
        return cls(parameters.get("project", ""), statuses, parameters.get("q", ""), **places)

    @property
    def is_filtered(self) -> bool:
        """Whether runs are left out."""
        return bool(self.project or self.statuses or self.text)

    def to_parameters(self) -> dict[str, object]:
        """Return the parameters of a URL, without the place."""
        return {"project": self.project, "status": list(self.statuses), "q": self.text}


@dataclass(frozen=True, slots=True)
class _RunPage:
    jobs: list[GenerationMasterJob]
    newer: bool
    older: bool


async def store_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page of the store: runs, newest first."""
    query, patience = RunQuery.of(parameters), WaitingTime()
    page = await _run_page(sheet.storage, query)
    found = await sheet.storage.ledger.get_progress(page.jobs, with_inputs=False)
    runs = [await sheet.numbers.counted(one, patience, with_levels=True) for one in found]
    return await sheet.page(
        "store.html",
        runs=runs,
        # Another one each time, so that it asks again.
        asks_again=time.monotonic_ns() if any(not one.knows_inputs or one.levels is None for one in runs) else None,
        query=query,
        page=page,
        statuses=MASTER_JOB_STATUSES,
        projects=await sheet.storage.list_projects(_MOST_PROJECTS),
        verification=await sheet.storage.ledger.last_verification(),
        size=await _size(sheet, patience),
        verify=sheet.command("verify"),
        start=sheet.command("generate", "FILE.py:function", "INPUTS.jsonl"),
    )


async def store_size(sheet: Sheet, _: QueryParams) -> Response:
    """Return the part of the page that says how large the store is; it is asked for until that is known."""
    return await sheet.page("store_size.html", size=await _size(sheet, WaitingTime()))


async def _size(sheet: Sheet, patience: WaitingTime) -> Gathered[StoreSize] | Literal[False] | None:
    """Return how large the store is; None while it is measured, False where its data cannot be reached."""
    try:
        return await sheet.numbers.size(patience)
    except StorageError:
        return False  # the rows are worth seeing without it


async def _run_page(storage: Storage, query: RunQuery) -> _RunPage:
    """Read a page: one run more than it has tells whether there are more."""
    uid = query.after or query.before or query.at
    border = None if not uid else await storage.get_master_job(uid)
    if uid and border is None:
        raise NotFoundError("run", uid, "it may have been deleted; begin at the first page")

    async def found(limit: int, **place: GenerationMasterJob | None) -> list[GenerationMasterJob]:
        return await storage.ledger.find_runs(
            project_id=query.project or None,
            status_filter=query.statuses or None,
            text=query.text,
            limit=limit,
            **place,
        )

    if query.before:
        jobs = await found(_PAGE + 1, before=border)
        return _RunPage(jobs[-_PAGE:], len(jobs) > _PAGE, older=True)
    jobs = await found(_PAGE + 1, after=border)
    newer = border is not None
    if border is not None and query.at:
        jobs.insert(0, border)
        newer = bool(await found(1, before=border))
    return _RunPage(jobs[:_PAGE], newer, len(jobs) > _PAGE)
