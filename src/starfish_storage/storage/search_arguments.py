"""What a search is given, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import SearchPlace
from starfish_storage.metadata.values import text

_MOST_HITS = 1000


class Search(NamedTuple):
    """What is searched for.

    Attributes:
        query: what was typed.
        scope: ``run`` or ``project``, and its id; None: the whole store.
        fields: only words in these; None: in all.
        limit: the most hits.
        after: begin behind this hit.
    """

    query: str
    scope: tuple[str, str] | None
    fields: list[str] | None
    limit: int
    after: SearchPlace | None


def checked_search(
    query: str,
    master_job_id: str | None,
    project_id: str | None,
    fields: Sequence[str] | None,
    limit: object,
    after: object,
) -> Search:
    """Return what `RecordSearch.search_records` was given.

    Raises:
        InvalidInputError: something of it cannot be used.
    """
    scope = None
    if master_job_id is not None:
        if project_id is not None:
            raise InvalidInputError("give master_job_id or project_id, not both: a run has one project.")
        scope = ("run", text("master_job_id", master_job_id))
    elif project_id is not None:
        scope = ("project", text("project_id", project_id))
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _MOST_HITS:
        raise InvalidInputError(f"limit must be a whole number from 1 to {_MOST_HITS:,}, not {limit!r}.")
    return Search(text("query", query), scope, _checked_fields(fields), limit, _checked_place(after))


def checked_seconds(seconds: object) -> float | None:
    """Return for how long the index is to be brought up to date; None: until nothing remains.

    Raises:
        InvalidInputError: it is no number of seconds.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise InvalidInputError(f"seconds must be a number, 0 or more, not {seconds!r}.")
    return float(seconds)


def _checked_fields(fields: object) -> list[str] | None:
    if fields is None:
        return None
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        raise InvalidInputError("fields must be a list of names, such as ['prompt', 'messages.content'].")
    return [text("field", field) for field in cast("Sequence[object]", fields)] or None


def _checked_place(after: object) -> SearchPlace | None:
    if after is None:
        return None
    if not isinstance(after, SearchPlace) or not math.isfinite(after.rank):
        raise InvalidInputError("after must be the place of a hit (hit.place).")
    return SearchPlace(float(after.rank), text("record_uid", after.record_uid))
