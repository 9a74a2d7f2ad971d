"""How much memory this process has resident, and how much disk a store takes."""

from __future__ import annotations

import os
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


def on_disk(directory: str) -> dict[str, int]:
    """Return the number of ``files`` of a closed store, and the bytes that its ``data`` and its ``rows`` take."""
    found = {"files": 0, "data": 0, "rows": 0}
    for parent, _, names in os.walk(directory):
        for name in names:
            found["files"] += 1
            kind = "data" if f"{parent}/".startswith(f"{directory}/data/") else "rows"
            found[kind] += os.lstat(f"{parent}/{name}").st_blocks * 512
    return found
