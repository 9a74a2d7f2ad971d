"""``starfish-storage projects``."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.tables import Column
from starfish_storage.models import Project

_COLUMNS = (Column("project"), Column("name"), Column("created", optional=True), Column("description", whole=False))


@click.command("projects", epilog=example("projects --json"))
@with_json
@with_store
def projects_command(place: Place, as_json: bool) -> None:
    """List the projects of the store, by name."""
    projects = asyncio.run(_projects(place))
    show_list(
        _COLUMNS,
        projects,
        lambda project: (project.project_id, project.name, project.created_when, project.description),
        as_json=as_json,
    )


async def _projects(place: Place) -> list[Project]:
    async with reading(place) as storage:
        return await storage.list_projects()
