"""The page of the text search: records of the store by their words, the best match first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.interface import SearchHit, SearchPage, SearchPlace
from starfish_storage.models import GenerationMasterJob
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.words import link

_PAGE = 20
_INDEXING_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for, as it stands in the URL.

    Attributes:
        text: what was typed; empty: nothing yet.
        run: only records of this run; empty: of the whole store.
        project: only records of this project; empty: of all.
        fields: only words in these; none: in all.
        after: the page begins behind this place; None: it is the first.
    """

    text: str
    run: str
    project: str
    fields: tuple[str, ...]
    after: SearchPlace | None

    @classmethod
    def of(cls, parameters: QueryParams) -> SearchQuery:
        """Return the query of a URL.

        Raises:
            InvalidInputError: a parameter makes no sense.
        """
        fields = tuple(one for one in parameters.getlist("field") if one)
        return cls(
            parameters.get("q", "").strip(),
            parameters.get("run", ""),
            parameters.get("project", ""),
            fields,
            _place_of(parameters),
        )

    def to_parameters(self) -> dict[str, object]:
        """Return the parameters of a URL, without the place."""
        return {"q": self.text, "run": self.run, "project": self.project, "field": list(self.fields)}


class _Part(NamedTuple):
    """A part of a snippet: a word that was searched for, or what stands between."""

    text: str
    is_mark: bool


@dataclass(frozen=True, slots=True)
class _ShownHit:
    hit: SearchHit
    parts: list[_Part]


async def search_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page of a search. A query that cannot be searched for is said beside the box it was typed in."""
    query = SearchQuery.of(parameters)
    job = await _job(sheet, query)
    page: SearchPage | None = None
    problem = ""
    if query.text:
        try:
            page = await sheet.storage.search_records(
                query.text,
                master_job_id=query.run or None,
                project_id=None if query.run else query.project or None,
                fields=query.fields or None,
                limit=_PAGE,
                after=query.after,
            )
        except InvalidInputError as error:
            problem = str(error)
    return await sheet.page(
        "search.html",
        400 if problem else 200,
        query=query,
        job=job,
        page=page,
        problem=problem,
        hits=[] if page is None else [_ShownHit(hit, list(_parts(hit))) for hit in page.hits],
        next_page=_next(query, page),
        commands=_commands(sheet, query),
    )


async def search_index(sheet: Sheet, _: QueryParams) -> Response:
    """Bring the index up to date for a moment, and return the part of the page that says how far it is."""
    return await sheet.page("search_index.html", state=await sheet.storage.index_records(_INDEXING_SECONDS))


def _parts(hit: SearchHit) -> Iterator[_Part]:
    at = 0
    for start, end in hit.marks:
        if start > at:
            yield _Part(hit.snippet[at:start], is_mark=False)
        yield _Part(hit.snippet[start:end], is_mark=True)
        at = end
    if at < len(hit.snippet):
        yield _Part(hit.snippet[at:], is_mark=False)


def _commands(sheet: Sheet, query: SearchQuery) -> dict[str, str]:
    """Return the command that exports all hits; it names runs, and fields only within the query."""
    which = [query.run] if query.run else ["--project", query.project] if query.project else []
    if not which or query.fields:
        return {}
    export = sheet.command("export", *which, "FILE.jsonl", "--all-statuses", "--search", query.text)
    return {"Export all hits": export}


def _next(query: SearchQuery, page: SearchPage | None) -> str | None:
    if page is None or not page.has_more or not page.hits:
        return None
    *_, last = page.hits
    return link("/search", query.to_parameters(), rank=repr(last.rank), after=last.record.record_uid)


def _place_of(parameters: QueryParams) -> SearchPlace | None:
    after, rank = parameters.get("after"), parameters.get("rank")
    if not after and not rank:
        return None
    try:
        number = float(rank or "")
    except ValueError:
        number = math.nan
    if not after or not math.isfinite(number):
        raise InvalidInputError("a page of hits begins after a rank and a record; begin at the first page.")
    return SearchPlace(number, after)


async def _job(sheet: Sheet, query: SearchQuery) -> GenerationMasterJob | None:
    if not query.run:
        return None
    job = await sheet.storage.get_master_job(query.run)
    if job is None:
        raise NotFoundError("run", query.run, "it may have been deleted; the first page lists all runs")
    return job
