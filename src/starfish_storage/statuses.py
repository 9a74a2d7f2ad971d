"""The statuses of jobs and records.

They stand apart from the models that have them: most of what reads a store needs these names, and not pydantic, which
takes a third of the time of a short command to import.
"""

from __future__ import annotations

from typing import Literal, get_args

StatusMasterJob = Literal["pending", "running", "completed", "failed", "completed_with_errors", "cancelled"]
"""The statuses of a master job (a run)."""
StatusExecutionJob = Literal["pending", "running", "completed", "duplicate", "filtered", "failed", "cancelled"]
"""The statuses of an execution job (an input)."""
StatusRecord = Literal["pending", "running", "completed", "duplicate", "filtered", "failed", "cancelled"]
"""The statuses of a record."""

MASTER_JOB_STATUSES: tuple[StatusMasterJob, ...] = get_args(StatusMasterJob)
EXECUTION_JOB_STATUSES: tuple[StatusExecutionJob, ...] = get_args(StatusExecutionJob)
RECORD_STATUSES: tuple[StatusRecord, ...] = get_args(StatusRecord)
COUNTED_STATUSES: tuple[StatusRecord, ...] = ("completed", "filtered", "duplicate", "failed")
"""The statuses of records that jobs count, in the order of the columns: ``completed_record_count`` and so on."""
