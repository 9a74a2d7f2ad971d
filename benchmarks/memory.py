"""How much memory this process has resident."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_megabytes() -> dict[str, float]:
    """Return the resident set ``now`` and at its ``peak``, in units of 1,000,000 bytes.

    Where there is no ``/proc``, only the peak is known, and stands for both.
    """
    if not _STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
        return {"now": peak, "peak": peak}
    fields = dict(line.split(":", 1) for line in _STATUS.read_text("ascii", "replace").splitlines())
    return {
        "now": int(fields["VmRSS"].split()[0]) * 1024 / 1e6,
        "peak": int(fields["VmHWM"].split()[0]) * 1024 / 1e6,
    }
