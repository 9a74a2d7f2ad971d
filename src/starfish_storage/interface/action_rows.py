"""Whole rows of actions; see `interface.rows`."""

from __future__ import annotations

from typing import NamedTuple


class ActionRow(NamedTuple):
    """What somebody did to a store or to something in it."""

    action_id: str
    time: str
    action: str
    kind: str
    target: str | None
    detail: str | None
    host: str | None
    user_name: str | None
    pod: str | None
    release: str | None
