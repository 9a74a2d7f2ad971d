"""The project of what is imported."""

from __future__ import annotations

import re

from starfish_storage.identifiers import check_id
from starfish_storage.interface import Storage
from starfish_storage.models import Project

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 80


async def project_for(storage: Storage, project_id: str | None, source: str) -> str:
    """Return the id of the project for an import, which is made if it is not there.

    Args:
        storage: where.
        project_id: as it was given; if it was not, it is the name of the source.
        source: the name of a file or directory.

    Raises:
        InvalidIdError: the id that was given cannot be used.
    """
    found = default_project_id(source) if project_id is None else check_id("project_id", project_id)
    if await storage.get_project(found) is None:
        await storage.save_project(Project(project_id=found, name=found))
    return found


def default_project_id(source: str) -> str:
    """Return the name of a source without its endings, as an id.

    >>> default_project_id("my answers.jsonl.gz"), default_project_id("...")
    ('my-answers', 'imported')
    """
    return _NOT_IN_IDS.sub("-", source.partition(".")[0]).strip("-")[:_LONGEST].strip("-") or "imported"
