"""How long the package takes to import."""

from __future__ import annotations

import subprocess
import time

from benchmarks.contestants import ENVIRONMENT, PROJECT_ROOT
from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds

_OURS = "import starfish_storage"
_PEER = "import starfish.data_factory.storage.local.local_storage"
_PEER_IMPORTS = 3


def measure_import(run: Run) -> list[Table]:
    """Measure a process that imports, less a process that does nothing."""
    theirs: list[float] = []
    _import_time(run.python, _OURS)  # compiles what is not compiled
    ours = [_import_time(run.python, _OURS) for _ in run.rounds("import", run.sizes.imports)]
    if run.peer_python is not None:
        _import_time(run.peer_python, _PEER)
        theirs = [_import_time(run.peer_python, _PEER) for _ in run.rounds("import of the peer", _PEER_IMPORTS)]
    return [
        Table(
            "Import",
            "Time of a process that imports the package, less that of one that does nothing, taken in turns.",
            ("", "Starfish 0.1.3", "ours", "goal"),
            (
                (
                    "import",
                    milliseconds(Series(tuple(theirs)) if theirs else None),
                    milliseconds(Series(tuple(ours))),
                    "< 250 ms",
                ),
            ),
        )
    ]


def _import_time(python: str, statement: str) -> float:
    bare = _process_time(python, "pass")
    return _process_time(python, statement) - bare


def _process_time(python: str, statement: str) -> float:
    begun = time.perf_counter()
    subprocess.run([python, "-c", statement], check=True, cwd=PROJECT_ROOT, env=ENVIRONMENT, capture_output=True)
    return time.perf_counter() - begun
