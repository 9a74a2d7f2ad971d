"""Runs compared: a row for each input, the outputs of each run side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.filtering import MISSING, value_of
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import Annotation, RunProgress, holding
from starfish_storage.viewer.compared_texts import cells_of
from starfish_storage.viewer.comparing import MOST_RUNS, ComparedRow, Comparison, compared_page
from starfish_storage.viewer.gathering import WaitingTime
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.matching import MOST_MATCHED, KeyedRun
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.wins import count_wins
from starfish_storage.viewer.word_diff import Effort

_ONLY = {"": "all inputs", "different": "where they differ, or one failed", "failed": "where one failed"}
_MOST_OFFERED = 200  # runs to choose from
_MOST_PLACES = 60  # of pages before, in an address: browsers and servers cut longer ones off
_RECENT = 200  # records that tell how long a run takes for one


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run in the head of the table.

    Attributes:
        progress: how far it is, and what it costs.
        seconds: how long its newest records took on average; None without any.
    """

    progress: RunProgress
    seconds: timedelta | None

    @property
    def cost_of_each(self) -> float | None:
        """What an input costs on average; None if that is not known."""
        state, done = self.progress.state, self.progress.done
        return None if state is None or not done else state.cost / done


async def compare_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the comparison of the runs that ``run`` names; with fewer than two, the runs to choose from."""
    comparison = comparison_of(parameters)
    came = _came(comparison, parameters)
    jobs = [await _job(sheet, run) for run in comparison.runs]
    if len(jobs) < 2:  # noqa: PLR2004 (two can be compared)
        return await _choice(sheet, jobs, parameters)
    storage = sheet.storage
    keyed = None
    if comparison.field:
        keyed = await _keyed(sheet, jobs, comparison.field)
        if keyed is None:
            return await sheet.page("compare_wait.html", comparison=comparison, state=_state(comparison))
    page = await compared_page(storage, comparison, keyed)
    room, effort = Room(), Effort()
    rows = [(row, cells_of(row, room, effort), _asked(row, comparison.field)) for row in page.rows]
    return await sheet.page(
        "compare.html",
        runs=await _heads(sheet, jobs),
        comparison=comparison,
        rows=rows,
        page=page,
        only=_ONLY,
        wins=await count_wins(storage, comparison.runs, keyed),
        cut=0 if keyed is None or all(one.is_whole for one in keyed) else MOST_MATCHED,
        reviews=await _reviews(storage, page.rows),
        state=_state(comparison),
        onwards=_onwards(comparison, page.after, came),
        back=_back(comparison, came),
    )


def _state(comparison: Comparison) -> dict[str, Any]:
    """Return the parameters of a URL, without the place."""
    return {"run": list(comparison.runs), "only": comparison.only, "by": comparison.field}


def _came(comparison: Comparison, parameters: QueryParams) -> list[list[str]]:
    """Return where the pages before this one began, the last of them last: inputs are merged forwards alone.

    Raises:
        InvalidInputError: the places are not those of these runs.
    """
    given, width = parameters.getlist("came"), len(comparison.runs)
    if given and (not width or len(given) % width):
        raise InvalidInputError("a page of a comparison begins at one place in each run; begin at the first page.")
    return [given[begin : begin + width] for begin in range(0, len(given), width)] if given else []


def _onwards(comparison: Comparison, after: Sequence[str] | None, came: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the parameters of the next page's URL."""
    here = comparison.after or [""] * len(comparison.runs)
    kept = [*came, here][-(_MOST_PLACES // len(comparison.runs)) :]
    return _state(comparison) | {"after": after, "came": [place for page in kept for place in page]}


def _back(comparison: Comparison, came: Sequence[Sequence[str]]) -> dict[str, Any] | None:
    """Return the parameters of the previous page's URL; None if that is not known."""
    if not came:
        return None
    *earlier, last = came
    after = last if any(last) else ()
    return _state(comparison) | {"after": after, "came": [place for page in earlier for place in page]}


def _asked(row: ComparedRow, field: str) -> Mapping[str, Any]:
    """Return what the row is about: the input, or the field that the records are matched by."""
    if not field:
        inputs = [one.account.run_config for one in row.there if one.account and one.account.run_config]
        return inputs[0] if inputs else {}
    values = (value_of(data, field) for one in row.there for data in one.data)
    return {field: next((value for value in values if value is not MISSING), None)}


async def _keyed(sheet: Sheet, jobs: Sequence[GenerationMasterJob], field: str) -> list[KeyedRun] | None:
    """Return the records of runs by a field; None while they are being read."""
    patience = WaitingTime()
    found = [await sheet.matching.keyed(job, field, patience) for job in jobs]
    keyed = [one for one in found if one is not None]
    return keyed if len(keyed) == len(jobs) else None


def comparison_of(parameters: QueryParams) -> Comparison:
    """Return the comparison of a URL.

    Raises:
        InvalidInputError: a parameter makes no sense.
    """
    runs = list(dict.fromkeys(one for one in parameters.getlist("run") if one))
    only = parameters.get("only", "")
    if only not in _ONLY:
        raise InvalidInputError(f"only must be one of {', '.join(one for one in _ONLY if one)}.")
    if len(runs) > MOST_RUNS:
        raise InvalidInputError(f"at most {MOST_RUNS} runs can be compared at a time.")
    return Comparison(runs, only, parameters.getlist("after"), parameters.get("by", "").strip())


async def _job(sheet: Sheet, run: str) -> GenerationMasterJob:
    job = await sheet.storage.get_master_job(run)
    if job is None:
        raise NotFoundError("run", run, "it may have been deleted; the first page lists all runs")
    return job


async def _choice(sheet: Sheet, chosen: Sequence[GenerationMasterJob], parameters: QueryParams) -> Response:
    text = parameters.get("q", "").casefold()
    offered = await sheet.storage.list_master_jobs(limit=_MOST_OFFERED)
    found = [one for one in offered if text in f"{one.master_job_id}\n{one.name or ''}\n{one.project_id}".casefold()]
    ids = {one.master_job_id for one in chosen}
    return await sheet.page(
        "compare_choice.html",
        chosen=chosen,
        offered=[one for one in found if one.master_job_id not in ids],
        text=parameters.get("q", ""),
        is_cut=len(offered) == _MOST_OFFERED,
    )


async def _heads(sheet: Sheet, jobs: Sequence[GenerationMasterJob]) -> list[ComparedRun]:
    storage, patience = sheet.storage, WaitingTime()
    heads: list[ComparedRun] = []
    for progress in await storage.ledger.get_progress(jobs, with_inputs=False):
        counted = await sheet.numbers.counted(progress, patience)
        newest = await storage.get_records_for_master_job(progress.job.master_job_id, limit=_RECENT)
        took = [(one.end_time - one.start_time).total_seconds() for one in newest]
        heads.append(ComparedRun(counted.progress, timedelta(seconds=fmean(took)) if took else None))
    return heads


async def _reviews(storage: Storage, rows: Sequence[ComparedRow]) -> Mapping[str, Sequence[Annotation]]:
    """Return what reviewers say of the records of a page, by their uids."""
    uids = [record.record_uid for row in rows for one in row.there for record in one.records]
    found: dict[str, list[Annotation]] = {}
    for one in holding(await storage.annotations.list(uids)):
        found.setdefault(one.record_uid, []).append(one)
    return found
