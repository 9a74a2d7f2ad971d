"""The parts of a benchmark, in the order in which they are run; each returns its tables."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.parts.calling import measure_calling
from benchmarks.parts.copying import measure_copying
from benchmarks.parts.deleting import measure_deleting
from benchmarks.parts.exporting import measure_exporting
from benchmarks.parts.factories import measure_factories
from benchmarks.parts.far import measure_far
from benchmarks.parts.generating import measure_generating
from benchmarks.parts.importing import measure_import
from benchmarks.parts.kills import measure_kills
from benchmarks.parts.many import measure_many
from benchmarks.parts.many_inputs import measure_local_many, measure_remote_many
from benchmarks.parts.putting import measure_putting
from benchmarks.parts.reading import measure_reading
from benchmarks.parts.remote_workers import measure_remote_workers
from benchmarks.parts.remote_writing import measure_remote_writing
from benchmarks.parts.resuming import measure_resuming
from benchmarks.parts.resuming_runs import measure_resuming_runs
from benchmarks.parts.reusing import measure_reusing
from benchmarks.parts.searching import measure_searching
from benchmarks.parts.starting import measure_starting
from benchmarks.parts.synchronous import measure_synchronous
from benchmarks.parts.taking_in import measure_taking_in
from benchmarks.parts.viewing import measure_viewing
from benchmarks.parts.writing import measure_writing
from benchmarks.run import Run
from benchmarks.tables import Table

PARTS: dict[str, Callable[[Run], list[Table]]] = {
    "import": measure_import,
    "start": measure_starting,
    "write": measure_writing,
    "read": measure_reading,
    "resume": measure_resuming,
    "generate": measure_generating,
    "http": measure_calling,
    "kills": measure_kills,
    "resume-run": measure_resuming_runs,
    "reuse": measure_reusing,
    "starfish": measure_factories,
    "many": measure_many,
    "local-many": measure_local_many,
    "export": measure_exporting,
    "copy": measure_copying,
    "import-files": measure_taking_in,
    "viewer": measure_viewing,
    "search": measure_searching,
    "put": measure_putting,
    "far": measure_far,
    "remote-write": measure_remote_writing,
    "remote-workers": measure_remote_workers,
    "remote-many": measure_remote_many,
    "delete": measure_deleting,
    "sync": measure_synchronous,
}
