"""What the figures depend on: the facts of the machine, without its name or any path."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine_facts(directory: Path) -> dict[str, str]:
    """Return processor, memory, kernel, file system of the working directory, and Python."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "file system": file_system(directory),
        "Python": platform.python_version(),
    }


def file_system(directory: Path) -> str:
    """Return the type of the file system that holds a directory."""
    path = directory.resolve()
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return "unknown"
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == wanted:
            return rest.split()[0]
    return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
