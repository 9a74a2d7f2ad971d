"""Who is still at work while a store is drained. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from starfish_storage.runs.inputs import Worker


@dataclass(frozen=True, slots=True)
class WorkingWorker:
    """A worker that has claimed inputs and not finished them.

    Attributes:
        worker: the worker, with its run.
        inputs: how many.
    """

    worker: Worker
    inputs: int
