"""``starfish-storage search``: records by the words in their data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.counting import Counting, counted
from starfish_storage.cli.json_form import as_json as to_json
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import RunName, example, with_json, with_store
from starfish_storage.cli.output import Listing, say, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column
from starfish_storage.interface import SearchHit, SearchPage, Storage
from starfish_storage.wording import number_of

_MOST = 1000
_STEP_SECONDS = 0.5
_COLUMNS = (Column("record"), Column("run", optional=True), Column("field", optional=True), Column("text", whole=False))


@click.command("search", epilog=example("search 'photon* -draft topic:physics' --run last"))
@click.argument("query", metavar="QUERY", required=False)
@click.option("--run", type=RunName(), metavar="RUN", help="Only records of this run.")
@click.option("--project", metavar="ID", help="Only records of this project.")
@click.option("--field", multiple=True, metavar="NAME", help="Only words in this field; repeatable.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), metavar="N", default=20, show_default=True, help="Show the N best."
)
@click.option("--forget", is_flag=True, help="Remove the index of the store, with all text in it.")
@with_json
@with_store
def search_command(
    place: Place,
    *,
    query: str | None,
    run: str | None,
    project: str | None,
    field: tuple[str, ...],
    limit: int,
    forget: bool,
    as_json: bool,
) -> None:
    """Search the records of a store for words, the best match first.

    QUERY has words, "phrases", beginnings (photo*), field:word, a OR b, and -without. The first search makes an index
    in your cache directory; later ones bring it up to date.
    """
    if (query is None) is not forget:
        raise click.UsageError("Give a QUERY, or --forget.")
    if run is not None and project is not None:
        raise click.UsageError("Give --run or --project, not both: a run has one project.")
    asyncio.run(_search(place, query, {"run": run, "project": project, "fields": field}, limit, as_json=as_json))


async def _search(place: Place, query: str | None, where: dict[str, Any], limit: int, *, as_json: bool) -> None:
    async with reading(place) as storage:
        if query is None:
            await storage.drop_search_index()
            return
        run = None if where["run"] is None else (await find_run(storage, where["run"])).master_job_id
        scope: dict[str, Any] = {
            "master_job_id": run,
            "project_id": where["project"],
            "fields": where["fields"] or None,
        }
        page = await storage.search_records(query, limit=limit, **scope)
        if page.remaining:
            with counted("indexing") as count:
                await indexed(storage, count)
            page = await storage.search_records(query, limit=limit, **scope)
        _show(page, as_json=as_json)


async def indexed(storage: Storage, count: Counting) -> None:
    """Bring the index of a store up to date, and show how far that is."""
    have, remaining = await storage.index_records(_STEP_SECONDS)
    while remaining:
        count(have, have + remaining, "indexing")
        before = have
        have, remaining = await storage.index_records(_STEP_SECONDS)
        if have == before:
            return  # somebody else is at it, or it is written as fast as it is read


def _show(page: SearchPage, *, as_json: bool) -> None:
    if as_json:
        show_json({**page._asdict(), "hits": [_hit(hit) for hit in page.hits]})
        return
    listing = Listing(_COLUMNS, _cells, as_json=False)
    for hit in page.hits:
        listing.add(hit)
    listing.end()
    if not page.hits:
        say("No record holds that.")
    if page.remaining:
        say(f"{number_of(page.remaining, 'record')} could not be searched yet.")
    if page.has_more:
        found = f"more than {page.found:,}" if page.is_cut else f"{page.found:,}"
        say(f"Found {found} records; --limit {_MOST} shows up to {_MOST:,}. Add words to find fewer.")


def _cells(hit: SearchHit) -> Sequence[Cell]:
    return hit.record.record_uid, hit.record.master_job_id, hit.field, hit.snippet


def _hit(hit: SearchHit) -> dict[str, Any]:
    """Return a hit as JSON has it: the record, with why it was found."""
    return {**to_json(hit.record), "rank": hit.rank, "field": hit.field, "snippet": hit.snippet, "marks": hit.marks}
