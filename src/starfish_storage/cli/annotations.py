"""``starfish-storage annotations``: what was said of a record, or of the records of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import RunName, example, one_of, with_json, with_store
from starfish_storage.cli.output import show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column
from starfish_storage.codec import json_text
from starfish_storage.interface import Storage
from starfish_storage.runs import Annotation, holding
from starfish_storage.runs.annotations import ANNOTATION_KINDS

COLUMNS = (
    Column("time", optional=True),
    Column("record"),
    Column("kind"),
    Column("value", whole=False),
    Column("author"),
    Column("annotation", optional=True),
    Column("withdrawn", optional=True),
)


@click.command("annotations", epilog=example("annotations last --kind verdict --author ann"))
@click.argument("id", type=RunName(), metavar="RUN|UID")
@click.option("--kind", "kinds", multiple=True, type=one_of(ANNOTATION_KINDS), help="Only of this kind; repeatable.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Only of this author; repeatable.")
@click.option(
    "--value", "values", multiple=True, metavar="TEXT", help="Only this verdict, label or rating; repeatable."
)
@click.option("--all", "shows_all", is_flag=True, help="Also what was withdrawn, or replaced by its author.")
@with_json
@with_store
def annotations_command(place: Place, id: str, as_json: bool, **wanted: Any) -> None:
    """List what was said of the record UID, or of the records of a RUN, the oldest first."""
    found = asyncio.run(_find(place, id))
    if not wanted["shows_all"]:
        found = holding(found)
    show_list(COLUMNS, filter(_filter(wanted), found), annotation_cells, as_json=as_json)


async def _find(place: Place, id: str) -> list[Annotation]:
    async with reading(place) as storage:
        if await storage.get_record_metadata(id) is not None:
            return await storage.annotations.list([id])
        job = await find_run(storage, id, "record or run")
        return await of_run(storage, job.master_job_id)


async def of_run(storage: Storage, master_job_id: str) -> list[Annotation]:
    """Return all annotations of a run's records: what people say is little beside what models do."""
    found: list[Annotation] = []
    while page := await storage.annotations.list_for_run(master_job_id, found[-1] if found else None):
        found += page
    return found


def _filter(wanted: dict[str, Any]) -> Callable[[Annotation], bool]:
    def fits(one: Annotation) -> bool:
        return (
            (not wanted["kinds"] or one.kind in wanted["kinds"])
            and (not wanted["authors"] or one.author in wanted["authors"])
            and (not wanted["values"] or value_text(one) in wanted["values"])
        )

    return fits


def annotation_cells(one: Annotation) -> Sequence[Cell]:
    """Return what a row of a table shows, by `COLUMNS`."""
    return one.time, one.record_uid, one.kind, value_text(one), one.author, one.annotation_id, one.withdrawn


def value_text(one: Annotation) -> str:
    """Return what an annotation says, as people read it."""
    if one.kind == "edit":
        return f"replaces version {one.value['version']}"
    if isinstance(one.value, float) and one.value.is_integer():
        return str(int(one.value))
    return one.value if isinstance(one.value, str) else json_text(one.value)


def told(one: Annotation) -> str:
    """Return in one line what was just said, and how to take it back."""
    what = "withdrew" if one.withdrawn is not None else "said"
    value = value_text(one) if one.kind in ("verdict", "rating") else f"{value_text(one)!a}"
    text = "edited" if one.kind == "edit" else f"{one.kind} {value}"
    return f"{one.author!a} {what} of {one.record_uid}: {text} ({one.annotation_id})"
