"""What a run was made of while it ran: one segment from each start or resume to the next. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a run that was made by the same code, with the same configuration and options.

    Attributes:
        master_job_id: the run.
        number: 1 for the first of the run; the store numbers them.
        start_time: when it was stored (UTC).
        identity: what the run was made of meanwhile, a JSON object written by `starfish_storage.generation`; opaque to
            the store.
    """

    master_job_id: str
    number: int
    start_time: datetime
    identity: dict[str, Any]
