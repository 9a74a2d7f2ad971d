"""Calls every command that reads, about stores that may not be writable, and prints how each ended as JSON.

Usage: ``python -m durability.reading_commands USER WARM_UP OUTPUT STORE [OPTION]``: the commands are called about
``WARM_UP`` first, and then as ``USER``, ``nobody`` or ``self``: what is imported may lie where only root can read.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from cli.calling import Ended, call
from durability import workload
from durability.reading_process import NOBODY

RUN = workload.MASTER


def called(store: Path, output: Path, *options: str) -> dict[str, Ended]:
    """Call the commands, whose files go below a directory."""
    output.mkdir(exist_ok=True)
    commands = {
        "projects": (),
        "runs": (),
        "show": (RUN,),
        "records": (RUN,),
        "record": ("r1",),
        "errors": (RUN,),
        "config": (RUN,),
        "watch": (RUN, "--once"),
        "export": (RUN, f"{output}/records.jsonl"),
        "copy": (f"{output}/copied",),
        "archive": (RUN, f"{output}/run.zip"),
        "backup": (f"{output}/backup",),
        "verify": (),
        "repair": ("--dry-run",),
    }
    return {name: call(name, *words, "--store", str(store), *options) for name, words in commands.items()}


def main(user: str, warm_up: str, output: str, store: str, *options: str) -> None:
    called(Path(warm_up), Path(f"{warm_up}-output"), *options)
    if user == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    sys.stdout.write(json.dumps(called(Path(store), Path(output), *options)))


if __name__ == "__main__":
    main(*sys.argv[1:])
