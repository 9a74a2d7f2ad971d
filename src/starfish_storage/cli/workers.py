"""How the workers of a run are shown: who they are, and whether they are at work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.output import show_list, show_title
from starfish_storage.cli.run_view import RunView, is_alive
from starfish_storage.cli.tables import Column
from starfish_storage.runs import Worker

_COLUMNS = (
    Column("worker"),
    Column("who"),
    Column("release", optional=True),
    Column("since"),
    Column("state", whole=False),
)


def show_workers(view: RunView) -> None:
    """Print the workers of a run that has not ended."""
    if view.workers and not view.is_over:
        show_title("Workers")
        show_list(_COLUMNS, view.workers, lambda one: _cells(one, view.time))


def worker_state(worker: Worker, now: datetime) -> str:
    """Return whether a worker works, stops, or has died, and why."""
    if not is_alive(worker, now):
        return "died"
    return "works" if worker.stop_reason is None else f"stops: {worker.stop_reason}"


def _cells(worker: Worker, now: datetime) -> Sequence[Cell]:
    return worker.worker_id, str(worker.who), worker.who.release, worker.start_time, worker_state(worker, now)
