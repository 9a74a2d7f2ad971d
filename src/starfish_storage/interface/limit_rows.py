"""Whole rows of limits of calls; see `interface.rows`."""

from __future__ import annotations

from typing import NamedTuple


class CallLimitRow(NamedTuple):
    """A limit of calls, and how far it is used."""

    name: str
    master_job_id: str | None
    rpm: float | None
    tpm: float | None
    next_call: str
    next_token: str
    part: float
    part_when: str
    paused_until: str | None
    pause_reason: str | None
    shares: str | None
