"""The rows of an imported file: a batch of them is an execution job, and no row has an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROWS_OF_BATCH = 500
"""Rows of an execution job of an import, but for the last one. The ids of stored rows follow from it: it stays."""


def batch_id(master_job_id: str, number: int) -> str:
    """Return the id of the execution job of a batch, counted from 0."""
    return f"{master_job_id}-{number:08}"


def batch_config(number: int, length: int) -> dict[str, Any]:
    """Return what stands in the place of the input of a batch: which rows it has, counted from 1."""
    return {"first_row": number * ROWS_OF_BATCH + 1, "last_row": number * ROWS_OF_BATCH + length}


def is_batch(job_id: str, master_job_id: str, config: Mapping[str, Any] | None) -> bool:
    """Return whether an execution job is a batch of imported rows, so that what it has is no input.

    >>> is_batch("import-1-00000001", "import-1", {"first_row": 501, "last_row": 620})
    True
    >>> is_batch("job-1", "import-1", {"first_row": 501, "last_row": 620})
    False
    """
    if config is None or sorted(config) != ["first_row", "last_row"]:
        return False
    first: object = config["first_row"]
    return isinstance(first, int) and job_id == batch_id(master_job_id, first // ROWS_OF_BATCH)
