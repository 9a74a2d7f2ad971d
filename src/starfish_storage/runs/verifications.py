"""What a check of a store has found. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of a store has found.

    Attributes:
        start_time: when it began (UTC).
        end_time: when it had ended (UTC).
        findings: how many faults it found.
        report: what it found, as ``verify --json`` prints it; of many findings the first ones.
    """

    start_time: datetime
    end_time: datetime
    findings: int
    report: dict[str, Any] = field(default_factory=dict[str, Any])
